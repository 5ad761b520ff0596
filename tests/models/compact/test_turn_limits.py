"""How far a photo can turn follows from what it shows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from real3d_portrait.config import PoseLimits
from real3d_portrait.models.compact.avatar import CompactAvatar
from real3d_portrait.models.compact.canonical_planes import CanonicalPlanes
from real3d_portrait.models.compact.image_to_plane import LayeredHead
from real3d_portrait.models.compact.turn_limits import LEAST, MOST, known_share, turn_limits
from real3d_portrait.motion.placement import limited_turn


def knowing(head: LayeredHead, left: float, right: float) -> LayeredHead:
    """The head with a photo that shows so much of both sides."""
    texture = head.skin.planes.texture.copy()
    texture[1, ..., 3], texture[2, ..., 3] = left, right
    texture[0, ..., 3] = np.where(np.arange(texture.shape[2]) < texture.shape[2] / 2, left, right)
    planes = CanonicalPlanes(texture)
    return replace(head, skin=replace(head.skin, planes=planes, shown=np.ones_like(head.skin.shown)))


def test_a_frontal_photo_turns_to_both_sides_alike(avatar: CompactAvatar) -> None:
    left, right = turn_limits(avatar.head)
    assert abs(left - right) <= 7.5
    assert 15 <= min(left, right) <= max(left, right) < MOST
    share = known_share(avatar.head)
    assert share.min() >= 0
    assert share.max() == pytest.approx(1, abs=0.02)


def test_what_is_known_decides(avatar: CompactAvatar) -> None:
    assert turn_limits(knowing(avatar.head, 1, 1)) == (MOST, MOST)
    assert turn_limits(knowing(avatar.head, 0, 0)) == (LEAST, LEAST)
    # The person's right side, on the picture's left, shows when the nose goes to the right.
    left, right = turn_limits(knowing(avatar.head, 1, 0.55))
    assert right > left


def test_a_turn_is_limited_on_each_side_by_its_own() -> None:
    limits = PoseLimits(yaw=45, pitch=20, roll=35)
    turn = np.radians([[-28.0, 0, 0], [28.0, 0, 0], [-28.0, 5, 5]])
    kept, limited = limited_turn(turn, limits, (20, 40))
    assert limited
    assert np.degrees(kept[0, 0]) > -24.01
    assert np.allclose(kept[1], turn[1])
    assert np.allclose(kept[2, 1:], turn[2, 1:])
    assert not limited_turn(turn[1:2], limits, (20, 40))[1]
