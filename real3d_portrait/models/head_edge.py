"""The head's edge, where the photo stops to show the head: what lies there, and what a turn does with it.

A turn brings skin into sight that the photo does not show. Whatever the photo has at the head's edge (the last,
shadowed skin, a rim of background that the matte let through, points hidden behind the cheek) then gives way to
skin from further in, and what lies behind the edge drops back in a cliff (`head_sheet.extend`).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ..face.camera import project, rotation_matrix, scale_of
from ..face.fitting import FaceFit
from ..face.rasterizer import rasterize
from ..face.topology import OVAL, closed_faces

Array = NDArray[np.float32]
Ring = NDArray[np.float64]  # (36,), one value an oval vertex

TURN = 0.1  # sine of the turn of an edge to the camera from which its cliff is whole
JAW_Y = -0.12  # below this the oval is the jaw, which ends over the neck
_TEMPLE_Y = 0.02  # above this the oval is temple and forehead
_RIM = 0.04  # head units from the jaw within which the person's end is the jaw's
MARGIN = 0.016  # head units of the person's own rim, soft in the matte, that a cliff starts before
_RADIUS = 2.4  # of the circle that the ring's directions meet, head units
_SHADOW = 0.006  # width of the jaw's edge in its own shadow
_INWARD, _OUTWARD = 0.2, 0.14  # how far from the oval the photo is looked at
_FOLD = 0.012  # head units that the far cheek hides of what lies behind it, from which that counts
_PLANE = 96  # pixels of the depth that is looked up for it
_SKIN = [50, 280, 205, 425, 101, 330, 187, 411, 199, 208, 428]  # cheeks and chin
_OTHER = (16.0, 28.0)  # distance from the skin's colours, Lab with half lightness, from which something covers it


def outwards(neutral: Array) -> NDArray[np.float64]:
    """(36, 2) unit vectors from the oval away from the face, in the canonical front view."""
    oval = neutral[OVAL, :2].astype(np.float64)
    angle = np.arctan2(oval[:, 1] - oval[:, 1].mean(), oval[:, 0] - oval[:, 0].mean())
    target = np.stack([_RADIUS * np.cos(angle), oval[:, 1].mean() + _RADIUS * np.sin(angle)], 1)
    return (target - oval) / np.linalg.norm(target - oval, axis=1, keepdims=True)


def room(out: NDArray[np.floating]) -> Ring:
    """How far inwards skin may give: less under the mouth, which has to keep its place."""
    return np.where(out[:, 1] < -0.5, 0.1, 0.33)


def ring_mean(values: NDArray[np.floating]) -> Ring:
    """Mean of each value (36,) and its neighbours on the ring."""
    return (np.roll(values, 1) + values + np.roll(values, -1)) / 3.0


def jaw(neutral: Array) -> Ring:
    """1 along the jaw, 0 above it."""
    return np.clip((JAW_Y - neutral[OVAL, 1]) / 0.1, 0, 1).astype(np.float64)


@dataclass(frozen=True)
class PhotoEdge:
    """What a photo shows at the oval; distances in head units."""

    out: NDArray[np.float64]  # (36, 2) of `outwards`
    ends: Ring  # outwards to where the person ends, 0 at the oval or before, infinite where that is not near
    unseen: Ring  # inwards to where the photo shows the face
    covered: Ring  # 0..1, whether something else (hair) lies over the face's edge

    @classmethod
    def unknown(cls, neutral: Array) -> PhotoEdge:
        """Of a photo that was not looked at: the face ends nowhere near and is seen whole."""
        nothing = np.zeros(len(OVAL))
        return cls(outwards(neutral), nothing + np.inf, nothing, nothing)

    @classmethod
    def look(cls, photo: NDArray[np.uint8], mesh: Array, out: NDArray[np.float64], fit: FaceFit) -> PhotoEdge:
        """Photo (S, S, 4) colour and matte, and the face (478, 3) with the expression that it shows."""
        size = photo.shape[0]
        inward, outward = np.linspace(0, _INWARD, 41), np.linspace(0, _OUTWARD, 36)
        mesh_points = mesh[:, :2] * [_PLANE / 2, -_PLANE / 2] + _PLANE / 2
        depth, _ = rasterize(mesh_points, mesh[:, 2], closed_faces(), mesh[:, 2:], _PLANE, _PLANE)

        def at(distance: NDArray[np.floating]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
            """Pixels (36, D, 2), and what the photo has there (36, D, 4), 255 in the matte beyond the photo."""
            points = np.repeat(mesh[OVAL, None], len(distance), 1).astype(np.float64)
            points[..., :2] += distance[:, None] * out[:, None]
            column, row = (
                np.rint(points[..., k] * s * _PLANE / 2 + _PLANE / 2 - 0.5).astype(int) for k, s in ((0, 1), (1, -1))
            )
            column, row = np.clip(column, 0, _PLANE - 1), np.clip(row, 0, _PLANE - 1)
            found = depth[row, column, 0]
            points[..., 2] = np.where((found != 0) & (distance < -0.01), found, points[..., 2])
            pixels = project(points.reshape(-1, 3), fit.rotation, fit.translation, size)[:, :2].reshape(
                *points.shape[:2], 2
            )
            x, y = np.moveaxis(np.floor(pixels).astype(int), -1, 0)
            shown = photo[np.clip(y, 0, size - 1), np.clip(x, 0, size - 1)].astype(np.float64)
            shown[(x < 0) | (x >= size) | (y < 0) | (y >= size), 3] = 255
            return pixels, shown

        pixels, shown = at(-inward)
        turn = rotation_matrix(fit.rotation)
        towards = out @ turn[:2, :2].T * [1, -1]
        reach = np.einsum("kdc,kc->kd", pixels, towards)
        # Beyond its outermost point the surface turns away from the camera.
        folded = reach.max(1) - reach[:, 0] > _FOLD * scale_of(fit.translation, size)
        hidden = np.where(folded, inward[reach.argmax(1)], 0)
        background = shown[..., 3] < 128
        last = np.where(background, inward, -1.0).max(1)
        _, beyond = at(outward)
        gone = beyond[..., 3] < 128
        ends = np.where(gone.any(1), outward[gone.argmax(1)], np.inf)
        unseen = np.maximum(hidden, np.where(last >= 0, last + inward[1], 0))
        unseen[np.isfinite(ends) & (ends > MARGIN)] = 0  # an ear beyond it is seen
        seen = np.minimum((unseen + 0.02) / inward[1], len(inward) - 1).astype(int)
        rim = shown[np.arange(len(out)), seen, :3]
        marks = project(mesh[_SKIN], fit.rotation, fit.translation, size)[:, :2].astype(int).clip(0, size - 1)
        skin = photo[marks[:, 1], marks[:, 0], :3]
        lab = cv2.cvtColor(np.concatenate([rim, skin])[None].astype(np.float32) / 255, cv2.COLOR_RGB2LAB)[0]
        lab[:, 0] *= 0.5
        other = np.linalg.norm(lab[: len(out), None] - lab[None, len(out) :], axis=-1).min(1)
        covered = np.clip((other - _OTHER[0]) / (_OTHER[1] - _OTHER[0]), 0, 1)
        return cls(out, ends, np.minimum(unseen, 0.5 * room(out) - 0.035), ring_mean(covered))

    def near(self, neutral: Array) -> Ring:
        """0..1, whether the head itself ends near the oval. From the temples up the head is round, and beyond the jaw
        the neck may end."""
        height = neutral[OVAL, 1].astype(np.float64)
        head = np.where(height < JAW_Y - 0.1, self.ends < _RIM, np.isfinite(self.ends))
        return head * np.clip((_TEMPLE_Y - height) / 0.06, 0, 1)

    def gaps(self) -> Ring:
        """Width of the face's edge in place of which the photo shows something else."""
        return ring_mean(np.where(self.unseen > 0, self.unseen + MARGIN, 0))

    def shadow(self, neutral: Array) -> Ring:
        """Width of the face's edge that its own rim and shadow take, on top."""
        return self.near(neutral) * np.clip(MARGIN - self.ends, 0, MARGIN) + _SHADOW * jaw(neutral)

    def skipped(self, neutral: Array) -> Ring:
        """Width of what still belongs to the head's edge in the photo just beyond a cliff's foot."""
        return np.where(self.near(neutral) > 0, MARGIN + 0.01, 2 * _SHADOW * jaw(neutral))


def turned(out: NDArray[np.floating], photo: NDArray[np.floating], now: NDArray[np.floating]) -> Ring:
    """Sine of the angle by which the head's edge has turned to the camera between two poses (3, 3), at least 0."""
    return np.maximum(out @ now[2, :2] - np.maximum(out @ photo[2, :2], 0), 0)


def cliff_share(out: NDArray[np.floating], photo: NDArray[np.floating], now: NDArray[np.floating]) -> Ring:
    """How much of its cliff the head's edge has, in poses (3, 3): it grows as the edge turns further to the camera
    than it was in the photo, up to whole where the photo looked at it from inside."""
    then, facing = out @ photo[2, :2], out @ now[2, :2]
    hidden = 1 - np.maximum(then, 0) / np.maximum(facing, 1e-6)
    return np.clip(hidden, 0, 1) * np.minimum(turned(out, photo, now) / TURN, 1)
