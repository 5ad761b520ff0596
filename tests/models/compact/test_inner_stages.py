"""The inner stages as pictures, of the example photo at a small size."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from real3d_portrait import Motion
from real3d_portrait.face.camera import project
from real3d_portrait.models.compact.avatar import CompactAvatar
from real3d_portrait.models.compact.inner_stages import Stages, inner_stages
from real3d_portrait.models.compact.model import CompactModel
from real3d_portrait.motion.neutral import mouth_direction
from real3d_portrait.portrait.compact import CompactPortrait

SIZE = 256


@pytest.fixture(scope="module")
def motion(model: CompactModel, avatar: CompactAvatar) -> Motion:
    """Rest, then an open mouth on a head turned to the right."""
    towards = mouth_direction(model.face_model)
    opened = 0.08 * towards / (towards @ towards)
    turn = np.array([[0, 0, 0], [0.3, 0, 0]])
    pose = avatar.rotation + turn, np.tile(avatar.translation, (2, 1))
    return Motion(np.stack([0 * opened, opened]).astype("f4"), *(a.astype("f4") for a in pose), model.face_model.name)


@pytest.fixture(scope="module")
def stages(model: CompactModel, avatar: CompactAvatar, motion: Motion) -> Stages:
    return inner_stages(model, avatar, motion, 1, avatar.plate)


def test_each_stage_is_a_picture_of_the_frames_size(stages: Stages) -> None:
    assert [title for _, title in stages.captioned()][::4] == ["Photo", "Final frame"]
    for picture, _ in stages.captioned():
        assert picture.shape == (SIZE, SIZE, 3)
        assert picture.dtype == np.uint8


def test_first_and_last_are_the_photo_and_the_frame(
    stages: Stages, model: CompactModel, person: CompactPortrait, avatar: CompactAvatar, motion: Motion
) -> None:
    assert (stages.photo == person.image).all()
    frames = list(model.render_frames(avatar, motion, iter([avatar.plate] * 2)))
    assert (stages.final == frames[1]).all()


def test_the_motion_code_says_which_point_came_where(
    stages: Stages, model: CompactModel, avatar: CompactAvatar, motion: Motion
) -> None:
    rest = inner_stages(model, avatar, replace(motion, expression=0 * motion.expression), 1, avatar.plate).pncc
    shown = rest.max(-1) > 30
    rows, columns = np.nonzero(shown & (np.ptp(rest.astype(int), axis=-1) > 0))
    # At rest red runs with x from the left and green with y from below.
    assert np.corrcoef(columns, rest[rows, columns, 0])[0, 1] > 0.99
    assert np.corrcoef(-rows, rest[rows, columns, 1])[0, 1] > 0.99
    changed = (np.abs(stages.pncc.astype(int) - rest).max(-1) > 8).mean(1)
    assert changed[SIZE // 2 :].mean() > 5 * changed[: SIZE // 3].mean()


def test_depth_is_brightest_at_the_nose_and_the_raw_head_has_no_shoulders(
    stages: Stages, avatar: CompactAvatar, motion: Motion
) -> None:
    points = project(avatar.head.neutral, motion.rotation[1], motion.translation[1], SIZE).astype(int)
    nose, temple, chin = (points[i, :2] for i in (4, 127, 152))
    grey = stages.depth.astype(int).sum(-1)
    assert grey[nose[1], nose[0]] > 1.3 * grey[temple[1], temple[0]]
    assert (stages.raw[chin[1] + 40 :] == 30).all()
    assert np.abs(stages.raw[nose[1], nose[0]].astype(int) - stages.final[nose[1], nose[0]]).max() < 40
