"""The app as a browser or script meets it: a real server, called with Gradio's own client."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError

from real3d_portrait.motion.motion import Motion
from real3d_portrait.pipeline import Controls
from real3d_portrait.resources import resource
from tests.browser import Browser
from tests.example_inputs import PORTRAIT, speech

ROOT = Path(__file__).parents[1]
ENDPOINTS = ("/audio_driven", "/video_driven", "/background_swap")


@dataclass
class Server:
    """A running app: its client, and the folder where it may leave files."""

    client: Client
    cache: Path
    process: subprocess.Popen[bytes]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    cache, downloads = tmp_path_factory.mktemp("cache"), tmp_path_factory.mktemp("downloads")
    environment = {
        **os.environ,
        "GRADIO_SERVER_PORT": str(port),
        "GRADIO_TEMP_DIR": str(cache / "gradio"),
        "TMPDIR": str(cache),
    }
    process = subprocess.Popen([sys.executable, "app.py"], cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
    try:
        _wait_for(port, process)
        yield Server(Client(f"http://127.0.0.1:{port}", download_files=downloads, verbose=False), cache, process)
    finally:
        process.kill()
        process.wait()


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.2)
    pytest.fail(f"the app did not answer on port {port}")


@pytest.fixture(scope="module")
def voice(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return handle_file(speech(tmp_path_factory.mktemp("voice") / "voice.wav", 0.6))


@pytest.fixture(scope="module")
def talking(server: Server, voice: Any) -> str:
    """A video that the app made."""
    return server.client.predict(
        portrait=handle_file(PORTRAIT), audio=voice, consent=True, size=256, api_name="/audio_driven"
    )


def frames(path: str) -> np.ndarray:
    """Every frame of a video, (T, H, W, 3) uint8."""
    with av.open(path) as video:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)])


def test_the_endpoints_have_the_names_and_defaults_of_python(server: Server) -> None:
    endpoints = server.client.view_api(return_format="dict", print_info=False)["named_endpoints"]
    assert tuple(sorted(endpoints)) == tuple(sorted(ENDPOINTS))
    for name in ENDPOINTS:
        defaults = {p["parameter_name"]: p["parameter_default"] for p in endpoints[name]["parameters"]}
        assert defaults["consent"] is False
        assert 0 < defaults["temperature"] < 2
        for field in fields(Controls):
            differs = ("progress", "temperature", *(["background"] if name == "/background_swap" else []))
            if field.name not in differs:
                assert defaults[field.name] == field.default, (name, field.name)


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_no_video_without_consent(server: Server, voice: Any, endpoint: str) -> None:
    with pytest.raises(AppError, match="Consent is missing"):
        server.client.predict(portrait=handle_file(PORTRAIT), api_name=endpoint)


def test_speech_makes_the_photo_talk(talking: str) -> None:
    assert frames(talking).shape == (15, 256, 256, 3)


def test_progress_is_shown(server: Server, voice: Any) -> None:
    job = server.client.submit(
        portrait=handle_file(PORTRAIT), audio=voice, consent=True, size=256, api_name="/audio_driven"
    )
    seen = set()
    while not job.done():
        for unit in job.status().progress_data or ():
            seen.add(unit.desc)
        time.sleep(0.02)
    assert Path(job.result()).is_file()
    assert "rendering" in seen


def test_a_person_with_a_phone_gets_a_video(server: Server, tmp_path: Path) -> None:
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("no chromium")
    voice = speech(tmp_path / "voice.wav", 0.3)
    start = "[...document.querySelectorAll('button')].find(b => b.innerText == 'Make it talk' && b.offsetParent)"
    with Browser(program, tmp_path / "profile", width=390) as browser:
        browser.send("Page.navigate", url=server.client.src)
        browser.wait_for(start)
        browser.wait_for("document.querySelectorAll('input[type=file]').length >= 3")
        assert browser.evaluate("document.documentElement.scrollWidth") <= 390
        browser.upload("input[type=file][accept*=image]", PORTRAIT)
        browser.wait_for("document.querySelector('.image-container img, .image-frame img')")
        browser.upload("input[type=file][accept*=audio]", voice)
        browser.wait_for("document.querySelector('audio')")
        browser.evaluate(f"{start}.click()")
        browser.wait_for("document.body.innerText.includes('Consent is missing')")
        browser.evaluate("document.querySelector('input[type=checkbox]').click()")
        browser.evaluate(f"{start}.click()")
        browser.wait_for("document.querySelector('video')?.duration > 0.2", 120)


def test_saved_motion_drives_a_photo_and_alpha_comes_back(server: Server, tmp_path: Path) -> None:
    from real3d_portrait.face.face_model import FaceModel

    model = FaceModel.load(resource("assets", "weights", "compact", "face_model.safetensors"))
    still = np.zeros((5, 3), np.float32)
    motion = Motion(np.zeros((5, model.n_expression), np.float32), still, still, face_model=model.name)
    motion.save(tmp_path / "still.npz")
    result = server.client.predict(
        portrait=handle_file(PORTRAIT),
        motion=handle_file(str(tmp_path / "still.npz")),
        background="transparent",
        size=256,
        consent=True,
        api_name="/video_driven",
    )
    assert result.endswith(".webm")
    assert len(frames(result)) == 5


def test_a_finished_video_gets_another_background(server: Server, talking: str) -> None:
    result = server.client.predict(
        video=handle_file(talking), background="lime", consent=True, api_name="/background_swap"
    )
    assert np.abs(frames(result)[0, 2, 2].astype(int) - (0, 255, 0)).max() < 12


def test_bad_input_is_explained_without_the_server_s_folders(server: Server, voice: Any, tmp_path: Path) -> None:
    (tmp_path / "notes.jpg").write_text("no picture")
    with pytest.raises(AppError, match=r"'notes\.jpg' is not a picture"):
        server.client.predict(
            portrait=handle_file(str(tmp_path / "notes.jpg")),
            audio=voice,
            consent=True,
            api_name="/audio_driven",
        )
    with pytest.raises(AppError, match="Nothing was given for audio"):
        server.client.predict(portrait=handle_file(PORTRAIT), consent=True, api_name="/audio_driven")


def test_text_names_no_file_on_the_server(server: Server, voice: Any) -> None:
    with pytest.raises(AppError, match="background"):
        server.client.predict(
            portrait=handle_file(PORTRAIT),
            audio=voice,
            background=PORTRAIT,
            consent=True,
            api_name="/audio_driven",
        )


def test_stopping_the_app_empties_its_cache(server: Server, talking: str) -> None:
    server.process.send_signal(signal.SIGTERM)
    server.process.wait(30)
    assert [path for path in server.cache.rglob("*") if path.is_file()] == []
