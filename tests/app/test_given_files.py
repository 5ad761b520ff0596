"""Files as programs give them, and what is never fetched."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from real3d_portrait.app import given_files
from real3d_portrait.app.given_files import taken
from real3d_portrait.errors import AddressRefusedError, FileTooLargeError, InputError, NotAFileError

PHOTO, MOTION = gr.Image(), gr.File(file_types=[".npz"])
CONTENT = bytes(range(256)) * 20


def data_url(kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(CONTENT).decode()}"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache" / "abc"
    folder.mkdir(parents=True)
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(folder.parent))
    return folder


def take(value: Any, component: Any = PHOTO, name: str = "portrait", megabytes: int = 1) -> Any:
    return asyncio.run(taken(name, component, value, megabytes))


def test_a_data_url_becomes_a_file(cache: Path) -> None:
    given = take(data_url("image/png"))
    assert given["meta"] == {"_type": "gradio.FileData"}
    assert Path(given["path"]).read_bytes() == CONTENT
    assert Path(given["path"]).suffix == ".png"
    assert Path(given["path"]).is_relative_to(cache.parent)


def test_saved_motion_keeps_its_ending_whatever_the_data_url_calls_it() -> None:
    assert Path(take(data_url("application/octet-stream"), MOTION, "motion")["path"]).name == "motion.npz"


@pytest.mark.parametrize("host", ["http://127.0.0.1:7860", "https://someone-portrait.hf.space", "http://10.0.0.7"])
def test_an_address_of_this_app_is_its_file(cache: Path, host: str) -> None:
    (cache / "me & you.jpg").write_bytes(CONTENT)
    address = f"{host}/gradio_api/file={cache}/me%20%26%20you.jpg"
    for value in (address, {"path": address, "url": address}, str(cache / "me & you.jpg")):
        assert take(value)["path"] == str(cache / "me & you.jpg")


@pytest.mark.parametrize(
    "address",
    [
        "http://127.0.0.1:9/x.jpg",
        "http://[::1]:9/x.jpg",
        "http://10.0.0.1/x.jpg",
        "http://192.168.1.1/x.jpg",
        "http://169.254.169.254/latest/meta-data/",
        "http://0.0.0.0/x.jpg",
        "http://localhost:9/x.jpg",
        "http://2130706433/x.jpg",
    ],
)
def test_no_address_leads_into_the_network_of_the_server(address: str) -> None:
    for value in (address, {"path": address}, {"url": address}):
        with pytest.raises(AddressRefusedError, match=r"portrait is not fetched from .* public web"):
            take(value)


def test_an_unknown_host_is_said_to_be_one() -> None:
    with pytest.raises(AddressRefusedError, match="host is not known"):
        take("http://nowhere.invalid/x.jpg")


def test_a_file_that_is_gone_is_told_from_one_elsewhere(cache: Path) -> None:
    with pytest.raises(AddressRefusedError, match="no such file is served"):
        take(f"http://127.0.0.1:7860/gradio_api/file={cache}/gone.jpg")


def test_an_address_of_this_app_never_leaves_the_cache(cache: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.jpg").write_bytes(CONTENT)
    (cache / "link.jpg").symlink_to(tmp_path / "secret.jpg")
    for path in (f"{cache}/../../secret.jpg", str(tmp_path / "secret.jpg"), f"{cache}/link.jpg"):
        with pytest.raises(InputError):
            take(f"http://127.0.0.1:7860/gradio_api/file={path}")
        with pytest.raises(NotAFileError):
            take(path)


@pytest.mark.parametrize(
    "value",
    ["photo.jpg", "/etc/passwd", "file:///etc/passwd", "ftp://example.com/a.jpg", "data:image/png,abc", "http://", 7,
     ["a"], {}, {"path": 7}, "data:image/png;base64,!!!"],
)  # fmt: skip
def test_what_is_no_file_is_refused_by_name(value: Any) -> None:
    with pytest.raises(NotAFileError, match=r"portrait is .* must be a file"):
        take(value)


def test_nothing_is_nothing() -> None:
    assert take(None) is None
    assert take("") is None


def test_a_data_url_over_the_limit_is_not_decoded(cache: Path) -> None:
    with pytest.raises(FileTooLargeError, match="2 MB, more than 1"):
        take("data:image/png;base64," + "A" * 2_800_000)
    assert list(cache.parent.rglob("*.png")) == []


def test_a_public_address_is_fetched(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def hidden(host: str) -> bool:
        return host != "example.com"

    async def download(url: str, folder: str) -> str:
        (cache / "x.jpg").write_bytes(url.encode())
        return str(cache / "x.jpg")

    monkeypatch.setattr(given_files, "async_ssrf_protected_download", download)
    monkeypatch.setattr(given_files, "_hidden", hidden)
    assert Path(take("https://example.com/x.jpg")["path"]).read_bytes() == b"https://example.com/x.jpg"
