"""A real app in a process of its own, on a free port, with all that it writes in one folder."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import av
import httpx
import numpy as np
import pytest
from gradio_client import Client

ROOT = Path(__file__).parents[2]
ENDPOINTS = ("/audio_driven", "/background_swap", "/inspect_portrait", "/preview_frame", "/video_driven")


@dataclass
class Server:
    """A running app.

    Attributes:
        url: where it answers.
        cache: folder in which it may leave files; all its temporary folders lie there.
        log: what it wrote to its terminal.
        computing: seconds that a processor worked from the start of the process until it answered.
    """

    url: str
    cache: Path
    log: Path
    process: subprocess.Popen[bytes]
    downloads: Path
    computing: float

    def client(self) -> Client:
        """A client with a session of its own."""
        return Client(self.url, download_files=self.downloads, verbose=False)

    def files(self) -> list[str]:
        """What lies outside the cache that the app empties by itself: work folders of jobs."""
        # os.walk passes over folders that a job deletes meanwhile.
        found = [Path(folder) / name for folder, folders, names in os.walk(self.cache) for name in folders + names]
        return [str(path) for path in found if path.match("real3d-portrait-*")]


@contextmanager
def serving(folder: Path, **environment: str) -> Iterator[Server]:
    """An app with further environment variables, killed at the end."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    cache, downloads, log = folder / "cache", folder / "downloads", folder / "log.txt"
    cache.mkdir()
    downloads.mkdir()
    settings = {
        "GRADIO_SERVER_PORT": str(port),
        "GRADIO_TEMP_DIR": str(cache / "gradio"),
        "TMPDIR": str(cache),
        "REAL3D_KEY_FOLDER": str(folder / "keys"),
        **environment,
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "app.py"], cwd=ROOT, env={**os.environ, **settings}, stdout=output, stderr=output
        )
    try:
        _wait_for(port, process)
        url = f"http://127.0.0.1:{port}"
        yield Server(url, cache, log, process, downloads, _computing(process))
    finally:
        process.kill()
        process.wait()


def uploaded(server: Server, path: str) -> str:
    """The address at which the app serves a file that was uploaded to it."""
    with open(path, "rb") as file:
        answer = httpx.post(f"{server.url}/gradio_api/upload", files={"files": file})
    return f"{server.url}/gradio_api/file={answer.json()[0]}"


def frames(path: str) -> np.ndarray:
    """Every frame of a video, (T, H, W, 3) uint8."""
    with av.open(path) as video:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)])


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    pytest.fail(f"the app did not answer on port {port}")


def _computing(process: subprocess.Popen[bytes]) -> float:
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return sum(int(field) for field in fields[11:15]) / os.sysconf("SC_CLK_TCK")  # its own and its children's
