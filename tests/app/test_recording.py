"""Recording on the page, with a microphone and a camera that Chromium plays from files."""

from __future__ import annotations

from pathlib import Path

import av
import pytest
from PIL import Image

from tests.app.pages import block, page
from tests.app.server import Server
from tests.example_inputs import PORTRAIT, speech

pytestmark = pytest.mark.slow  # a running app

SECONDS = 1500  # milliseconds of a recording


@pytest.fixture
def devices(tmp_path: Path) -> tuple[str, ...]:
    """Flags for a microphone that hears a voice and a camera that sees the example's face."""
    with av.open(str(tmp_path / "camera.mjpeg"), "w", format="mjpeg") as camera:
        stream = camera.add_stream("mjpeg", rate=10)
        stream.width, stream.height, stream.pix_fmt = 640, 480, "yuvj420p"
        seen = Image.new("RGB", (640, 480), "gray")
        seen.paste(Image.open(PORTRAIT).convert("RGB").resize((480, 480)), (80, 0))
        for _ in range(5):
            camera.mux(stream.encode(av.VideoFrame.from_image(seen)))
        camera.mux(stream.encode(None))
    voice = speech(tmp_path / "voice.wav", 5)
    return (
        f"--use-file-for-fake-video-capture={tmp_path / 'camera.mjpeg'}",
        f"--use-file-for-fake-audio-capture={voice}",
    )


def test_a_photo_from_the_camera_says_what_the_microphone_heard(server: Server, devices: tuple[str, ...]) -> None:
    with page(server.url, flags=devices) as opened:
        photo, heard = block(opened, "Photo"), block(opened, "Speech")
        photo.get_by_label("Capture from camera").click()
        photo.get_by_text("Click to Access Webcam").click()
        photo.get_by_label("capture photo").click()
        heard.get_by_label("Record audio").click()
        heard.get_by_text("Record", exact=True).click()
        opened.wait_for_timeout(SECONDS)
        heard.get_by_text("Stop", exact=True).locator("visible=true").click()
        heard.get_by_label("Play", exact=True).wait_for()
        opened.get_by_text("This photo is good to go.").wait_for()
        opened.get_by_label("The person shown agreed", exact=False).first.check()
        opened.get_by_role("button", name="Preview one frame").click()
        opened.locator("img[src*='preview_frame-']").wait_for()


def test_a_driving_video_from_the_camera_is_taken(server: Server, devices: tuple[str, ...]) -> None:
    with page(server.url, flags=devices) as opened:
        opened.get_by_role("tab", name="Video-driven").click()
        driving = block(opened, "Driving video")
        driving.get_by_label("Capture from camera").click()
        driving.get_by_text("Click to Access Webcam").click()
        record = driving.get_by_label("start recording")
        record.click()
        opened.wait_for_timeout(SECONDS)
        record.click()
        driving.locator("video[src*='/file=']").wait_for()
        opened.get_by_role("button", name="Repeat the motion").click()
        opened.get_by_text("Still missing: a photo, consent.").wait_for()  # nothing is wrong with the video
