from __future__ import annotations

import numpy as np
import pytest

from real3d_portrait.face.face_model import FaceModel
from real3d_portrait.media.images import Photo, read_photo
from real3d_portrait.portrait.canvas import MARGIN, Rectangle, canvas_margin, continued_matte, wider_canvas
from real3d_portrait.portrait.compact import CompactPortrait, prepare_compact_portrait
from real3d_portrait.resources import resource
from tests.example_inputs import PORTRAIT

SIZE = 192


@pytest.fixture(scope="module")
def model() -> FaceModel:
    return FaceModel.load(resource("assets", "weights", "compact", "face_model.safetensors"))


@pytest.fixture(scope="module")
def photo() -> Photo:
    return read_photo(PORTRAIT)


@pytest.fixture(scope="module")
def portrait(photo: Photo, model: FaceModel) -> CompactPortrait:
    return prepare_compact_portrait(photo, model, SIZE)


def inner(portrait: CompactPortrait) -> tuple[slice, slice]:
    return (slice(portrait.margin, portrait.margin + portrait.size),) * 2


def test_the_inner_part_of_the_canvas_is_the_crop(portrait):
    side = SIZE + 2 * canvas_margin(SIZE)
    assert portrait.margin == round(MARGIN * SIZE)
    assert portrait.canvas_foreground is not None
    assert portrait.canvas_matte is not None
    assert portrait.canvas_foreground.shape == (side, side, 3)
    assert portrait.canvas_matte.shape == (side, side)
    assert (portrait.canvas_foreground[inner(portrait)] == portrait.foreground).all()
    assert (portrait.canvas_matte[inner(portrait)] == portrait.matte).all()


def test_beyond_the_photo_the_person_goes_on_without_stripes(portrait):
    bottom = portrait.margin + portrait.size
    columns = np.flatnonzero(portrait.matte[-1] == 1) + portrait.margin
    assert (portrait.canvas_matte[bottom : bottom + 10, columns[5:-5]] > 0.9).all()
    cloth = portrait.canvas_foreground[bottom:, columns].astype(np.float32)
    stripes = np.abs(cloth - cloth[:1]).mean()
    assert stripes > 2
    last = portrait.foreground[-1, columns - portrait.margin].astype(np.float32)
    assert np.abs(cloth[0] - last).mean() < 12


def test_where_the_photo_goes_on_its_own_pixels_are_taken(portrait, photo):
    # The middle of the crop, as if it were the crop.
    top, left, size = 30, 40, 112
    part = np.s_[top : top + size, left : left + size]
    scale = photo.pixels.shape[0] / SIZE
    colours, matte = wider_canvas(
        photo.pixels,
        np.array([[scale, 0, left * scale], [0, scale, top * scale]]),
        portrait.foreground[part],
        portrait.matte[part],
        portrait.landmarks - np.array([left, top, 0], np.float32),
    )
    margin = canvas_margin(size)
    whole = np.s_[top - margin : top + size + margin, left - margin : left + size + margin]
    assert (matte[margin:-margin, margin:-margin] == portrait.matte[part]).all()
    assert np.abs(matte - portrait.matte[whole]).mean() < 0.03
    both = (matte == 1) & (portrait.matte[whole] == 1)
    both[margin:-margin, margin:-margin] = False
    assert both.sum() > 500
    assert np.abs(colours.astype(np.float32) - portrait.foreground[whole])[both].mean() < 2


def test_the_outline_goes_on_in_its_direction():
    y, x = np.mgrid[:100, :100].astype(np.float32)
    truth = np.clip(0.5 + (x - 70 + 0.5 * y), 0, 1).astype(np.float32)
    known = Rectangle(0, 60, 0, 100)
    seen = truth.copy()
    seen[60:] = 0
    assert np.abs(continued_matte(seen, known) - truth)[60:].mean() < 0.03


def test_a_head_cut_above_is_rounded_off():
    y, x = np.mgrid[:120, :120]
    cut = ((np.abs(x - 60) < 30) & (y >= 40)).astype(np.float32)
    matte = continued_matte(cut, Rectangle(40, 120, 0, 120))
    widths = (matte[:40] > 0.5).sum(1)
    assert (np.diff(widths) >= 0).all()
    assert widths[0] == 0
    assert 10 <= (widths > 0).sum() <= 25


def test_a_hole_of_the_matte_at_the_border_makes_no_step_in_the_shoulder():
    alpha = np.zeros((200, 200), np.float32)
    crop = Rectangle(40, 160, 40, 160)
    alpha[110:160, 40:160] = 1
    alpha[113:119, 40:44] = 0.3  # just below the outline
    out = continued_matte(alpha, crop)
    outline = (out > 0.5).argmax(0)
    assert np.abs(np.diff(outline[10:60])).max() <= 1
    assert outline[10] == pytest.approx(110, abs=3)
