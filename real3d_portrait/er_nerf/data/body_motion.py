"""How the body moves: measured from the pictures, and the part of it that the head's pose tells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from real3d_portrait.arrays import Float32Array, Float64Array, FloatArray, UInt8Array

_CORNERS, _QUALITY, _APART = 300, 0.002, 3  # that are followed: how many, how clear, pixels of 256 between them
_WINDOW, _LEVELS = 15, 2
_MET = 1.5  # pixels of 256 within which a corner moves with the body
_FEWEST = 8
_PENALTY = 0.01  # of the regression, a share of the poses' variance


def body_motion(
    frames: Sequence[UInt8Array], torsos: Sequence[UInt8Array], heads: Sequence[UInt8Array]
) -> Float64Array:
    """Where each frame's body is against the middle frame's: (T, 2, 3) similarities of pixels (column, row).

    Corners of the torso are followed by optical flow (Lucas and Kanade 1981), and the similarity that most of them obey
    is taken. A frame in which too few are found keeps its neighbour's.

    Args:
        frames: (H, W, 3). torsos: (H, W, 4) with mattes. heads: (H, W) mattes.
    """
    count, middle = len(frames), len(frames) // 2
    motion = np.tile(np.eye(2, 3), (count, 1, 1))
    scale = frames[middle].shape[1] / 256
    first = cv2.cvtColor(np.asarray(frames[middle]), cv2.COLOR_RGB2GRAY)
    body = ((torsos[middle][..., 3] > 200) & (heads[middle] < 10)).astype(np.uint8)
    inside = 255 * cv2.erode(body, np.ones((3, 3), np.uint8))
    found = cv2.goodFeaturesToTrack(first, _CORNERS, _QUALITY, _APART * scale, mask=inside)
    if found is None or len(found) < _FEWEST:
        return motion
    corners = found[:, 0]
    for order in (range(middle, count), range(middle - 1, -1, -1)):
        last = np.eye(2, 3)
        for i in order:
            grey = cv2.cvtColor(np.asarray(frames[i]), cv2.COLOR_RGB2GRAY)
            guess = (corners @ last[:, :2].T + last[:, 2]).astype(np.float32)
            at, status, _ = cv2.calcOpticalFlowPyrLK(
                first,
                grey,
                corners.reshape(-1, 1, 2),
                guess.reshape(-1, 1, 2),
                winSize=(_WINDOW, _WINDOW),
                maxLevel=_LEVELS,
                flags=cv2.OPTFLOW_USE_INITIAL_FLOW,
            )
            followed = status[:, 0] > 0
            if followed.sum() >= _FEWEST:
                similar, obey = cv2.estimateAffinePartial2D(
                    corners[followed], at[followed, 0], ransacReprojThreshold=_MET * scale
                )
                if similar is not None and obey.sum() >= _FEWEST:
                    last = similar
            motion[i] = last
    return motion


@dataclass(frozen=True)
class PosedBody:
    """Affine maps of picture points (row, column, 1), each in [-1, 1], T frames.

    Attributes:
        rest: (T, 3, 3) from a frame, had its body moved just as the head's pose tells, to the body at rest.
        told: (T, 3, 3) from where a frame's body was to where the head's pose tells it to be.
    """

    rest: Float32Array
    told: Float32Array

    @classmethod
    def of(cls, motion: Float64Array, poses: FloatArray, height: int, width: int) -> PosedBody:
        """Ridge regression of body motion (T, 2, 3) in pixels on head poses (T, 4, 4)."""
        # Pixels (column, row) to picture points.
        points = np.array([[0, 2 / (height - 1), -1], [2 / (width - 1), 0, -1], [0, 0, 1]])
        moved = np.tile(np.eye(3), (len(motion), 1, 1))
        moved[:, :2] = motion
        moved = points @ moved @ np.linalg.inv(points)
        pose = np.asarray(poses, np.float64)
        turns = np.stack([pose[:, 2, 1], pose[:, 0, 2], pose[:, 1, 0]], 1)
        known = np.concatenate([pose[:, :3, 3], turns], 1)
        known = (known - known.mean(0)) / np.maximum(known.std(0), 1e-6)
        sought = moved[:, :2].reshape(len(moved), 6)
        mean = sought.mean(0)
        normal = known.T @ known + _PENALTY * len(known) * np.eye(6)
        told = np.tile(np.eye(3), (len(moved), 1, 1))
        told[:, :2] = (known @ np.linalg.solve(normal, known.T @ (sought - mean)) + mean).reshape(-1, 2, 3)
        return cls(np.linalg.inv(told).astype(np.float32), (told @ np.linalg.inv(moved)).astype(np.float32))
