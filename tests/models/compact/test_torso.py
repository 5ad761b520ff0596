"""Where shoulders and the picture's borders hold the moving person."""

from __future__ import annotations

import numpy as np

from real3d_portrait.models.compact.torso import HOLD, cut_borders, hold, shoulder_track

SIZE = 100


def moved(by: float) -> tuple[np.ndarray, np.ndarray]:
    x, y = np.meshgrid(np.arange(SIZE, dtype=np.float32), np.arange(SIZE, dtype=np.float32))
    return x + np.float32(by), y - np.float32(by)


def test_borders_that_cut_the_person_are_found() -> None:
    matte = np.zeros((SIZE, SIZE), np.uint8)
    matte[30:, 20:80] = 255
    assert cut_borders(matte).tolist() == [0, 0, 0, 1]


def test_motion_fades_to_nothing_at_a_border_that_cuts_and_nowhere_else() -> None:
    map_x, map_y = moved(8)
    hold(map_x, map_y, np.array([0, 1, 0, 0], np.float32))
    free = moved(8)
    inner = round(HOLD * SIZE)
    assert (map_x[inner:] == free[0][inner:]).all()
    assert (map_x[0] == np.arange(SIZE)).all()
    assert (map_y[0] == 0).all()
    assert (np.diff(map_y[:, 50]) > 0).all()  # nothing folds over


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
