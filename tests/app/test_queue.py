"""Several visitors at a time, visitors who leave, and what stays behind."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from gradio_client import Client, handle_file
from gradio_client.client import Job
from gradio_client.utils import QueueError

from tests.app.server import Server, frames, serving
from tests.example_inputs import PORTRAIT, speech

pytestmark = pytest.mark.slow  # a running app


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """An app that this file may stop."""
    with serving(tmp_path_factory.mktemp("own"), REAL3D_MAX_WAITING="5") as running:
        yield running


def test_two_visitors_at_once_get_each_their_own(own: Server, tmp_path: Path) -> None:
    jobs = {}
    for seconds in (0.4, 0.8):
        voice = handle_file(speech(tmp_path / f"{seconds}.wav", seconds))
        jobs[seconds] = own.client().submit(
            portrait=handle_file(PORTRAIT), audio=voice, consent=True, size=256, api_name="/audio_driven"
        )
    waited = False
    while not all(job.done() for job in jobs.values()):
        waited |= any((job.status().rank or 0) >= 1 or job.status().code.name == "IN_QUEUE" for job in jobs.values())
        time.sleep(0.02)
    assert waited  # one renders, the other sees its place
    assert {seconds: len(frames(job.result()[0])) for seconds, job in jobs.items()} == {0.4: 10, 0.8: 20}
    assert own.files() == []


def test_three_visitors_with_seven_requests_each_all_end_in_flat_memory(own: Server, tmp_path: Path) -> None:
    voice = handle_file(speech(tmp_path / "voice.wav", 0.2))
    visitors = [own.client() for _ in range(3)]
    resident: list[float] = []
    for _ in range(7):
        jobs = [
            visitor.submit(
                portrait=handle_file(PORTRAIT), audio=voice, consent=True, size=256, api_name="/audio_driven"
            )
            for visitor in visitors
        ]
        assert [job.result()[1]["frames"] for job in jobs] == [5, 5, 5]
        resident.append(_resident(own.process.pid))
    assert resident[-1] < resident[1] + 50, resident
    assert own.files() == []


def test_a_visitor_who_leaves_or_cancels_frees_the_slot(own: Server, tmp_path: Path) -> None:
    long = speech(tmp_path / "long.wav", 40)
    script = (
        "import sys, time; from gradio_client import Client, handle_file\n"
        "c = Client(sys.argv[1], verbose=False)\n"
        "job = c.submit(portrait=handle_file(sys.argv[2]), audio=handle_file(sys.argv[3]), consent=True, size=256,"
        " api_name='/audio_driven')\n"
        "while not job.status().progress_data: time.sleep(0.05)\n"
        "print('seen', flush=True); job.result()"
    )
    visitor = subprocess.Popen(
        [sys.executable, "-c", script, own.url, PORTRAIT, long], stdout=subprocess.PIPE, text=True
    )
    assert visitor.stdout
    assert visitor.stdout.readline() == "seen\n"
    left = own.files()
    assert left
    visitor.kill()
    visitor.wait()
    _wait_until(lambda: own.files() != left, 20)
    job = own.client().submit(
        portrait=handle_file(PORTRAIT), audio=handle_file(long), consent=True, size=256, api_name="/audio_driven"
    )
    _wait_until(lambda: any("rendering" in (unit.desc or "") for unit in job.status().progress_data or ()))
    job.cancel()
    short = handle_file(speech(tmp_path / "short.wav", 0.4))
    began = time.monotonic()
    video, *_ = own.client().predict(
        portrait=handle_file(PORTRAIT), audio=short, consent=True, size=256, api_name="/audio_driven"
    )
    assert len(frames(video)) == 10
    assert time.monotonic() - began < 60
    assert own.files() == []


def test_who_finds_the_queue_full_is_told_so_at_once(own: Server, tmp_path: Path) -> None:
    voice = handle_file(speech(tmp_path / "long.wav", 40))
    visitors = [own.client() for _ in range(2)]

    def ask(visitor: Client) -> Job:
        return visitor.submit(
            portrait=handle_file(PORTRAIT), audio=voice, consent=True, size=256, api_name="/audio_driven"
        )

    jobs = [ask(visitors[0])]
    _wait_until(lambda: own.files() != [])
    for waiting in range(5):
        jobs.append(ask(visitors[waiting % 2]))
        _wait_until(lambda: jobs[-1].status().code.name == "IN_QUEUE" and jobs[-1].status().rank is not None)
    with pytest.raises(QueueError, match="Queue is full"):
        ask(visitors[1]).result(timeout=60)
    for job in reversed(jobs):
        job.cancel()  # each but the first has begun for a moment, when the one before it ended
    _wait_until(lambda: own.files() == [], 30)


def test_stopping_the_app_empties_its_cache(own: Server, tmp_path: Path) -> None:
    voice = handle_file(speech(tmp_path / "voice.wav", 0.2))
    own.client().predict(portrait=handle_file(PORTRAIT), audio=voice, consent=True, size=256, api_name="/audio_driven")
    assert any(path.suffix == ".mp4" for path in own.cache.rglob("*"))
    own.process.send_signal(signal.SIGTERM)
    own.process.wait(60)
    assert [path for path in own.cache.rglob("*") if path.is_file()] == []


def _resident(process: int) -> float:
    """Memory in megabytes."""
    fields = Path(f"/proc/{process}/status").read_text()
    return int(re.findall(r"VmRSS:\s+(\d+)", fields)[0]) / 1024


def _wait_until(condition: Any, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_the_page_needs_no_model_and_no_network_to_start() -> None:
    code = (
        "import sys; from real3d_portrait.app import build_app; build_app()\n"
        "heavy = {'torch', 'mediapipe', 'cv2', 'scipy', 'numba', 'av', 'librosa', 'transformers'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
        "print(sys.modules['gradio.component_meta'].create_or_modify_pyi.__module__)"
    )
    root = Path(__file__).parents[2]
    printed = subprocess.check_output([sys.executable, "-c", code], cwd=root, text=True).splitlines()
    assert printed[-2:] == ["[]", "real3d_portrait.app.stubs"]


def test_starting_takes_less_than_ten_seconds_of_computing(own: Server) -> None:
    assert own.computing < 10
