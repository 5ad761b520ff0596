"""What lies behind the lips: teeth, tongue and the dark of the mouth, made once from a photo.

Upper teeth are fixed to the skull, lower teeth and tongue to the jaw, so they never swim or shimmer: a frame only
places, shades and hides them behind the lips. Teeth that the photo shows are used; the rest is drawn from anatomy in
the photo's exposure and white balance. An open mouth of the photo itself is laid over where the lips stand as there.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from real3d_portrait.arrays import Float32Array, UInt8Array
from real3d_portrait.face.landmarks import (
    EAR_FRONTS,
    EYE_INNER_CORNERS,
    EYE_OUTER_CORNERS,
    GLABELLA,
    IRIS_LEFT_CENTRE,
    IRIS_RIGHT_CENTRE,
    JAW_FRONT,
    LIP_LOWER,
    LIP_UPPER,
    LIPS_INNER_LOWER,
    LIPS_INNER_UPPER,
    MOUTH_INNER_CORNERS,
    SUBNASALE,
    TEMPLES,
)
from real3d_portrait.models.compact.aperture import Aperture, HeadPlacement, smoothstep
from real3d_portrait.models.compact.closed_lips import close_lips
from real3d_portrait.models.compact.lip_seam import REACH, seam_strip, touching
from real3d_portrait.models.compact.mouth_raster import Lips, Own, Row, Seam, Throat, paint
from real3d_portrait.models.compact.own_teeth import MouthInPhoto, PlacedTeeth, find_own_teeth, with_own_teeth
from real3d_portrait.models.compact.photo_light import LUMA, cheek_colour, photo_blur, side_light, teeth_colour
from real3d_portrait.models.compact.teeth import (
    LOWER_ARCH,
    LOWER_TEETH,
    UPPER_ARCH,
    UPPER_TEETH,
    DentalArch,
    TeethStrip,
    draw_teeth,
)

_LIPS = LIPS_INNER_LOWER + LIPS_INNER_UPPER[-2:0:-1]
_UPPER_EDGE, _LOWER_EDGE = 0.9, -0.8  # mm below the lips' line at rest: upper teeth bite over the lower ones
_UPPER_BACK, _LOWER_BACK = 2.0, 4.5  # mm from the lips to the foremost tooth
_BARED = 4.0  # mm of the upper teeth that a lip bares before they follow it
_BEHIND_CORNER = 3.0  # mm from the corners of the mouth back to the teeth, beyond what it is in the middle
_MOST_BARED = 11.0  # mm from the upper lip to the edges of the teeth in any photo
_CROWN = 8.6  # mm that even a wide laugh hardly exceeds
_LOWER_BARED = 4.2  # mm of the lower teeth
_LOWER_LIGHT = 0.84  # against the upper teeth: the lower ones lie deeper, under them
_TABLE, _EDGES = 256, 192


class MouthInterior:
    """The inside of one person's mouth.

    photo: (S, S, 3) uint8 RGB; landmarks: (478, 3) pixels of the photo; neutral: (478, 3) the same head
    with closed lips and no expression, under the photo's own pose. Without it the place of the lips' line
    is guessed from the nose.
    """

    def __init__(self, photo: UInt8Array, landmarks: Float32Array, neutral: Float32Array | None = None) -> None:
        self._landmarks = np.asarray(landmarks, np.float32)
        rest = self._landmarks if neutral is None else np.asarray(neutral, np.float32)
        self._placement = HeadPlacement(rest)
        self._axes = _head_axes(rest)
        eyes = float(np.linalg.norm(rest[IRIS_RIGHT_CENTRE] - rest[IRIS_LEFT_CENTRE]))
        lips = float(np.linalg.norm(rest[MOUTH_INNER_CORNERS[1]] - rest[MOUTH_INNER_CORNERS[0]]))
        opening = float(np.linalg.norm(rest[LIP_UPPER] - rest[LIP_LOWER])) / lips
        closed = neutral is not None or opening < 0.05
        self._mm = 0.6 * eyes / 63 + 0.4 * lips / 48 if closed else eyes / 63
        self._lips_mm = lips / self._mm if closed else 46.0
        line = (rest[LIP_UPPER] + rest[LIP_LOWER]) / 2 if closed else rest[2] + 22 * self._mm * self._axes[1]
        self._line = line.astype(np.float32)
        corners = (rest[list(MOUTH_INNER_CORNERS)] - line) @ self._axes.T / self._mm
        self._corner = float(np.abs(corners[:, 0]).mean()), float(corners[:, 2].mean()) + _BEHIND_CORNER
        self._source = self._aperture(self._landmarks, np.eye(2, 3, dtype=np.float32))
        self._source_open = self._source.gap / max(self._source.width, 1.0)
        self._tint(photo.astype(np.float32))
        self._keep_opening(photo)
        self._make_teeth(photo.astype(np.float32))

    def _tint(self, image: Float32Array) -> None:
        self._light = cheek_colour(image, self._landmarks)
        self._side = side_light(image, self._landmarks)
        luma = float(self._light @ LUMA)
        self._teeth = teeth_colour(self._light)
        tongue = luma * np.array([0.82, 0.50, 0.49], np.float32)
        self._tongue = 0.7 * tongue + 0.3 * self._light * np.array([0.85, 0.66, 0.68], np.float32)
        self._gum = 0.55 * self._tongue + 0.35 * self._light
        self._dark = luma * np.array([0.150, 0.068, 0.062], np.float32)

    def _keep_opening(self, photo: UInt8Array) -> None:
        """What the photo shows between its lips, cut out with the lips closed beneath."""
        closed, share = close_lips(photo, self._landmarks)
        self._seam = seam_strip(closed.astype(np.float32), self._source)
        self._filled = bool(share.any())
        rows, columns = (np.flatnonzero(share.any(axis)) for axis in (1, 0))
        low = np.array([columns[0], rows[0]]) if self._filled else np.zeros(2, int)
        high = np.array([columns[-1], rows[-1]]) + 1 if self._filled else np.ones(2, int)
        low, high = np.maximum(low - 2, 0), high + 2
        window = slice(low[1], high[1]), slice(low[0], high[0])
        self._own = np.dstack([photo[window].astype(np.float32), share[window]])
        self._own_from = low.astype(np.float32)

    def _make_teeth(self, image: Float32Array) -> None:
        seed = int(np.abs(self._landmarks).sum()) % 65536
        lighter, yellower = np.random.default_rng(seed).standard_normal(2).clip(-1.5, 1.5)
        self._teeth = self._teeth * (1 + 0.04 * lighter) * (1 + 0.03 * yellower * np.array([0, -0.4, -1], np.float32))
        px_per_mm = max(2.0, 1.5 * self._mm)
        blur = 1.5 * photo_blur(image, self._landmarks)
        upper = draw_teeth(UPPER_TEETH, px_per_mm, seed, blur)
        lower = draw_teeth(LOWER_TEETH, px_per_mm, seed + 1, blur)
        # Teeth lie along the lips, a little more curved: the tracker's faces are flatter than a head.
        upper_arch, lower_arch = (arch.of(seed).through(*self._corner) for arch in (UPPER_ARCH, LOWER_ARCH))
        self._upper = self._place(upper, upper_arch, _UPPER_EDGE, _UPPER_BACK, 1.0)
        self._upper_edge, self._lower_edge = _UPPER_EDGE, _LOWER_EDGE
        self._bared = _BARED
        if self._source_open > 0.08:
            photo = MouthInPhoto(image, self._source, self._axes[1], self._mm, self._light)
            own = find_own_teeth(photo, self._upper, self._teeth)
            if own is not None:
                self._teeth = own.colour
                self._upper_edge += own.edge
                self._lower_edge += max(0.0, own.edge)
                edge = self._line + self._upper_edge * self._mm * self._axes[1]
                down = self._source.axes[1]
                shown = float(down @ (edge - self._landmarks[LIP_UPPER])[:2] / (down @ self._axes[1, :2])) / self._mm
                shown = min(shown, _MOST_BARED)
                self._bared = max(_BARED, shown)
                # Gums begin above what the photo shows as tooth.
                upper = upper.with_gums_from(shown + 0.5)
                self._upper = with_own_teeth(photo, self._place(upper, upper_arch, self._upper_edge, _UPPER_BACK, 1.0))
        self._lower = self._place(lower, lower_arch, self._lower_edge, _LOWER_BACK, -1.0)

    def draw(self, frame: NDArray, mesh_px: Float32Array, skull_px: Float32Array) -> NDArray:
        """The frame with the mouth's inside between its lips.

        frame: (S, S, 3) RGB uint8 or float32 in 0..255, returned in the same type; mesh_px: (478, 3)
        driven landmarks; skull_px: (478, 3) the neutral expression under the same head pose. Where the
        lips stand as in the photo, the photo's own mouth shows: the frame's pixels, which are the photo's, if its lips
        are closed, and what it has between open ones otherwise.
        """
        linear, offset = self._placement.fit(skull_px)
        opening = self._aperture(mesh_px, linear)
        novelty = self._novelty(opening, mesh_px, linear, offset)
        weight = 1.0 if self._filled else novelty
        if weight <= 0:
            return frame
        window = opening.bounds(frame.shape[:2], 2.0 + 0.06 * opening.width)
        if window is None:
            return frame
        mm = self._mm * float(np.linalg.norm(linear @ self._axes[1]))
        jaw = self._jaw_shift(opening, mesh_px, skull_px, linear, offset, mm)
        gap = opening.gap
        scale = opening.width / max(self._source.width, 1.0)
        share = weight * float(smoothstep(0.6, 2.0, gap))
        softness = float(np.clip(1.2 * scale * self._source.width / 90, 1.0, 2.5))
        patch = frame[window].astype(np.float32)
        paint(
            patch,
            float(window[1].start),
            float(window[0].start),
            _table(opening, mm),
            Seam(self._seam, max(REACH * opening.width, 2.0), weight * touching(opening)),
            self._own_in(linear, offset, 1 - novelty if self._filled else 0.0),
            self._throat(opening, linear, offset + jaw, jaw, mm, share, softness),
            self._row(self._upper, opening, linear, offset + self._raised(opening, mesh_px, linear, offset, mm), mm),
            self._row(self._lower, opening, linear, offset + jaw, mm, _LOWER_LIGHT),
        )
        result = frame.copy()
        result[window] = np.rint(np.clip(patch, 0, 255)) if frame.dtype == np.uint8 else patch
        return result

    def _aperture(self, mesh: Float32Array, linear: Float32Array) -> Aperture:
        down = linear @ self._axes[1]
        down = down / np.linalg.norm(down)
        axes = np.array([[down[1], -down[0]], down], np.float32)
        return Aperture.from_points(mesh[list(LIPS_INNER_UPPER), :2], mesh[list(LIPS_INNER_LOWER), :2], axes)

    def _novelty(self, opening: Aperture, mesh: Float32Array, linear: Float32Array, offset: Float32Array) -> float:
        """How far the lips stand from where the photo has them: 0 (keep the photo) to 1."""
        lips = list(_LIPS)
        expected = self._landmarks[lips] @ linear.T + offset
        change = float(np.linalg.norm(mesh[lips, :2] - expected, axis=1).mean()) / max(opening.width, 1.0)
        # A closed photo holds nothing to keep, so a small opening suffices; an open one holds its own teeth.
        held = float(smoothstep(0.02, 0.08, self._source_open))
        return float(smoothstep(0.004 + 0.006 * held, 0.014 + 0.014 * held, change))

    def _place(self, strip: TeethStrip, arch: DentalArch, edge: float, setback: float, upwards: float) -> PlacedTeeth:
        x, z = arch.curve(strip.arc)
        across, down, away = self._axes
        curve = self._line + self._mm * (x[:, None] * across + edge * down + (z + setback)[:, None] * away)
        # Little light reaches the back of the mouth, and what lights one cheek lights the teeth on that side.
        fall = np.exp(-((z / 24) ** 1.4)) * np.exp(0.5 * self._side * np.clip(x / 25, -1, 1))
        colour = strip.colour * self._teeth
        colour += strip.gum[..., None] * (self._gum - colour)
        rgba = np.concatenate([colour * fall[None, :, None], np.ones_like(strip.cover)[..., None]], -1)
        strip_rgba = np.ascontiguousarray(rgba * strip.cover[..., None], np.float32)
        return PlacedTeeth(strip_rgba, strip.arc, strip.heights, curve.astype(np.float32), upwards)

    def _raised(
        self, opening: Aperture, mesh: Float32Array, linear: Float32Array, offset: Float32Array, mm: float
    ) -> Float32Array:
        """Motion (2,) of the upper teeth in pixels: even a wide laugh bares little more than the crowns."""
        edge = linear @ (self._line + self._upper_edge * self._mm * self._axes[1]) + offset
        lip = float(opening.axes[1] @ (edge - mesh[LIP_UPPER, :2])) / mm
        limit = max(min(self._bared + 3.5, _CROWN), self._bared + 0.8)
        return (_soft_limit(lip, self._bared, limit) - lip) * mm * opening.axes[1]

    def _jaw_shift(
        self,
        opening: Aperture,
        mesh: Float32Array,
        skull: Float32Array,
        linear: Float32Array,
        offset: Float32Array,
        mm: float,
    ) -> Float32Array:
        """Motion (2,) of the lower teeth in pixels.

        The chin's skin shows the jaw's motion; lips that part further than it would bare whole crowns, which
        people's do not, so the row sinks with the lip, softly.
        """
        jaw = (mesh[JAW_FRONT, :2] - skull[JAW_FRONT, :2]).mean(0) * 0.92
        edge = linear @ (self._line + self._lower_edge * self._mm * self._axes[1]) + offset + jaw
        bared = float(opening.axes[1] @ (mesh[LIP_LOWER, :2] - edge)) / mm
        return jaw + (bared - _soft_limit(bared, 0.0, _LOWER_BARED)) * mm * opening.axes[1]

    def _own_in(self, linear: Float32Array, offset: Float32Array, share: float) -> Own:
        """The photo's opening in a frame: it lies in the plane of the lips, whose depth is their mean."""
        depth = float(self._landmarks[list(_LIPS), 2].mean())
        inverse = np.linalg.inv(linear[:, :2])
        start = -inverse @ (offset + linear[:, 2] * depth) - self._own_from
        return Own(self._own, np.column_stack([inverse, start]).astype(np.float32), share)

    def _throat(
        self,
        opening: Aperture,
        linear: Float32Array,
        offset: Float32Array,
        jaw: Float32Array,
        mm: float,
        share: float,
        softness: float,
    ) -> Throat:
        _across, down, away = self._axes
        middle = self._line + self._mm * (2.5 * down + 13 * away)
        u, v = opening.local(*(linear @ middle + offset))
        drop = max(0.0, float(opening.axes[1] @ jaw)) / mm
        # A slit and a rounded mouth let in less light than a smile.
        slit = 0.68 + 0.32 * smoothstep(0.01, 0.11, opening.gap / max(opening.width, 1.0))
        spread = opening.width / (mm * self._lips_mm)
        light = float(slit * (0.86 + 0.14 * smoothstep(0.45, 0.85, spread)))
        at = np.array([u, v], np.float32)
        rim = 1 - touching(opening) if self._filled else 0.0
        return Throat(self._dark, self._tongue, at, 2.5 + 0.70 * drop, share, rim, softness, light)

    def _row(
        self,
        teeth: PlacedTeeth,
        opening: Aperture,
        linear: Float32Array,
        offset: Float32Array,
        mm: float,
        light: float = 1.0,
    ) -> Row:
        edge_u, edge_v = opening.local(*(teeth.curve @ linear.T + offset).T)
        # Beyond the arch's turning points the far side hides behind the near one.
        first, last = int(edge_u.argmin()), int(edge_u.argmax())
        along = np.maximum.accumulate(edge_u[first : last + 1])
        # Teeth seen edge-on lie in the dark behind their neighbours.
        facing = np.gradient(along) / ((teeth.arc[1] - teeth.arc[0]) * mm)
        u = np.linspace(along[0], along[-1], _TABLE, dtype=np.float32)
        curves = (edge_v[first : last + 1], np.arange(first, last + 1), smoothstep(0.05, 0.75, facing))
        table = np.stack([np.interp(u, along, curve) for curve in curves], -1).astype(np.float32)
        per_mm = 1 / float(teeth.heights[1] - teeth.heights[0])
        ends = float(u[0]), float(u[-1])
        return Row(teeth.strip, table, *ends, float(teeth.heights[0]), per_mm, teeth.upwards, light)


def _table(opening: Aperture, mm: float) -> Lips:
    u = np.linspace(opening.u[0], opening.u[-1], _EDGES, dtype=np.float32)
    curves = (opening.top, opening.bottom, opening.top_cos, opening.bottom_cos)
    edges = np.stack([np.interp(u, opening.u, curve) for curve in curves], -1).astype(np.float32)
    origin, axes = opening.origin.astype(np.float32), opening.axes.astype(np.float32)
    return Lips(origin, axes, float(u[0]), max(float(u[-1]), float(u[0]) + 1e-3), edges, mm)


def _soft_limit(value: float, knee: float, limit: float) -> float:
    """The value itself up to the knee, then ever closer to the limit."""
    room = limit - knee
    return value if value <= knee else knee + room * float(np.tanh((value - knee) / room))


def _head_axes(landmarks: Float32Array) -> Float32Array:
    """Unit vectors (3, 3) of the head in pixels: to the image's right, down, away from the viewer."""
    pairs = (EYE_OUTER_CORNERS, EYE_INNER_CORNERS, TEMPLES, EAR_FRONTS)
    across = sum(landmarks[b] - landmarks[a] for a, b in pairs)
    across = across / np.linalg.norm(across)
    down = landmarks[SUBNASALE] - landmarks[GLABELLA]
    down = down - across * (down @ across)
    down = down / np.linalg.norm(down)
    return np.stack([across, down, np.cross(across, down)]).astype(np.float32)
