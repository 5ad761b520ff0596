"""Is the mouth or an eye of a photo covered? A linear classifier of edges and colours on mesh-aligned patches.

The tracker places lips and lids under hands, masks and dark glasses without lowering its confidence. What lies
there looks unlike a mouth or an eye, which a linear classifier sees. The right eye is mirrored onto the left one, so
there are two sets of weights. Trained by `training/occlusion.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from safetensors.numpy import load_file

from real3d_portrait.arrays import Float32Array, FloatArray, UInt8Array
from real3d_portrait.face.landmarks import (
    BARE_SKIN,
    EYE_INNER_CORNERS,
    EYE_OUTER_CORNERS,
    LIP_BOTTOM,
    LIP_TOP,
    MOUTH_CORNERS,
)
from real3d_portrait.resources import resource

PARTS = ("mouth", "left_eye", "right_eye")  # left and right as the viewer sees them
N_FEATURES = 15 * 36 + 2 * 24 * 3

_FACE_HEIGHT = 144  # pixels that faces are reduced to
_PATCH = (48, 32)
_CENTRES = {
    "mouth": (*MOUTH_CORNERS, LIP_TOP, LIP_BOTTOM),
    "left_eye": (EYE_OUTER_CORNERS[0], EYE_INNER_CORNERS[0]),
    "right_eye": (EYE_OUTER_CORNERS[1], EYE_INNER_CORNERS[1]),
}
_WIDTHS = {"mouth": 0.5, "left_eye": 0.36, "right_eye": 0.36}  # of the face height


@dataclass(frozen=True)
class OcclusionClassifier:
    """Weights (F,) and bias on standardised features; a score above 0 means covered."""

    mouth: Float32Array  # (F + 1,) the bias last
    eye: Float32Array  # (F + 1,)

    @classmethod
    def bundled(cls) -> OcclusionClassifier:
        """The one that comes with the package."""
        return cls.load(resource("assets", "weights", "compact", "occlusion.safetensors"))

    @classmethod
    def load(cls, path: Path) -> OcclusionClassifier:
        tensors = load_file(path)
        return cls(tensors["mouth"].astype(np.float32), tensors["eye"].astype(np.float32))

    def scores(self, image: UInt8Array, landmarks: FloatArray) -> dict[str, float]:
        """One score a part of `PARTS` for a picture (H, W, 3) and its mesh (478, 3) in pixels."""
        found = patch_features(image, landmarks)
        return {
            part: float(found[part] @ weights[:-1] + weights[-1])
            for part, weights in zip(PARTS, (self.mouth, self.eye, self.eye), strict=True)
        }

    def warnings(self, image: UInt8Array, landmarks: FloatArray) -> tuple[str, ...]:
        """Warnings for the user, one sentence each; empty where mouth and eyes are free."""
        scores = self.scores(image, landmarks)
        found = []
        if scores["mouth"] > 0:
            found.append("The mouth seems to be covered and may move wrongly; use a photo with the mouth free.")
        if max(scores["left_eye"], scores["right_eye"]) > 0:
            found.append("The eyes seem to be covered or shut and may move wrongly; use a photo with both eyes open.")
        return tuple(found)


def patch_features(image: UInt8Array, landmarks: FloatArray) -> dict[str, Float32Array]:
    """Features (F,) of each part of `PARTS`: oriented gradients, and colour against the bare skin."""
    points = landmarks[:, :2]
    scale = min(1.0, _FACE_HEIGHT / max(float(np.ptp(points[:, 1])), 1.0))
    small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    points = points * scale
    height = float(np.ptp(points[:, 1]))
    lab = cv2.cvtColor(small, cv2.COLOR_RGB2LAB).astype(np.float32)
    columns, rows = np.clip(points[list(BARE_SKIN)].astype(int), 0, np.array(lab.shape[1::-1]) - 1).T
    skin = np.median(lab[rows, columns], axis=0)
    first, second = points[list(EYE_OUTER_CORNERS)]
    across = (second - first) / max(float(np.linalg.norm(second - first)), 1e-6)
    gradients = cv2.HOGDescriptor(_PATCH, (16, 16), (8, 8), (8, 8), 9)
    features = {}
    for part in PARTS:
        step = across * _WIDTHS[part] * height / _PATCH[0]
        turn = np.array([[step[0], -step[1]], [step[1], step[0]]])
        origin = points[list(_CENTRES[part])].mean(axis=0) - turn @ (np.array(_PATCH) / 2)
        patch = cv2.warpAffine(
            small,
            np.column_stack([turn, origin]),
            _PATCH,
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
        if part == "right_eye":
            patch = np.ascontiguousarray(patch[:, ::-1])
        edges = np.ravel(gradients.compute(cv2.cvtColor(patch, cv2.COLOR_RGB2GRAY)))
        colour = cv2.cvtColor(patch, cv2.COLOR_RGB2LAB).astype(np.float32) - skin
        colour = np.clip(cv2.resize(colour, (6, 4), interpolation=cv2.INTER_AREA) / 40, -2, 2).ravel()
        features[part] = np.concatenate([edges, colour, np.abs(colour)]).astype(np.float32)
    return features
