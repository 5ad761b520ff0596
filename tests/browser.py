"""A headless Chromium that tests steer through its DevTools pipe, without a further library."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Any

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--remote-debugging-pipe",
)  # fmt: skip


class Browser:
    """One page of one browser; use as a context manager.

    Args:
        program: path of Chromium.
        profile: an empty folder for its settings.
        width, height: size of the page, CSS pixels.
    """

    def __init__(self, program: str, profile: Path, width: int, height: int = 900) -> None:
        read_here, write_there = os.pipe()
        read_there, self._write = os.pipe()
        # Chromium reads commands from file descriptor 3 and answers on 4.
        command = ["bash", "-c", f'exec "$0" "$@" 3<&{read_there} 4>&{write_there}', program, *FLAGS]
        self._process = subprocess.Popen(
            [*command, f"--user-data-dir={profile}", "about:blank"],
            pass_fds=(read_there, write_there),
            stderr=subprocess.DEVNULL,
        )
        os.close(read_there)
        os.close(write_there)
        self._answers = os.fdopen(read_here, "rb")
        self._buffer, self._count = b"", 0
        self._session: str | None = None
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.send("Emulation.setDeviceMetricsOverride", **size)

    def __enter__(self) -> Browser:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()
        self._answers.close()
        os.close(self._write)

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send one DevTools command and return its result."""
        self._count += 1
        message: dict[str, Any] = {"id": self._count, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            answer = json.loads(self._next())
            if answer.get("id") == self._count:
                assert "error" not in answer, answer["error"]
                return answer["result"]

    def _next(self) -> bytes:
        while b"\0" not in self._buffer:
            piece = os.read(self._answers.fileno(), 65536)
            assert piece, "the browser has gone"
            self._buffer += piece
        message, self._buffer = self._buffer.split(b"\0", 1)
        return message

    def evaluate(self, script: str) -> Any:
        """The value of a JavaScript expression on the page."""
        result = self.send("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def wait_for(self, script: str, seconds: float = 60) -> None:
        """Come back as soon as the expression is true."""
        deadline = time.monotonic() + seconds
        while not self.evaluate(f"!!({script})"):
            page = self.evaluate("document.body.innerText")
            assert time.monotonic() < deadline, f"never true: {script}\n{page}"
            time.sleep(0.1)

    def upload(self, selector: str, file: str) -> None:
        """Choose a file in the first file input that fits the selector."""
        root = self.send("DOM.getDocument")["root"]["nodeId"]
        node = self.send("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.send("DOM.setFileInputFiles", nodeId=node, files=[file])

    def screenshot(self) -> bytes:
        """The page as base64 text of a PNG file."""
        return self.send("Page.captureScreenshot", captureBeyondViewport=True)["data"]
