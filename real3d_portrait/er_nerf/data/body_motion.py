"""Body motion: measured by optical flow, and the part of it that head pose predicts by regression."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from real3d_portrait.arrays import Float32Array, Float64Array, FloatArray, UInt8Array

_CORNERS, _QUALITY, _APART = 300, 0.002, 3  # tracked: number, quality level, pixels of 256 between them
_WINDOW, _LEVELS = 15, 2
_INLIER = 1.5  # pixels of 256 within which a corner moves with the body
_FEWEST = 8  # corners
_PENALTY = 0.01  # ridge penalty, relative to the variance of the standardised poses


def body_motion(
    frames: Sequence[UInt8Array] | UInt8Array,
    torsos: Sequence[UInt8Array] | UInt8Array,
    heads: Sequence[UInt8Array] | UInt8Array,
) -> Float64Array:
    """Motion of the body from the middle frame to each frame: (T, 2, 3) similarities of pixels (column, row).

    Corners of the torso are tracked by optical flow (Lucas and Kanade 1981) and a similarity is fitted to them by
    RANSAC. A frame in which too few corners are found keeps its neighbour's.

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
        last: Float64Array = np.eye(2, 3)
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
            tracked = status[:, 0] > 0
            if tracked.sum() >= _FEWEST:
                similarity, inliers = cv2.estimateAffinePartial2D(
                    corners[tracked], at[tracked, 0], ransacReprojThreshold=_INLIER * scale
                )
                if similarity is not None and inliers.sum() >= _FEWEST:
                    last = similarity.astype(np.float64)
            motion[i] = last
    return motion


@dataclass(frozen=True)
class PosedBody:
    """Affine maps of picture points (row, column, 1), each in [-1, 1], T frames.

    Attributes:
        to_rest: (T, 3, 3) from the body as the head pose of a frame predicts it to the body at rest.
        to_predicted: (T, 3, 3) from the body as measured in a frame to where the head pose predicts it.
    """

    to_rest: Float32Array
    to_predicted: Float32Array

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
        inputs = np.concatenate([pose[:, :3, 3], turns], 1)
        inputs = (inputs - inputs.mean(0)) / np.maximum(inputs.std(0), 1e-6)
        targets = moved[:, :2].reshape(len(moved), 6)
        mean = targets.mean(0)
        normal = inputs.T @ inputs + _PENALTY * len(inputs) * np.eye(6)
        predicted = np.tile(np.eye(3), (len(moved), 1, 1))
        predicted[:, :2] = (inputs @ np.linalg.solve(normal, inputs.T @ (targets - mean)) + mean).reshape(-1, 2, 3)
        return cls(np.linalg.inv(predicted).astype(np.float32), (predicted @ np.linalg.inv(moved)).astype(np.float32))
