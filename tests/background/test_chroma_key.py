"""Green and blue screens: what counts as one, and what is left of it round the person."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from real3d_portrait.arrays import Float32Array, Frame
from real3d_portrait.background.background import Background
from real3d_portrait.background.chroma_key import find_backdrop, keyed
from real3d_portrait.background.foreground import foreground_of
from real3d_portrait.background.swap import swapped_frames
from real3d_portrait.media.writer import VideoWriter
from tests.example_inputs import PORTRAIT

SIDE = 320
GREEN, BLUE = (0, 177, 64), (15, 60, 195)
SHIRTS = {"grey": (90, 92, 96), "teal": (40, 120, 118), "yellow": (215, 190, 60), "red": (170, 40, 45)}


def person(shirt: tuple[int, int, int], strands: bool = True) -> tuple[Float32Array, Float32Array]:
    """Colours (S, S, 3) and true alpha (S, S) of a drawn bust with loose hair, smoothed as a camera does."""
    large = 4 * SIDE
    colours, alpha = np.zeros((large, large, 3), np.uint8), np.zeros((large, large), np.uint8)

    def part(colour: tuple[int, int, int], centre: tuple[float, float], axes: tuple[float, float]) -> None:
        middle, size = (tuple(round(large * x) for x in pair) for pair in (centre, axes))
        cv2.ellipse(colours, middle, size, 0, 0, 360, colour, -1)
        cv2.ellipse(alpha, middle, size, 0, 0, 360, 255, -1)

    part(shirt, (0.5, 1.05), (0.42, 0.4))
    part((70, 50, 38), (0.5, 0.37), (0.2, 0.25))
    part((205, 155, 128), (0.5, 0.42), (0.14, 0.2))
    if strands:
        for turn in np.linspace(200, 340, 15):
            way = np.array([np.cos(np.radians(turn)), np.sin(np.radians(turn))])
            start, end = (np.rint(large * (np.array([0.5, 0.37]) + reach * way)).astype(int) for reach in (0.17, 0.29))
            cv2.line(colours, tuple(map(int, start)), tuple(map(int, end)), (70, 50, 38), 40)
            cv2.line(alpha, tuple(map(int, start)), tuple(map(int, end)), 255, 5)
    cover = cv2.resize(alpha.astype(np.float32) / 255, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    colour = cv2.resize(colours.astype(np.float32), (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    solid = np.where(alpha[::4, ::4, None] > 0, colours[::4, ::4], colour)
    return solid.astype(np.float32), cv2.GaussianBlur(cover, (0, 0), 0.7)


def before(screen: Float32Array, colours: Float32Array, alpha: Float32Array) -> Frame:
    """A frame with a camera's grain and chroma at half size."""
    mixed = alpha[..., None] * colours + (1 - alpha[..., None]) * screen
    mixed += np.random.default_rng(0).normal(0, 2, mixed.shape)
    luma = cv2.cvtColor(np.clip(mixed + 0.5, 0, 255).astype(np.uint8), cv2.COLOR_RGB2YCrCb)
    half = cv2.resize(luma[..., 1:], (SIDE // 2, SIDE // 2), interpolation=cv2.INTER_AREA)
    luma[..., 1:] = cv2.resize(half, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    return np.asarray(cv2.cvtColor(luma, cv2.COLOR_YCrCb2RGB), np.uint8)


def screen(colour: tuple[int, int, int], shade: float = 0.0) -> Float32Array:
    """(S, S, 3), darker towards a corner by `shade`."""
    light = 1 - shade * np.linspace(0, 1, SIDE)[:, None] * np.linspace(0, 1, SIDE)
    return (light[..., None] * colour).astype(np.float32)


def segmented(alpha: Float32Array) -> Float32Array:
    """What a coarse network says: hair's strands are missed, the edge is soft and some pixels off."""
    body = cv2.morphologyEx((alpha > 0.5).astype(np.uint8), cv2.MORPH_OPEN, np.ones((9, 9), np.uint8))
    return np.asarray(cv2.GaussianBlur(np.roll(body, 2, 1).astype(np.float32), (0, 0), 4), np.float32)


@pytest.mark.parametrize("shade", [0.0, 0.45])
@pytest.mark.parametrize("shirt", SHIRTS)
@pytest.mark.parametrize("colour", [GREEN, BLUE], ids=["green", "blue"])
def test_the_person_stays_and_the_screen_goes(colour: tuple[int, int, int], shirt: str, shade: float) -> None:
    colours, alpha = person(SHIRTS[shirt])
    frame = before(screen(colour, shade), colours, alpha)
    backdrop = find_backdrop(frame, segmented(alpha))
    assert backdrop is not None
    own, cut = keyed(frame, segmented(alpha), backdrop)
    assert np.abs(cut - alpha).mean() < 0.006
    hair = alpha.copy()
    hair[segmented(alpha) > 0.05] = 0  # strands that the segmentation has missed
    assert (cut * (hair > 0)).sum() > 0.6 * hair.sum()
    for behind in (0.0, 255.0):
        wanted, got = (a[..., None] * c + (1 - a[..., None]) * behind for a, c in ((alpha, colours), (cut, own)))
        excess = backdrop.key(got.astype(np.float32)) - np.maximum(backdrop.key(wanted.astype(np.float32)), 0)
        assert (excess > 25).sum() < 25


def test_what_is_no_screen_is_not_keyed() -> None:
    colours, alpha = person(SHIRTS["grey"])
    rng = np.random.default_rng(0)
    leaves = cv2.resize(rng.uniform(0.3, 1, (80, 80)), (SIDE, SIDE), interpolation=cv2.INTER_NEAREST)
    views = {
        "wall": screen((150, 152, 146)), "warm": screen((190, 150, 110)), "leaves": leaves[..., None] * (40, 130, 40),
        "half": np.where(np.arange(SIDE)[None, :, None] < SIDE // 2, screen(GREEN), screen((200, 200, 200))),
    }  # fmt: skip
    for view in views.values():
        assert find_backdrop(before(np.asarray(view, np.float32), colours, alpha), segmented(alpha)) is None


def test_the_backdrop_is_kept_from_frame_to_frame() -> None:
    colours, alpha = person(SHIRTS["red"])
    first = find_backdrop(before(screen(GREEN), colours, alpha), segmented(alpha))
    assert first is not None
    darker = find_backdrop(before(0.9 * screen(GREEN), colours, alpha), segmented(alpha), first)
    assert darker is not None
    ratio = darker.colours[..., 1].mean() / first.colours[..., 1].mean()
    assert 0.97 < ratio < 0.995


def test_soft_edges_lose_the_background_s_colour() -> None:
    colours, alpha = person(SHIRTS["grey"], strands=False)
    frame = before(screen((250, 200, 60)), colours, alpha)
    own = foreground_of(frame, alpha)
    assert (own[alpha >= 1] == frame[alpha >= 1]).all()
    soft = (alpha > 0.15) & (alpha < 0.85)
    as_it_was, freed = (np.abs(c.astype(float) - colours)[soft].mean() for c in (frame, own))
    assert freed < 0.6 * as_it_was


def test_no_green_is_left_round_a_person_in_a_video(tmp_path: Path) -> None:
    picture = np.asarray(Image.open(PORTRAIT).convert("RGB").resize((SIDE, SIDE)), np.float32)
    cover = np.zeros((SIDE, SIDE), np.uint8)
    cv2.ellipse(cover, (SIDE // 2, round(0.45 * SIDE)), (70, 110), 0, 0, 360, 255, -1)
    cv2.ellipse(cover, (SIDE // 2, SIDE + 30), (120, 90), 0, 0, 360, 255, -1)
    alpha = cv2.GaussianBlur(cover.astype(np.float32) / 255, (0, 0), 1.2)
    path = tmp_path / "green.mp4"
    with VideoWriter(path, SIDE, SIDE) as writer:
        for _ in range(4):
            writer.write(np.rint(alpha[..., None] * picture + (1 - alpha[..., None]) * screen(GREEN)).astype(np.uint8))
    for frame in swapped_frames(path, Background.parse("white"), np.arange(4) / 25):
        shown = frame.astype(int)
        green = shown[..., 1] - shown[..., [0, 2]].max(-1) > 15
        assert green.sum() < 30
