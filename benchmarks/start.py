"""How long the app takes from the start of its process until its page answers.

    python -m benchmarks.start [--runs 3]

The first run may compile and cache what later ones find; each is printed, with the load of the machine.
"""

from __future__ import annotations

import argparse
import os
import resource as process_resource
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).parents[1]
_PATIENCE = 120.0  # seconds
_NULL = subprocess.DEVNULL


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=3)
    for run in range(1, parser.parse_args().runs + 1):
        load = os.getloadavg()[0]
        page, config, computing = start()
        print(f"run {run}: page {page:.1f} s, config {config:.1f} s, computing {computing:.1f} s, load {load:.1f}")


def start() -> tuple[float, float, float]:
    """Seconds until / and /config have answered, and of computing until then, in the app and its children."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        settings = {"GRADIO_SERVER_PORT": str(port), "GRADIO_TEMP_DIR": folder, "REAL3D_KEY_FOLDER": folder}
        before, began = _computing(), time.monotonic()
        app = subprocess.Popen(
            [sys.executable, "app.py"], cwd=ROOT, env=os.environ | settings, stdout=_NULL, stderr=_NULL
        )
        try:
            page = _answer(f"http://127.0.0.1:{port}/", app) - began
            config = _answer(f"http://127.0.0.1:{port}/config", app) - began
        finally:
            app.terminate()
            app.wait()
        return page, config, _computing() - before


def _answer(url: str, app: subprocess.Popen[bytes]) -> float:
    """When the address answered."""
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline and app.poll() is None:
        try:
            with urllib.request.urlopen(url) as answer:
                answer.read()
                return time.monotonic()
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.05)
    raise SystemExit("the app does not answer")


def _computing() -> float:
    used = process_resource.getrusage(process_resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
