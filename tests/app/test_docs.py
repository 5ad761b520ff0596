"""The examples of docs/api.md do what the page says."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import urllib.request
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.app.server import ENDPOINTS, ROOT, Server, frames
from tests.example_inputs import PORTRAIT, speech

pytestmark = pytest.mark.slow  # a running app

PAGE = (ROOT / "docs" / "api.md").read_text()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copy(PORTRAIT, tmp_path / "me.jpg")
    speech(tmp_path / "speech.wav", 0.4)
    return tmp_path


def example(language: str, section: str, server: Server) -> str:
    """The last block of a section, aimed at the server of the tests."""
    text = PAGE.split(f"\n## {section}\n")[1].split("\n## ")[0]
    blocks = re.findall(rf"```{language}\n(.*?)```", text, re.S)
    return blocks[-1].replace("http://127.0.0.1:7860", server.url)


def run(command: list[str], folder: Path) -> str:
    environment = {**os.environ, "GRADIO_TEMP_DIR": str(folder / "downloads")}
    return subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True, text=True).stdout


def test_the_python_example_runs(server: Server, folder: Path) -> None:
    printed = run([sys.executable, "-c", example("python", "Python", server)], folder)
    video = re.search(r"(\S+\.mp4) 10 \[", printed)
    assert video
    assert len(frames(video[1])) == 10


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl")
def test_the_curl_example_runs(server: Server, folder: Path) -> None:
    run(["bash", "-euc", example("sh", "curl", server)], folder)
    assert frames(str(folder / "out.mp4")).shape == (10, 512, 512, 3)


@pytest.mark.skipif(find_spec("mcp") is None, reason="no mcp")
def test_the_mcp_example_lists_each_endpoint_and_makes_a_video(server: Server, folder: Path) -> None:
    tools, made = run([sys.executable, "-c", example("python", "MCP", server)], folder).splitlines()
    assert sorted(f"/{name}" for name in re.findall(r"'(\w+)'", tools)) == list(ENDPOINTS)
    address = re.search(r"http\S+\.mp4", made)
    assert address
    urllib.request.urlretrieve(address[0], folder / "made.mp4")
    assert frames(str(folder / "made.mp4")).shape == (10, 256, 256, 3)
