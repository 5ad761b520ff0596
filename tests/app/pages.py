"""Real Chromium on the app's page, steered by Playwright; Debian's program, no browser is downloaded."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update",
    "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream",
]  # fmt: skip
DESKTOP, PHONE = (1280, 900), (390, 844)


@contextmanager
def page(url: str, size: tuple[int, int] = DESKTOP, dark: bool = False, flags: tuple[str, ...] = ()) -> Iterator[Any]:
    """The app's page, ready for use; a script error on it fails the test.

    Args:
        size: width and height of the viewport in CSS pixels.
        flags: of Chromium, further ones.
    """
    playwright = pytest.importorskip("playwright.sync_api")
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("no chromium")
    errors: list[str] = []
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=[*FLAGS, *flags])
        context = browser.new_context(
            viewport={"width": size[0], "height": size[1]},
            color_scheme="dark" if dark else "light",
            permissions=["microphone", "camera"],
        )
        opened = context.new_page()
        opened.set_default_timeout(180_000)
        opened.on("pageerror", lambda error: errors.append(str(error)))
        opened.goto(url, wait_until="domcontentloaded")
        opened.get_by_role("button", name="Make it talk").wait_for()
        opened.locator("input[type=file]").first.wait_for(state="attached")
        opened.wait_for_timeout(500)
        yield opened
        browser.close()
    assert errors == []


def choose(opened: Any, label: str, file: str) -> None:
    """Upload a file into the visible input of that label."""
    block(opened, label).locator("input[type=file]").first.set_input_files(file)


def block(opened: Any, label: str) -> Any:
    """The visible input or output of that label."""
    name = opened.get_by_test_id("block-label").get_by_text(label, exact=True)
    return opened.locator(".block:visible").filter(has=name).last


def play(opened: Any) -> Any:
    """The result's video once it is there and its length is known."""
    ready = "[...document.querySelectorAll('video[src*=\"_driven-\"]')].some(video => video.duration > 0.2)"
    opened.wait_for_function(ready, timeout=300_000)
    return block(opened, "Result").locator("video")
