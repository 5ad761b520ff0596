"""Shoulders that follow the neck, and the head that stays whole and in the picture."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest

from real3d_portrait.face.tracking import FaceFinder
from real3d_portrait.media.images import read_photo
from real3d_portrait.models.compact.avatar import CompactAvatar
from real3d_portrait.models.compact.frame import over
from real3d_portrait.models.compact.model import CompactModel
from real3d_portrait.models.compact.torso import head_room, shoulder_track
from real3d_portrait.models.interface import Placement
from real3d_portrait.motion.motion import Motion
from real3d_portrait.motion.placement import PLACE_LIMITED, TURN_LIMITED
from real3d_portrait.pipeline import Real3DPortrait
from tests.example_inputs import PORTRAIT

SIZE = 100
FACE_HEIGHT = 0.9  # head units, forehead to chin
FRAMES = 100


def standing_person() -> np.ndarray:
    """A matte: shoulders from row 70 on that touch both sides, a head above them."""
    matte = np.zeros((SIZE, SIZE), np.uint8)
    matte[20:70, 30:70] = 255
    matte[70:] = 255
    return matte


def test_shoulders_follow_a_moved_head_slowly_and_not_a_nod() -> None:
    frames = 80
    rest = np.zeros((2, 3))
    still = np.zeros((frames, 3))
    jump = still.copy()
    jump[frames // 2 :, 0] = 0.2
    shift = shoulder_track(still, jump, rest, 512)
    assert shift[0, 0] < 1
    assert 20 < shift[-1, 0] < 0.2 * 256
    assert np.abs(np.diff(shift[:, 0])).max() < 5  # pixels a frame, of a jump of 51


def test_room_is_what_lies_between_the_head_and_the_border() -> None:
    landmarks = np.zeros((478, 3), np.float32)
    landmarks[0, :2], landmarks[1:, :2] = (35, 30), (65, 65)
    landmarks[13, 1] = 55
    room = head_room(standing_person(), landmarks, np.zeros(3))
    left, _, right, top = room.edges * 50 + 50  # pixels, y up
    assert (left, right, top) == pytest.approx((29, 71, 81))  # a margin of one pixel
    assert np.isinf(room.inward).all()


def test_a_head_that_the_photo_cuts_stays_near_the_border_that_cuts_it() -> None:
    matte = standing_person()
    matte[:30, 30:70] = 255
    landmarks = np.zeros((478, 3), np.float32)
    landmarks[0, :2], landmarks[1:, :2] = (35, 20), (65, 65)
    landmarks[13, 1] = 55
    room = head_room(matte, landmarks, np.zeros(3))
    assert room.inward[3] < 0.4  # 20 pixels
    assert np.isinf(room.inward[:3]).all()


# The whole way: a photo whose shoulders touch both sides, a driver who moves sideways.


@pytest.fixture(scope="module")
def model() -> CompactModel:
    found: Any = Real3DPortrait.from_pretrained("compact", device="cpu").model
    return found


@pytest.fixture(scope="module")
def avatar(model: CompactModel) -> CompactAvatar:
    return model.reconstruct(model.prepare(read_photo(PORTRAIT), 512, None))


def driven(model: CompactModel, way: np.ndarray) -> Motion:
    """A relaxed face that goes that way, head units, within three seconds and stays."""
    t = np.clip(np.arange(FRAMES) / 75, 0, 1)[:, None]
    still = np.zeros((FRAMES, 3), np.float32)
    expression = np.zeros((FRAMES, model.face_model.n_expression), np.float32)
    return Motion(expression, still, (t * t * (3 - 2 * t) * way).astype(np.float32), model.face_model.name)


def last_frame(model: CompactModel, avatar: CompactAvatar, placed: Motion) -> np.ndarray:
    shoulders = model.shoulders(avatar, placed)
    person = model.renderer.frame(
        avatar, placed.expression[-1], placed.rotation[-1], placed.translation[-1], shoulders[-1]
    )
    return over(person, avatar.plate)


def found_face(frame: np.ndarray) -> np.ndarray:
    with FaceFinder() as finder:
        faces = finder.find(frame)
    assert len(faces) == 1
    return faces[0][:, :2]


@pytest.mark.parametrize("heights", [0.35, 0.7, 1.2, -0.7])
@pytest.mark.parametrize("near", [1.0, 1.6])
def test_a_head_that_moves_sideways_stays_whole(
    model: CompactModel, avatar: CompactAvatar, heights: float, near: float
) -> None:
    way = np.array([heights * FACE_HEIGHT, 0, 5 * np.log(near)])
    placed, warnings = model.place(avatar, driven(model, way), Placement())
    if abs(heights) > 0.5 or near > 1:
        assert warnings == (PLACE_LIMITED,)
    face = found_face(last_frame(model, avatar, placed))
    rest = found_face(last_frame(model, avatar, model.place(avatar, driven(model, 0 * way), Placement())[0]))
    assert (face > 0).all()
    assert (face < avatar.size).all()
    shape, whole = np.ptp(face, axis=0), np.ptp(rest, axis=0)
    assert shape[0] / shape[1] == pytest.approx(whole[0] / whole[1], rel=0.02)
    assert (face.mean(0) - rest.mean(0))[0] * np.sign(heights) > 20


def test_neck_and_shirt_hold_together(model: CompactModel, avatar: CompactAvatar) -> None:
    placed, _ = model.place(avatar, driven(model, np.array([1.2 * FACE_HEIGHT, 0, 0])), Placement())
    shoulders = model.shoulders(avatar, placed)
    person = model.renderer.frame(
        avatar, placed.expression[-1], placed.rotation[-1], placed.translation[-1], shoulders[-1]
    )
    _, _, parts, _ = cv2.connectedComponentsWithStats((person[..., 3] > 127).astype(np.uint8))
    assert (parts[1:, cv2.CC_STAT_AREA] > 200).sum() == 1
    assert (person[-1, :, 3] > 127).mean() > 0.99  # the lower border is covered as in the photo


def test_a_way_for_which_there_is_room_is_not_limited(model: CompactModel, avatar: CompactAvatar) -> None:
    motion = driven(model, np.array([0.05, -0.03, 0.2]))
    placed, warnings = model.place(avatar, motion, Placement())
    assert warnings == ()
    assert (placed.translation == (avatar.translation + motion.relative().translation).astype(np.float32)).all()


def test_a_turn_and_a_way_that_are_both_too_far_are_named_once_each(model: CompactModel, avatar: CompactAvatar) -> None:
    far = driven(model, np.array([1.2 * FACE_HEIGHT, 0, 0]))
    turned = Motion(far.expression, far.translation * np.float32([1, 0, 0]), far.translation, far.face_model)
    assert model.place(avatar, turned, Placement())[1] == (TURN_LIMITED, PLACE_LIMITED)


def test_an_absolute_pose_has_the_photos_place_where_the_driver_is_turned_as_the_photo(
    model: CompactModel, avatar: CompactAvatar
) -> None:
    motion = driven(model, np.array([0.06, 0.0, 0.0]))
    rotation = np.tile(avatar.rotation, (FRAMES, 1)).astype(np.float32)
    rotation[:, 0] += np.abs(np.arange(FRAMES) - 40) * np.float32(0.002)
    placed, _ = model.place(avatar, replace(motion, rotation=rotation), Placement("absolute"))
    way = placed.translation - avatar.translation
    assert np.abs(way[40]).max() < 1e-6
    assert way[0, 0] < 0 < way[-1, 0]
