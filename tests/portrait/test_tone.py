from __future__ import annotations

import cv2
import numpy as np
import pytest

from real3d_portrait.arrays import UInt8Array
from real3d_portrait.portrait.compact import CompactPortrait
from real3d_portrait.portrait.tone import tone_of
from real3d_portrait.resources import resource

TINTS = {"grey": (1.0, 1.0, 1.0), "sepia": (1.03, 0.89, 0.68), "blue": (0.55, 0.75, 1.15)}


@pytest.fixture(scope="module")
def portrait() -> CompactPortrait:
    from real3d_portrait.face.face_model import FaceModel
    from real3d_portrait.media.images import read_photo
    from real3d_portrait.portrait.compact import prepare_compact_portrait

    model = FaceModel.load(resource("assets", "weights", "compact", "face_model.safetensors"))
    return prepare_compact_portrait(read_photo(resource("assets", "examples", "portrait_1.jpg")), model, 192)


def tinted(image: UInt8Array, tint: tuple[float, float, float]) -> UInt8Array:
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    return np.clip(grey[..., None] * np.array(tint), 0, 255).astype(np.uint8)


def test_a_photo_in_colour_has_no_tone(portrait):
    assert tone_of(portrait.image, portrait.matte, portrait.landmarks) is None


@pytest.mark.parametrize("name", TINTS)
def test_teeth_and_lips_take_the_tone_of_the_photo(portrait, name):
    image = tinted(portrait.image, TINTS[name])
    tone = tone_of(image, portrait.matte, portrait.landmarks)
    assert tone is not None
    person = portrait.matte > 0.95
    kept = np.abs(tone.toned(image).astype(int) - image)[person]
    assert np.percentile(kept, 99) <= 4
    lips = np.full((1, 1, 3), (190, 90, 95), np.uint8)
    red, green, blue = tone.toned(lips)[0, 0].astype(float)
    like = np.array(TINTS[name]) / TINTS[name][1]
    assert [red / green, 1, blue / green] == pytest.approx(like, abs=0.07)


def test_a_head_of_one_tone_before_a_coloured_wall_keeps_it(portrait):
    grey = np.where(portrait.matte[..., None] > 0, tinted(portrait.image, TINTS["grey"]), (200, 60, 40))
    tone = tone_of(grey.astype(np.uint8), portrait.matte, portrait.landmarks)
    assert tone is not None
    assert np.ptp(tone.colours, axis=1).max() < 3
