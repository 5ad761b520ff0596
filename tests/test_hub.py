"""Weights from a hub repo, through the real client in a process of its own, against a loopback server."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from real3d_portrait.errors import (
    ManifestError,
    ModelMissingError,
    WeightsCorruptError,
    WeightsFileMissingError,
    WeightsUnsetError,
)
from real3d_portrait.hub import FORMAT, Manifest, Weights, problems, resolve
from real3d_portrait.resources import resource
from tests.hub_server import COMMIT, Hub, serving

pytestmark = pytest.mark.slow

REPO = "someone/weights"
IMAGE, SOUND, FACE = "image.safetensors", "sound.safetensors", "face.safetensors"
CONTENT = {IMAGE: bytes(range(256)) * 2000, SOUND: b"sound" * 1000}

# Uses a model's weights as the pipeline does, and reports the result in one line of JSON.
CLIENT = """
import json, sys
from real3d_portrait.errors import Real3DError
from real3d_portrait.hub import resolve
try:
    weights = resolve(sys.argv[1])
    paths = [str(weights.path(file)) for file in sys.argv[2:]]
    print(json.dumps({"paths": paths, "revision": weights.revision}))
except Real3DError as error:
    print(json.dumps({"error": type(error).__name__, "text": str(error)}))
"""


def manifest(wrong: str | None = None) -> bytes:
    files = {
        name: {"sha256": hashlib.sha256(b"?" if name == wrong else data).hexdigest(), "bytes": len(data)}
        for name, data in CONTENT.items()
    }
    files[FACE] = {"sha256": "0" * 64, "bytes": 7, "private": True}
    return json.dumps({"format": FORMAT, "files": files}).encode()


@pytest.fixture
def hub() -> Iterator[Hub]:
    with serving(Hub({REPO: {"manifest.json": manifest(), **CONTENT}})) as server:
        yield server


def use(hub: Hub, home: Path, *arguments: str, **environment: str) -> tuple[dict, str]:
    """What a fresh process makes of `resolve(model)` and `path(file)` for each file: its answer, and its stderr."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "REAL3D_", "HUGGING"))}
    done = subprocess.run(
        [sys.executable, "-c", CLIENT, *arguments],
        env={**inherited, "HF_ENDPOINT": hub.url, "HF_HOME": str(home), **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return json.loads(done.stdout), done.stderr


def test_a_file_comes_when_it_is_needed_once_and_then_from_the_cache(hub: Hub, tmp_path: Path) -> None:
    answer, shown = use(hub, tmp_path, REPO, SOUND, TQDM_POSITION="-1")  # bars as on a terminal
    assert Path(answer["paths"][0]).read_bytes() == CONTENT[SOUND]
    assert Path(answer["paths"][0]).is_relative_to(tmp_path / "hub")
    assert answer["revision"] == COMMIT
    assert hub.fetched() == ["manifest.json", SOUND]  # the other network was not asked for
    assert f"{SOUND}: 100%" in shown
    use(hub, tmp_path, REPO, SOUND)
    assert hub.fetched() == ["manifest.json", SOUND]
    assert all(COMMIT in path for _, path, _ in hub.requests if SOUND in path)

    for unreachable in ({"HF_HUB_OFFLINE": "1"}, {"HF_ENDPOINT": "http://127.0.0.1:9"}):
        answer, _ = use(hub, tmp_path, REPO, SOUND, **unreachable)
        assert Path(answer["paths"][0]).read_bytes() == CONTENT[SOUND]


def test_without_network_or_cache_the_error_says_what_where_and_how(hub: Hub, tmp_path: Path) -> None:
    answer, shown = use(hub, tmp_path, REPO, SOUND, HF_HUB_OFFLINE="1")
    assert answer["error"] == "HubFetchError"
    for part in (REPO, str(tmp_path), "HF_HUB_OFFLINE is set", hub.url):
        assert part in answer["text"]
    assert hub.requests == []
    assert shown == ""
    answer, shown = use(hub, tmp_path, REPO, SOUND, HF_ENDPOINT="http://127.0.0.1:9")
    assert answer["error"] == "HubFetchError"
    assert "ConnectError" in answer["text"]
    assert shown == ""


def test_a_wrong_hash_is_refused_and_not_kept(hub: Hub, tmp_path: Path) -> None:
    hub.repos[REPO]["manifest.json"] = manifest(wrong=IMAGE)
    for _ in range(2):
        answer, _ = use(hub, tmp_path, REPO, IMAGE)
        assert answer["error"] == "WeightsCorruptError"
        assert "SHA-256" in answer["text"]
    assert hub.fetched().count(IMAGE) == 2


def test_a_broken_transfer_goes_on_where_it_stopped(hub: Hub, tmp_path: Path) -> None:
    large = bytes(range(256)) * 90_000  # the client keeps what has arrived in steps of 10 MB
    digest = {"sha256": hashlib.sha256(large).hexdigest(), "bytes": len(large)}
    listed = json.dumps({"format": FORMAT, "files": {IMAGE: digest}}).encode()
    hub.repos[REPO] = {"manifest.json": listed, IMAGE: large}
    hub.cut.add(IMAGE)
    answer, _ = use(hub, tmp_path, REPO, IMAGE)
    assert Path(answer["paths"][0]).read_bytes() == large
    ranges = [asked for method, path, asked in hub.requests if method == "GET" and IMAGE in path]
    assert ranges == [None, "bytes=10485760-"]


def test_what_is_not_there_is_named(hub: Hub, tmp_path: Path) -> None:
    assert use(hub, tmp_path, "someone/else", SOUND)[0]["error"] == "HubRefusedError"
    answer, _ = use(hub, tmp_path, f"{REPO}@v9", SOUND)
    assert answer["error"] == "HubRefusedError"
    assert "v9" in answer["text"]
    answer, _ = use(hub, tmp_path, REPO, "more.safetensors")
    assert answer["error"] == "WeightsFileMissingError"
    del hub.repos[REPO][IMAGE]
    answer, _ = use(hub, tmp_path, REPO, IMAGE)
    assert answer["error"] == "WeightsFileMissingError"
    assert IMAGE in answer["text"]
    hub.repos["someone/pictures"] = {"README.md": b"no weights"}
    assert "manifest.json" in use(hub, tmp_path, "someone/pictures")[0]["text"]


def test_a_private_repo_wants_its_token(hub: Hub, tmp_path: Path) -> None:
    hub.private = frozenset({REPO})
    answer, _ = use(hub, tmp_path, REPO, SOUND)
    assert answer["error"] == "HubRefusedError"
    assert "HF_TOKEN" in answer["text"]
    answer, _ = use(hub, tmp_path, REPO, SOUND, HF_TOKEN=hub.token)
    assert Path(answer["paths"][0]).read_bytes() == CONTENT[SOUND]


def test_files_that_each_user_fetches_come_from_their_folder(hub: Hub, tmp_path: Path) -> None:
    answer, _ = use(hub, tmp_path, REPO, FACE)
    assert answer["error"] == "WeightsFileMissingError"
    assert "REAL3D_BFM, which is not set" in answer["text"]
    (tmp_path / FACE).write_bytes(b"my face")
    answer, _ = use(hub, tmp_path, REPO, FACE, REAL3D_BFM=str(tmp_path))
    assert answer["paths"] == [str(tmp_path / FACE)]
    assert FACE not in hub.fetched()


def test_the_named_model_is_what_the_variable_names(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer, _ = use(hub, tmp_path, "real3d-portrait", SOUND, REAL3D_WEIGHTS=f"{REPO}@{COMMIT}")
    assert answer["revision"] == COMMIT
    monkeypatch.delenv("REAL3D_WEIGHTS", raising=False)
    with pytest.raises(WeightsUnsetError, match="weights import"):
        resolve("real3d-portrait")
    monkeypatch.setenv("REAL3D_WEIGHTS", str(tmp_path / "nothing"))
    with pytest.raises(ModelMissingError, match="nothing"):
        resolve("real3d-portrait")
    assert resolve("compact") == resource("assets", "weights", "compact")


def test_a_folder_is_checked_against_its_manifest(tmp_path: Path) -> None:
    for name, data in CONTENT.items():
        (tmp_path / name).write_bytes(data)
    Manifest.of(tmp_path, private=frozenset({SOUND})).write(tmp_path)
    weights = resolve(str(tmp_path))
    assert isinstance(weights, Weights)
    assert weights.path(SOUND) == tmp_path / SOUND
    assert weights.manifest.files[SOUND].private
    assert list(problems(tmp_path)) == []

    (tmp_path / IMAGE).write_bytes(CONTENT[IMAGE][:-1] + b"!")
    (tmp_path / SOUND).unlink()
    (tmp_path / "notes.txt").write_text("mine")
    assert [line.split(":")[0] for line in problems(tmp_path)] == [IMAGE, SOUND, "notes.txt"]
    with pytest.raises(WeightsCorruptError, match="SHA-256"):
        weights.path(IMAGE)
    with pytest.raises(WeightsFileMissingError, match="manifest"):
        weights.path("more.safetensors")


@pytest.mark.parametrize("text", ["no json", "[]", '{"format": "other", "files": {}}', '{"files": {"a": 3}}'])
def test_what_is_no_manifest_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(ManifestError):
        resolve(tmp_path)


def test_a_manifest_names_no_file_outside_its_folder(tmp_path: Path) -> None:
    facts = {"sha256": "0" * 64, "bytes": 0}
    (tmp_path / "manifest.json").write_text(json.dumps({"format": FORMAT, "files": {"../key": facts}}))
    with pytest.raises(ManifestError, match="outside"):
        resolve(tmp_path)
