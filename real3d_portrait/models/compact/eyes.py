"""Eyeballs behind the driven lids, made once from a photo.

The photo's warp squeezes what lies between the lids; an eyeball does not deform. This layer lays the
photo's own eyeball, completed where lids hid it, behind the lids' edges: the iris turns in it, lids and
their lashes' shade move over it, and a lid that comes down shows skin and a lash line.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from real3d_portrait.arrays import Float32Array, UInt8Array
from real3d_portrait.face.landmarks import (
    EYE_LEFT_LOWER,
    EYE_LEFT_UPPER,
    EYE_RIGHT_LOWER,
    EYE_RIGHT_UPPER,
    IRIS_LEFT_CENTRE,
    IRIS_RIGHT_CENTRE,
    LID_CREASE_LEFT,
    LID_CREASE_RIGHT,
)
from real3d_portrait.models.compact.aperture import Aperture, HeadPlacement, look_up, smoothstep
from real3d_portrait.models.compact.eyeball import STRIP_COLUMNS, STRIP_ROWS, Eyeball, opening_of, take_apart
from real3d_portrait.models.compact.photo_light import LUMA, cheek_colour

Window = tuple[slice, slice]

_EYES = (
    # Lids, pupil, and the ring above the upper lid; the person's right eye lies on the image's left.
    (EYE_LEFT_UPPER, EYE_LEFT_LOWER, IRIS_LEFT_CENTRE, LID_CREASE_LEFT),
    (EYE_RIGHT_UPPER, EYE_RIGHT_LOWER, IRIS_RIGHT_CENTRE, LID_CREASE_RIGHT),
)
_CLOSED_RATIO = 0.05  # height over width of the tracker's opening on a shut eye
_GLINT_FOLLOW = 0.35  # how much of the iris's motion a reflection on the cornea shares


@dataclass(frozen=True)
class _Placed:
    """One eye at its place in an output frame, all lengths in output pixels."""

    opening: Aperture  # of the driven lids
    resting: Aperture  # the photo's lids under the driven head pose
    plane: Float32Array  # (2, 3) photo pixels to output pixels near this eye
    gaze: Float32Array  # (2,) how far the iris went from its place in the photo
    scale: float
    fold: tuple[
        Float32Array, Float32Array
    ]  # (u, v) in the opening's frame of the mesh's ring above the upper lid, (k,) each

    def novelty(self) -> float:
        """How far lids and iris stand from where the photo has them: 0 (keep the photo) to 1."""
        width = max(self.opening.width, 1.0)
        tops = np.interp(self.resting.u, self.opening.u, self.opening.top) - self.resting.top
        bottoms = np.interp(self.resting.u, self.opening.u, self.opening.bottom) - self.resting.bottom
        shifted = float(np.linalg.norm(self.opening.origin - self.resting.origin))
        lids = 0.5 * float(np.abs(tops).mean() + np.abs(bottoms).mean()) + shifted
        return float(smoothstep(0.008, 0.03, max(lids, 0.7 * float(np.linalg.norm(self.gaze))) / width))


class EyeLayer:
    """Both eyes of one person.

    photo: (S, S, 3) uint8 RGB; landmarks: (478, 3) pixels of the photo, iris points included.
    """

    def __init__(self, photo: UInt8Array, landmarks: Float32Array) -> None:
        self._landmarks = np.asarray(landmarks, np.float32)
        self._placement = HeadPlacement(self._landmarks)
        image = photo.astype(np.float32)
        cheek = max(20.0, float(cheek_colour(image, self._landmarks) @ LUMA))
        self._eyeballs = []
        for upper, lower, iris, _ in _EYES:
            pupil, ring = self._landmarks[iris, :2], self._landmarks[iris + 1 : iris + 5, :2]
            radius = float(np.linalg.norm(ring - pupil, axis=1).mean())
            opening = opening_of(self._landmarks, upper, lower)
            self._eyeballs.append(take_apart(image, opening, pupil, radius, cheek))

    @property
    def visible(self) -> float:
        """0 where both eyes lie behind dark glasses, to 1."""
        return max(eye.visible for eye in self._eyeballs)

    def draw(self, frame: NDArray, mesh_px: Float32Array) -> NDArray:
        """The frame with eyeballs between its lids, and skin with a lash line where lids come down.

        frame: (S, S, 3) RGB uint8 or float32 in 0..255, returned in the same type; mesh_px: (478, 3) driven
        landmarks with iris centres. Only pixels within the eyes' openings, the driven and the photo's,
        change; where lids and iris stand as in the photo, the frame's own pixels stay.
        """
        linear, offset = self._placement.fit(mesh_px)
        result = frame.copy()
        for (upper, lower, iris, ring), eye in zip(_EYES, self._eyeballs, strict=True):
            source = self._landmarks[[*upper, *lower, iris]]
            home = source @ linear.T + offset
            opening = opening_of(mesh_px, upper, lower)
            resting = Aperture.from_points(home[: len(upper)], home[len(upper) : -1], opening.axes)
            plane = _plane_map(source[:-1], home[:-1])
            gaze = mesh_px[iris, :2] - home[-1]
            fold = opening.local(*mesh_px[list(ring), :2].T)
            placed = _Placed(opening, resting, plane, gaze, resting.width / eye.width, fold)
            weight = placed.novelty() * eye.visible
            if weight > 0:
                _draw_eye(result, frame, eye, placed, weight)
        return result


def _draw_eye(result: NDArray, frame: NDArray, eye: Eyeball, placed: _Placed, weight: float) -> None:
    opening, width = placed.opening, max(placed.opening.width, 1.0)
    window = opening.bounds(frame.shape[:2], 3.0, np.stack(placed.fold, -1))
    if window is None:
        return
    u, v = opening.grid(window)
    below, above = opening.depths(u, v)
    softness = float(np.clip(0.028 * width, 0.9, 2.5))
    image = frame[window].astype(np.float32)
    ends = smoothstep(0.5, 0.38, np.abs(u) / width)
    openness = opening.gap / width
    shut = float(1 - smoothstep(_CLOSED_RATIO, _CLOSED_RATIO + 0.30 * eye.openness, openness))
    lowered = float(smoothstep(0.05, 0.7, 1 - openness / max(eye.openness, 0.05)))
    # A shut lid also covers the moist rim of the lower one.
    rim = 0.025 * width * shut

    ball = _eyeball(eye, placed, u, below, above, window)
    if lowered > 0:
        lid, cover = _fallen_lid(eye, placed, image, window, u, v, below)
        edge = np.clip(0.5 - below / softness, 0, 1)
        edge += shut * (np.clip(0.5 + (above + rim) / softness, 0, 1) - edge)
        image += (cover * smoothstep(0.5, 0.34, np.abs(u) / width) * weight * edge)[..., None] * (lid - image)
        ball += shut * (lid - ball)
    mask = opening.coverage(u, below, above + rim, softness) * weight
    image += mask[..., None] * (ball - image)

    if lowered > 0:
        # The tracker leaves a slit on shut eyes; the upper lid's edge then lies on the lower one.
        depth = below - shut * np.clip(below + above, 0, None) - 0.006 * width
        length = (0.028 + 0.026 * shut) * width * _lash_lengths(u / width)
        hanging = np.exp(-((np.abs(depth) / length) ** 1.5))
        lash = np.where(depth < 0, np.exp(-((depth / (0.016 * width)) ** 2)), hanging)
        image += (0.72 * lowered * weight * ends * lash)[..., None] * (eye.lash - image)
    result[window] = np.rint(np.clip(image, 0, 255)) if frame.dtype == np.uint8 else image


def _fallen_lid(
    eye: Eyeball,
    placed: _Placed,
    image: Float32Array,
    window: Window,
    u: Float32Array,
    v: Float32Array,
    below: Float32Array,
) -> tuple[Float32Array, Float32Array]:
    """Skin (h, w, 3) of an upper lid that has come down, and how much of it to lay (h, w).

    The warp has only the lashes' strip to stretch over the newly shown skin. The colour at the lid's upper
    fold, taken from the frame itself, is carried down instead.
    """
    opening, width = placed.opening, max(placed.opening.width, 1.0)
    columns = np.linspace(-0.5, 0.5, STRIP_COLUMNS, dtype=np.float32) * width
    edge = np.interp(columns, opening.u, opening.top)
    du, dv = opening.axes @ (opening.origin - placed.resting.origin)
    fallen = edge + dv - np.interp(columns + du, placed.resting.u, placed.resting.top)
    height = np.maximum(edge - np.interp(columns, *placed.fold), 1.0)
    colours = []
    for part in (0.0, 0.12, 0.24):
        level = edge - height * (1 - part)
        points = opening.origin + np.stack([columns, level], 1).astype(np.float32) @ opening.axes
        points -= (window[1].start, window[0].start)
        x, y = (np.ascontiguousarray(points[None, :, k], np.float32) for k in (0, 1))
        colours.append(cv2.remap(image, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)[0])
    fold = gaussian_filter1d(np.maximum.reduce(colours), 0.11 * STRIP_COLUMNS, axis=0, mode="nearest")
    skin = 0.6 * fold + 0.4 * (0.6 * eye.upper_lid + 0.4 * eye.lower_lid)

    strength = smoothstep(0.015 * width, 0.12 * width, fallen)
    found = look_up(u, columns, height, strength)
    t = np.clip(1 + below / found[..., 0], 0, 1)
    shade = (1.0 + 0.04 * np.sin(np.pi * t) - 0.10 * t**3)[..., None]
    return look_up(u, columns, *skin.T) * shade, 0.95 * found[..., 1] * smoothstep(0.0, 0.4, t)


def _eyeball(
    eye: Eyeball, placed: _Placed, u: Float32Array, below: Float32Array, above: Float32Array, window: Window
) -> Float32Array:
    """The eyeball's colour (h, w, 3) under the lids' shade."""
    sclera = _lay(eye.sclera, eye.corner, placed, window, 0.0, cv2.BORDER_REPLICATE)
    iris = _lay(eye.iris, eye.corner, placed, window, 1.0, cv2.BORDER_CONSTANT)
    glint = _lay(eye.glint, eye.corner, placed, window, _GLINT_FOLLOW, cv2.BORDER_CONSTANT)
    ball = sclera * (1 - iris[..., 3:]) + iris[..., :3] + glint
    column = ((u / max(placed.opening.width, 1.0) + 0.5) * (STRIP_COLUMNS - 1)).astype(np.float32)
    for strip, depth in ((eye.upper_shade, below), (eye.lower_shade, above)):
        row = (np.clip(depth / (placed.scale * eye.shade_reach), 0, 1) * (STRIP_ROWS - 1)).astype(np.float32)
        ball *= cv2.remap(strip, column, row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return ball


def _lash_lengths(place: Float32Array) -> Float32Array:
    """Relative length of the lashes along the lid, place in -0.5..0.5: strands of two mixed spacings."""
    return 1 + 0.10 * np.sin(131 * place) + 0.10 * np.sin(83 * place + 1)


def _plane_map(source: Float32Array, target: Float32Array) -> Float32Array:
    """Affine (2, 3) that carries (n, 2+) photo pixels to (n, 2) output pixels in the least squares sense."""
    rows = np.concatenate([source[:, :2], np.ones((len(source), 1), np.float32)], 1)
    return np.linalg.lstsq(rows, target, rcond=None)[0].T.astype(np.float32)


def _lay(
    image: Float32Array, corner: Float32Array, placed: _Placed, window: Window, follow: float, border: int
) -> Float32Array:
    """A photo window carried into an output window, moved by a share of the gaze."""
    affine = placed.plane.astype(np.float64)
    affine[:, 2] += placed.plane[:, :2] @ corner + follow * placed.gaze
    affine[:, 2] -= (window[1].start, window[0].start)
    size = (window[1].stop - window[1].start, window[0].stop - window[0].start)
    return np.asarray(cv2.warpAffine(image, affine, size, flags=cv2.INTER_LINEAR, borderMode=border), np.float32)
