"""Requests that nobody with good intentions sends."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError, ValidationError

from tests.app.server import ROOT, Server
from tests.app.test_checks import silence
from tests.example_inputs import PORTRAIT

pytestmark = pytest.mark.slow  # a running app


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "/proc/self/environ",
        "app.py",
        "../../etc/passwd",
        "%2e%2e/%2e%2e/etc/passwd",
        "file:///etc/passwd",
    ],
)
def test_no_file_of_the_server_is_served(server: Server, path: str) -> None:
    with pytest.raises(HTTPError) as answer:
        urllib.request.urlopen(f"{server.url}/gradio_api/file={path}")
    assert answer.value.code in (403, 404)


@pytest.mark.parametrize("path", ["/etc/passwd", "/srv/../etc/passwd", "app.py", str(ROOT / "app.py")])
def test_a_path_of_the_server_is_no_upload(server: Server, path: str) -> None:
    status, text = call(server, "inspect_portrait", [{"path": path, "meta": {"_type": "gradio.FileData"}}, None])
    assert status != 200 or "event: error" in text, text
    assert "usable" not in text


def test_text_names_no_file_on_the_server(client: Client, voice: Any) -> None:
    with pytest.raises(AppError, match="background"):
        client.predict(
            portrait=handle_file(PORTRAIT), audio=voice, background=PORTRAIT, consent=True, api_name="/audio_driven"
        )


@pytest.mark.parametrize(
    "name", ["a'b\"c.jpg", "a;rm -rf $HOME`id`|b&.jpg", "..%2f..%2fevil.jpg", "-rf.jpg", "äöü 👋.jpg"]
)
def test_odd_names_are_only_names(client: Client, tmp_path: Path, name: str) -> None:
    odd = tmp_path / name
    odd.write_bytes(Path(PORTRAIT).read_bytes())
    _, _, facts = client.predict(portrait=handle_file(str(odd)), api_name="/inspect_portrait")
    assert facts["usable"]


@pytest.mark.parametrize("name", ["../../../evil.jpg", "a\r\nSet-Cookie: b.jpg", "/etc/evil.jpg", "a\x00b.jpg"])
def test_an_upload_stays_in_the_cache_whatever_its_name(server: Server, name: str) -> None:
    boundary = "----edge"
    quoted = name.replace("\r", "%0D").replace("\n", "%0A")
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="files"; filename="{quoted}"\r\n\r\n'
    body = head.encode() + Path(PORTRAIT).read_bytes() + f"\r\n--{boundary}--\r\n".encode()
    request = urllib.request.Request(
        f"{server.url}/gradio_api/upload", body, {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    )
    try:
        answer = json.load(urllib.request.urlopen(request))
    except HTTPError as error:
        answer = error.code
    if isinstance(answer, int):
        assert answer in range(400, 500)
        return
    stored = Path(answer[0])
    assert (server.cache / "gradio").resolve() in stored.resolve().parents
    assert stored.is_file()


def test_bad_input_is_explained_without_the_server_s_folders(client: Client, voice: Any, tmp_path: Path) -> None:
    (tmp_path / "notes.jpg").write_text("<html>no picture</html>")
    with pytest.raises(ValidationError, match=r"'notes\.jpg' is damaged or in an unknown format"):
        client.predict(
            portrait=handle_file(str(tmp_path / "notes.jpg")), audio=voice, consent=True, api_name="/audio_driven"
        )


def test_three_hours_of_sound_never_reach_the_queue(server: Server, client: Client, tmp_path: Path) -> None:
    long = handle_file(silence(tmp_path / "long.wav", 3 * 3600, 4000))
    with pytest.raises(ValidationError, match="more than 600 s"):
        client.predict(portrait=handle_file(PORTRAIT), audio=long, consent=True, api_name="/audio_driven")
    assert server.files() == []


def test_the_log_names_no_upload(server: Server, client: Client, tmp_path: Path) -> None:
    secret = tmp_path / "aunt-margaret.jpg"
    secret.write_bytes(b"nothing")
    with pytest.raises(AppError):
        client.predict(portrait=handle_file(str(secret)), api_name="/inspect_portrait")
    with pytest.raises(ValidationError):
        client.predict(portrait=handle_file(str(secret)), audio=None, consent=True, api_name="/audio_driven")
    assert "aunt-margaret" not in server.log.read_text(errors="replace")


def call(server: Server, endpoint: str, data: list[Any]) -> tuple[int, str]:
    """Status and answer of an endpoint called without any client."""
    request = urllib.request.Request(
        f"{server.url}/gradio_api/call/{endpoint}",
        json.dumps({"data": data}).encode(),
        {"Content-Type": "application/json"},
    )
    try:
        event = json.load(urllib.request.urlopen(request))["event_id"]
        with urllib.request.urlopen(f"{server.url}/gradio_api/call/{endpoint}/{event}") as answer:
            return 200, answer.read().decode()
    except HTTPError as error:
        return error.code, error.read().decode()
