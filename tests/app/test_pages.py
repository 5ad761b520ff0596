"""The page as a person meets it, in real Chromium: each tab, a preview, an error, cancel, a phone, the keyboard."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from real3d_portrait.resources import resource
from tests.app.pages import PHONE, block, choose, page, play
from tests.app.server import Server, frames
from tests.example_inputs import PORTRAIT, speech

pytestmark = pytest.mark.slow  # a running app


def test_audio_driven_from_upload_to_download(server: Server, tmp_path: Path) -> None:
    with page(server.url) as opened:
        choose(opened, "Photo", PORTRAIT)
        opened.get_by_text("This photo is good to go.").wait_for()
        choose(opened, "Speech", speech(tmp_path / "voice.wav", 0.6))
        opened.locator("audio, .waveform-container, #waveform").first.wait_for(state="attached")
        opened.get_by_role("button", name="Make it talk").click()
        opened.get_by_text("Still missing: consent.").wait_for()
        opened.get_by_label("The person shown agreed", exact=False).first.check()
        opened.get_by_role("button", name="Preview one frame").click()
        opened.locator("img[src*='preview_frame-']").wait_for()
        opened.get_by_role("button", name="Make it talk").click()
        video = play(opened)
        opened.wait_for_function("document.querySelector('video[src*=\"_driven-\"]').currentTime > 0.1")
        with opened.expect_download() as download:
            block(opened, "Result").get_by_label("Download").first.click()
        download.value.save_as(tmp_path / "kept.mp4")
        assert frames(str(tmp_path / "kept.mp4")).shape == (15, 512, 512, 3)
        assert video.count() == 1


def test_a_draft_plays_without_a_halt_until_the_video_takes_over(server: Server, tmp_path: Path) -> None:
    with page(server.url) as opened:
        choose(opened, "Photo", PORTRAIT)
        choose(opened, "Speech", speech(tmp_path / "voice.wav", 5))
        opened.locator("audio, .waveform-container, #waveform").first.wait_for(state="attached")
        opened.get_by_label("The person shown agreed", exact=False).first.check()
        opened.get_by_role("button", name="Advanced: picture and file").locator("visible=true").click()
        opened.get_by_label("256", exact=True).locator("visible=true").check()
        opened.evaluate(LISTEN)
        opened.get_by_role("button", name="Make it talk").click()
        draft = opened.locator("figure video")
        draft.wait_for()
        opened.wait_for_function("document.querySelector('figure video').videoWidth == 256")
        opened.get_by_text("Draft at 256 pixels.", exact=False).wait_for()
        play(opened)
        opened.wait_for_function("document.querySelector('figure').hidden")
        happened, reached = opened.evaluate("[happened, reached]")
        assert [name for name, _ in happened[:2]] == ["loadeddata", "play"]
        assert "waiting" not in dict(happened)
        assert reached > 0
        assert dict(happened)["seeking"] >= reached  # the result goes on where the draft stood


def test_a_gif_is_seen_in_the_videos_place_and_downloads_as_it_was_made(server: Server, tmp_path: Path) -> None:
    with page(server.url) as opened:
        choose(opened, "Photo", PORTRAIT)
        choose(opened, "Speech", speech(tmp_path / "voice.wav", 0.3))
        opened.get_by_role("button", name="Advanced: picture and file").locator("visible=true").click()
        opened.get_by_role("radio", name="256", exact=True).locator("visible=true").check()
        opened.get_by_role("radio", name="GIF").locator("visible=true").check()
        opened.get_by_label("The person shown agreed", exact=False).first.check()
        opened.get_by_role("button", name="Make it talk").click()
        opened.locator("img[src*='audio_driven-']").wait_for(timeout=300_000)
        opened.locator("#result").wait_for(state="hidden")
        with opened.expect_download() as download:
            block(opened, "Result (GIF)").get_by_label("Download").first.click()
        download.value.save_as(tmp_path / "kept.gif")
    assert (tmp_path / "kept.gif").read_bytes()[:6] == b"GIF89a"
    assert frames(str(tmp_path / "kept.gif")).shape[1:] == (256, 256, 3)


def test_video_driven_and_background_swap(server: Server, talking: tuple[str, dict[str, Any], Any]) -> None:
    with page(server.url) as opened:
        opened.get_by_role("tab", name="Video-driven").click()
        choose(opened, "Photo", PORTRAIT)
        choose(opened, "Driving video", talking[0])
        opened.get_by_label("The person shown agreed", exact=False).locator("visible=true").check()
        opened.get_by_role("button", name="Repeat the motion").click()
        opened.locator("video[src*='video_driven-']").wait_for(timeout=300_000)
        opened.get_by_role("tab", name="Background-swap").click()
        choose(opened, "A finished talking-head video", talking[0])
        opened.get_by_label("The person shown agreed", exact=False).locator("visible=true").check()
        opened.get_by_role("button", name="Swap the background").click()
        opened.locator("video[src*='background_swap-']").wait_for(timeout=300_000)


def test_a_click_on_an_example_shows_its_finished_result(server: Server) -> None:
    with page(server.url) as opened:
        opened.locator(".gallery-item, tr.tr-body").locator("visible=true").first.click()
        opened.wait_for_function(
            "[...document.querySelectorAll('video')].some(v => v.src.includes('talking_1') && v.duration > 5)"
        )
        opened.get_by_text("This photo is good to go.").wait_for()


def test_cancel_stops_the_rendering(server: Server, tmp_path: Path) -> None:
    with page(server.url) as opened:
        choose(opened, "Photo", PORTRAIT)
        choose(opened, "Speech", speech(tmp_path / "long.wav", 30))
        opened.locator("audio, .waveform-container, #waveform").first.wait_for(state="attached")
        opened.get_by_label("The person shown agreed", exact=False).first.check()
        opened.get_by_role("button", name="Make it talk").click()
        opened.get_by_text("frames/s", exact=False).first.wait_for(timeout=300_000)
        opened.locator("figure video").wait_for(timeout=300_000)
        opened.get_by_role("button", name="Cancel").click()
        opened.locator("figure video").wait_for(state="hidden")
        opened.get_by_text("frames/s", exact=False).first.wait_for(state="detached")
        opened.wait_for_timeout(2000)
    assert server.files() == []
    assert list(server.cache.rglob("draft-*")) == []


def test_the_mark_of_a_result_is_read(server: Server, talking: tuple[str, dict[str, Any], Any]) -> None:
    with page(server.url) as opened:
        opened.get_by_role("button", name="Was this made here?").click()
        choose(opened, "Video, GIF or PNG", talking[0])
        opened.get_by_text("Made here with AI, and unchanged since.", exact=False).wait_for()
        assert "on no public trust list" in opened.locator(".answer").first.inner_text()


@pytest.mark.parametrize("tab", ["Audio-driven", "Video-driven", "Background-swap"])
def test_a_phone_shows_everything_in_one_column(server: Server, tab: str) -> None:
    with page(server.url, PHONE) as opened:
        opened.get_by_role("tab", name=tab).click()
        opened.wait_for_timeout(500)
        assert opened.evaluate("document.documentElement.scrollWidth") <= PHONE[0]


def test_every_control_has_a_name_and_an_explanation(server: Server) -> None:
    with page(server.url) as opened:
        folded = opened.get_by_role("button", name="Advanced", exact=False).locator("visible=true").all()
        assert len(folded) == 3
        for part in folded:
            part.click()
        opened.wait_for_timeout(500)
        assert opened.evaluate(NAMELESS) == []
        assert opened.evaluate(UNEXPLAINED) == []


def test_the_keyboard_reaches_the_start_button_and_starts(server: Server) -> None:
    with page(server.url) as opened:
        reached = []
        for _ in range(60):
            opened.keyboard.press("Tab")
            reached.append(
                opened.evaluate("document.activeElement.innerText || document.activeElement.ariaLabel || ''")
            )
            if reached[-1].startswith("Make it talk"):
                break
        assert any("Audio-driven" in name for name in reached)
        assert reached[-1].startswith("Make it talk")
        opened.keyboard.press("Enter")
        opened.get_by_text("Still missing: a photo, speech, consent.").wait_for()


def test_dark_is_dark_and_legible(server: Server) -> None:
    for dark in (True, False):
        with page(server.url, dark=dark) as opened:
            for folded in opened.get_by_role("button", name="Advanced", exact=False).locator("visible=true").all():
                folded.click()
            opened.wait_for_timeout(500)
            assert opened.evaluate(CONTRAST) == []


def test_the_pages_own_files_are_all_it_asks_for(server: Server) -> None:
    with page(server.url) as opened:
        asked = opened.evaluate("performance.getEntriesByType('resource').map(e => e.name)")
        assert [name for name in asked if not name.startswith(server.url)] == []
    assert resource("assets", "examples", "talking_1.mp4").is_file()


LISTEN = """
() => {
    [window.happened, window.reached] = [[], 0];
    const draft = document.querySelector('figure video');
    const note = event => happened.push([event.type, event.target.currentTime]);
    for (const name of ['loadeddata', 'play', 'waiting']) draft.addEventListener(name, note);
    draft.addEventListener('timeupdate', () => { window.reached = Math.max(reached, draft.currentTime); });
    document.addEventListener('seeking', event => event.target.closest('#result') && note(event), true);
}
"""
NAMELESS = """
[...document.querySelectorAll('button, input, select, textarea')].filter(e => e.offsetParent
    && getComputedStyle(e).visibility == 'visible' && !(
    e.innerText.trim() || e.ariaLabel || e.title || e.labels?.length || e.getAttribute('aria-labelledby')
    || e.closest('label')?.innerText.trim() || e.type == 'file' || e.getAttribute('data-testid') == 'file-upload'
)).map(e => e.outerHTML.slice(0, 200))
"""
UNEXPLAINED = """
[...document.querySelectorAll('input[type=range], input[type=number], input[type=radio], input[type=checkbox]')]
    .filter(e => e.offsetParent && !/[.]/.test(e.closest('.block').innerText)).map(e => e.closest('.block').innerText)
"""
# Texts whose contrast with what is behind them is below 4.5, the accessibility guidelines' least.
CONTRAST = """
(() => {
    const parse = c => (c.match(/[\\d.]+/g) || [0, 0, 0, 0]).map(Number);
    const linear = v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
    const light = c => { const [r, g, b] = c.map(v => linear(v / 255)); return .2126 * r + .7152 * g + .0722 * b; };
    const behind = e => { for (; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor);
                          if (c.length == 3 || c[3] > .9) return c; } return [255, 255, 255]; };
    const bad = [];
    for (const e of document.querySelectorAll('p, span, label, h1, button, a, li')) {
        if (!e.offsetParent || ![...e.childNodes].some(n => n.nodeType == 3 && n.textContent.trim())) continue;
        if (e.closest('footer') || e.disabled) continue;
        const [a, b] = [light(parse(getComputedStyle(e).color).slice(0, 3)), light(behind(e).slice(0, 3))];
        const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
        if (ratio < 4.5) bad.push(e.innerText.slice(0, 40) + ' ' + ratio.toFixed(2));
    }
    return [...new Set(bad)];
})()
"""
