"""What a visitor meets first: what is missing is said, something moves at once, nothing jumps, nothing gets lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from gradio_client import handle_file

from tests.app.pages import PHONE, block, choose, page
from tests.app.server import Server
from tests.example_inputs import PORTRAIT, speech

pytestmark = pytest.mark.slow  # a running app

SIZES = ((1366, 900), (1920, 1080), PHONE)
WEBGL = ("--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader")
START, TOAST = "button.start:visible", ".real3d-toast"


def give(opened: Any, voice: str | None = None) -> None:
    """Photo, consent, and speech where there is a file of it."""
    choose(opened, "Photo", PORTRAIT)
    opened.get_by_text("This photo is good to go.").first.wait_for()
    if voice:
        choose(opened, "Speech", voice)
    opened.get_by_label("The person shown agreed", exact=False).first.check()
    opened.wait_for_function("[...document.querySelectorAll('button.start')].some(b => !b.matches('.wanting'))")


@pytest.mark.parametrize("size", SIZES)
def test_the_button_says_what_is_missing_and_leads_there(server: Server, size: tuple[int, int]) -> None:
    with page(server.url, size) as opened:
        button = opened.get_by_role("button", name="Make it talk")
        assert button.inner_text() == "Make it talk\nStill missing: a photo, speech, consent"
        button.click()
        assert opened.locator(TOAST).inner_text() == "Still missing: a photo, speech, consent."
        opened.wait_for_function(IN_VIEW, arg=".field-portrait")
        opened.get_by_label("The person shown agreed", exact=False).first.check()
        opened.wait_for_function("document.querySelector('button.start.wanting').innerText.endsWith('a photo')")
        assert button.inner_text().endswith("Still missing: a photo, speech")


@pytest.mark.parametrize("size", [SIZES[0], PHONE])
def test_a_run_moves_at_once_on_one_clock_and_nothing_jumps(
    server: Server, tmp_path: Path, size: tuple[int, int]
) -> None:
    with page(server.url, size) as opened:
        give(opened, speech(tmp_path / "voice.wav", 2))
        assert not opened.get_by_role("button", name="Cancel").is_visible()
        opened.wait_for_timeout(600)  # what still moves belongs to the tick
        opened.evaluate(MEASURE)
        opened.get_by_role("button", name="Make it talk").click()
        opened.wait_for_function("document.querySelector('.place.running')")
        assert opened.evaluate("began - clicked") < 300
        assert opened.get_by_role("button", name="Cancel").is_visible()
        opened.wait_for_function(IN_VIEW, arg=".place .status")
        opened.wait_for_function("document.querySelector('.place:not(.running)')", timeout=300_000)
        opened.wait_for_timeout(500)
        assert opened.evaluate("shifted") < 0.05
        assert opened.evaluate("clock").count("0:00") == 1
        assert not opened.get_by_role("button", name="Cancel").is_visible()


def test_a_refusal_is_a_toast_in_the_pages_words_at_its_field(server: Server) -> None:
    with page(server.url) as opened:
        give(opened)
        background = opened.get_by_label("Background", exact=True).first
        background.fill("no such colour")
        background.press("Enter")
        opened.get_by_role("button", name="Preview one frame").first.click()
        said = opened.get_by_text("“no such colour” is no background that is known here", exact=False)
        said.first.wait_for()
        opened.wait_for_function(IN_VIEW, arg=".field-background")
        assert opened.get_by_text("prompt:", exact=False).count() == 0


def test_cancel_answers(server: Server, tmp_path: Path) -> None:
    with page(server.url) as opened:
        give(opened, speech(tmp_path / "long.wav", 20))
        opened.get_by_role("button", name="Make it talk").click()
        opened.get_by_text("frames/s", exact=False).first.wait_for(timeout=300_000)
        opened.get_by_role("button", name="Cancel").click()
        opened.get_by_text("Cancelled.").wait_for(timeout=1000)
        opened.get_by_role("button", name="Cancel").wait_for(state="hidden")


def test_a_preview_does_not_wait_for_a_video_and_goes_with_its_photo(server: Server, tmp_path: Path) -> None:
    voice = handle_file(speech(tmp_path / "long.wav", 40))
    with page(server.url) as opened:
        give(opened)
        job = server.client().submit(
            portrait=handle_file(PORTRAIT), audio=voice, consent=True, size=256, api_name="/audio_driven"
        )
        while not any("rendering" in (unit.desc or "") for unit in job.status().progress_data or ()):
            assert not job.done()
            opened.wait_for_timeout(50)
        opened.get_by_role("button", name="Preview one frame").first.click()
        picture = opened.locator("img[src*='preview_frame-']")
        picture.wait_for()
        assert not job.done()  # the video is still being made
        job.cancel()
        choose_another(opened)
        picture.wait_for(state="detached")


def test_how_it_is_made_opens_and_draws_the_head(server: Server) -> None:
    with page(server.url, flags=WEBGL) as opened:
        if not opened.evaluate("!!document.createElement('canvas').getContext('webgl')"):
            pytest.skip("this Chromium draws no 3-D pictures")
        give(opened)
        opened.get_by_role("button", name="Show how it is made").click()
        head = opened.locator(".head-viewer canvas")
        head.wait_for(state="visible")
        opened.wait_for_function(DRAWN)
        before = head.screenshot()
        head.focus()
        opened.keyboard.press("ArrowRight")
        assert head.screenshot() != before


def test_inputs_and_the_result_are_there_after_a_refresh_but_consent(
    server: Server, talking: tuple[str, dict[str, Any], Any], tmp_path: Path
) -> None:
    with page(server.url) as opened:
        give(opened, speech(tmp_path / "voice.wav", 0.3))
        opened.get_by_role("tab", name="Video-driven").click()
        opened.locator("img[src*='portrait_1']").locator("visible=true").first.wait_for()  # it came along
        opened.get_by_role("tab", name="Audio-driven").click()
        opened.locator("tr.tr-body").locator("visible=true").first.click()
        opened.locator("#result video[src*='talking_1']").wait_for()
        opened.wait_for_timeout(500)
        opened.reload(wait_until="domcontentloaded")
        opened.locator("#result video[src*='talking_1']").wait_for()
        opened.wait_for_function(
            "document.querySelector('button.start.wanting')?.innerText == 'Preview one frame\\nStill missing: consent'"
        )


def test_an_example_of_a_swap_brings_its_background_and_no_controls_of_heads(server: Server) -> None:
    with page(server.url) as opened:
        opened.get_by_role("tab", name="Background-swap").click()
        head = opened.get_by_role("button", name="Advanced: head and face").locator("visible=true")
        head.wait_for()
        background = opened.get_by_label("Background", exact=True).locator("visible=true")
        background.click()
        assert "As in the photo" not in opened.get_by_role("option").all_inner_texts()
        opened.keyboard.press("Escape")
        opened.locator("tr.tr-body").locator("visible=true").first.click()
        opened.locator("#result video[src*='swapped']").wait_for()
        assert background.input_value() == "teal"
        head.wait_for(state="hidden")


def choose_another(opened: Any) -> None:
    photo = block(opened, "Photo")
    photo.get_by_label("Remove Image").or_(photo.get_by_label("Clear")).first.click()


IN_VIEW = """
name => [...document.querySelectorAll(name)].some(found => {
    const {top, bottom, height} = found.getBoundingClientRect();
    return height && top >= -1 && bottom <= innerHeight + 1;
})
"""
DRAWN = """
() => {
    const canvas = document.querySelector('.head-viewer canvas'), copy = document.createElement('canvas');
    if (!canvas.width) return false;
    [copy.width, copy.height] = [canvas.width, canvas.height];
    const plain = copy.getContext('2d');
    plain.drawImage(canvas, 0, 0);
    const pixels = plain.getImageData(0, 0, copy.width, copy.height).data;
    let seen = 0;
    for (let at = 3; at < pixels.length; at += 4) seen += pixels[at] > 0;
    return seen > copy.width * copy.height / 20;
}
"""
MEASURE = """
() => {
    [window.shifted, window.clock] = [0, []];
    new PerformanceObserver(list => list.getEntries().forEach(entry => {
        if (!entry.hadRecentInput) window.shifted += entry.value;
    })).observe({type: 'layout-shift'});
    document.addEventListener('click', () => { window.clicked = performance.now(); }, {capture: true, once: true});
    const place = document.querySelector('.place');
    new MutationObserver(() => {
        if (!window.began && place.matches('.running'))
            requestAnimationFrame(() => { window.began = performance.now(); });
        const now = place.querySelector('.clock').textContent;
        if (now && window.clock.at(-1) !== now) window.clock.push(now);
    }).observe(place, {subtree: true, childList: true, characterData: true, attributes: true});
}
"""
