"""What lies behind the lips: teeth, tongue and the dark of the mouth, made once from a photo.

The photo's warp leaves the opening between the lips to this layer. Upper teeth are fixed to the skull,
lower teeth and tongue to the jaw, so they never swim or shimmer: a frame only places, shades and hides
them behind the lips. Teeth that the photo shows are used; the rest is drawn from anatomy in the photo's
exposure and white balance.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from real3d_portrait.arrays import BoolArray, Float32Array, UInt8Array
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
from real3d_portrait.models.compact.aperture import Aperture, HeadPlacement, look_up, smoothstep
from real3d_portrait.models.compact.lip_seam import LipSeam
from real3d_portrait.models.compact.photo_light import LUMA, cheek_colour, photo_blur, teeth_colour
from real3d_portrait.models.compact.teeth import (
    LOWER_ARCH,
    LOWER_TEETH,
    UPPER_ARCH,
    UPPER_TEETH,
    DentalArch,
    TeethStrip,
    biting_edge,
    draw_teeth,
)

_LIPS = LIPS_INNER_LOWER + LIPS_INNER_UPPER[-2:0:-1]
_UPPER_EDGE, _LOWER_EDGE = 0.9, -0.8  # mm below the lips' line at rest: upper teeth bite over the lower ones
_FLESH_LIGHT = np.array([0.94, 1.06, 1.12], np.float32)  # what comes past lips and gums is reddish


@dataclass(frozen=True)
class _Row:
    """One jaw's teeth as they are drawn: premultiplied colour (H, W, 4) and their place in the head."""

    strip: Float32Array
    arc: Float32Array  # (W,) mm
    heights: Float32Array  # (H,) mm from the biting edge to the gum
    curve: Float32Array  # (W, 3) photo pixels of the biting edge
    upwards: float  # +1 where gums lie above, -1 below


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
        line = (rest[13] + rest[14]) / 2 if closed else rest[2] + 22 * self._mm * self._axes[1]
        self._line = line.astype(np.float32)

        image = photo.astype(np.float32)
        self._light = cheek_colour(image, self._landmarks)
        luma = float(self._light @ LUMA)
        self._teeth = teeth_colour(self._light)
        self._tongue = luma * np.array([0.80, 0.50, 0.49], np.float32)
        self._tongue = 0.7 * self._tongue + 0.3 * self._light * np.array([0.85, 0.68, 0.70], np.float32)
        self._gum = 0.55 * self._tongue + 0.35 * self._light
        self._dark = luma * np.array([0.165, 0.080, 0.072], np.float32)

        seed = int(np.abs(self._landmarks).sum()) % 65536
        px_per_mm = max(2.0, 1.5 * self._mm)
        blur = 1.5 * photo_blur(image, self._landmarks)
        upper = draw_teeth(UPPER_TEETH, px_per_mm, seed, blur)
        lower = draw_teeth(LOWER_TEETH, px_per_mm, seed + 1, blur)
        self._source = self._aperture(self._landmarks, np.eye(2, 3, dtype=np.float32))
        self._seam = LipSeam(image, self._source)
        self._source_open = self._source.gap / max(self._source.width, 1.0)
        self._upper = self._place(upper, UPPER_ARCH, edge=_UPPER_EDGE, setback=2.0, upwards=1.0)
        self._lower_edge = _LOWER_EDGE
        self._bared = 4.0  # mm of the upper teeth that a lip bares before they follow it
        if self._source_open > 0.08:
            self._use_own_teeth(image, upper)
        self._lower = self._place(lower, LOWER_ARCH, edge=self._lower_edge, setback=4.5, upwards=-1.0)

    def draw(self, frame: NDArray, mesh_px: Float32Array, skull_px: Float32Array) -> NDArray:
        """The frame with the mouth's inside between its lips.

        frame: (S, S, 3) RGB uint8 or float32 in 0..255, returned in the same type; mesh_px: (478, 3)
        driven landmarks; skull_px: (478, 3) the neutral expression under the same head pose. Where the
        lips stand as in the photo, the frame's own pixels stay.
        """
        linear, offset = self._placement.fit(skull_px)
        opening = self._aperture(mesh_px, linear)
        scale = opening.width / max(self._source.width, 1.0)
        weight = self._novelty(opening, mesh_px, linear, offset)
        if weight <= 0:
            return frame
        window = opening.bounds(frame.shape[:2], 2.0 + 0.04 * opening.width)
        if window is None:
            return frame
        u, v = opening.grid(window)
        patch = frame[window].astype(np.float32)
        self._seam.draw(patch, opening, u, v, weight)
        if opening.gap > 0.6:
            softness = float(np.clip(1.2 * scale * self._source.width / 90, 1.0, 2.5))
            below, above = opening.depths(u, v)
            mask = opening.coverage(u, below, above, softness) * weight * smoothstep(0.6, 2.0, opening.gap)
            inside = self._inside(opening, u, v, below, above, mesh_px, skull_px, linear, offset)
            patch += mask[..., None] * (inside - patch)
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

    def _place(self, strip: TeethStrip, arch: DentalArch, edge: float, setback: float, upwards: float) -> _Row:
        x, z = arch.curve(strip.arc)
        across, down, away = self._axes
        if upwards > 0:
            self._upper_edge = self._line + edge * self._mm * down
        curve = self._line + self._mm * (x[:, None] * across + edge * down + (z + setback)[:, None] * away)
        # Little light reaches the back of the mouth.
        fall = np.exp(-((z / 24) ** 1.4)).astype(np.float32)[None, :, None]
        colour = strip.colour * self._teeth
        colour += strip.gum[..., None] * (self._gum - colour)
        rgba = np.concatenate([colour * fall, np.ones_like(strip.cover)[..., None]], -1)
        return _Row(rgba * strip.cover[..., None], strip.arc, strip.heights, curve.astype(np.float32), upwards)

    def _inside(
        self,
        opening: Aperture,
        u: Float32Array,
        v: Float32Array,
        below: Float32Array,
        above: Float32Array,
        mesh: Float32Array,
        skull: Float32Array,
        linear: Float32Array,
        offset: Float32Array,
    ) -> Float32Array:
        """Colour (h, w, 3) behind the lips at every pixel of a window."""
        mm = self._mm * float(np.linalg.norm(linear @ self._axes[1]))
        jaw = self._jaw_shift(opening, mesh, skull, linear, offset, mm)
        drop = max(0.0, float(opening.axes[1] @ jaw)) / mm
        colour = self._cavity(opening, u, v, below, above, mm)
        tongue, cover = self._tongue_at(opening, u, v, linear, offset + jaw, mm, drop)
        colour = colour + cover[..., None] * (tongue - colour)
        light = self._occlusion(below, above, opening, u, mm)
        lip = float(opening.axes[1] @ (linear @ self._upper_edge + offset - mesh[LIP_UPPER, :2])) / mm
        # Even a wide laugh bares little more than the crowns.
        limit = max(min(self._bared + 3.5, 9.0), self._bared + 1.0)
        sunk = (_soft_limit(lip, self._bared, limit) - lip) * mm * opening.axes[1]
        for row, shift in ((self._lower, jaw), (self._upper, sunk)):
            strip = _sample_row(row, opening, u, v, linear, offset + shift, mm)
            dim = light if row.upwards > 0 else 0.9 * light
            colour = colour * (1 - strip[..., 3:]) + strip[..., :3] * dim[..., None] ** _FLESH_LIGHT
        return np.clip(colour, 0, 255)

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
        bared = float(opening.axes[1] @ (mesh[14, :2] - edge)) / mm
        return jaw + (bared - _soft_limit(bared, 0.0, 4.2)) * mm * opening.axes[1]

    def _cavity(
        self, opening: Aperture, u: Float32Array, v: Float32Array, below: Float32Array, above: Float32Array, mm: float
    ) -> Float32Array:
        """Dark throat with the moist inside of lips and cheeks at its rim."""
        edge = np.minimum(np.minimum(below, above), 0.5 * opening.width - np.abs(u)) / mm
        rim = 0.55 * np.exp(-np.clip(edge, 0, None) / 3.0)
        return self._dark + rim[..., None] * (0.42 * self._tongue - self._dark)

    def _tongue_at(
        self,
        opening: Aperture,
        u: Float32Array,
        v: Float32Array,
        linear: Float32Array,
        offset: Float32Array,
        mm: float,
        drop: float,
    ) -> tuple[Float32Array, Float32Array]:
        _across, down, away = self._axes
        middle = self._line + self._mm * (2.5 * down + 13 * away)
        at_u, at_v = opening.local(*(linear @ middle + offset))
        x = (u - at_u) / (mm * 19)
        rise = np.float32(2.0 + 0.55 * drop)
        depth = (v - at_v) / mm + rise - 7 * x**2  # mm below the tongue's outline
        cover = smoothstep(-1.5, 2.0, depth) * smoothstep(1.05, 0.9, np.abs(x))
        front = smoothstep(0, rise + 3, depth)
        groove = 1 - 0.10 * np.exp(-((x / 0.10) ** 2)) * (1 - front)
        shade = (0.52 + 0.46 * front) * groove * (1 - 0.3 * np.clip(np.abs(x), 0, 1) ** 2)
        return self._tongue * shade[..., None], cover

    def _occlusion(
        self, below: Float32Array, above: Float32Array, opening: Aperture, u: Float32Array, mm: float
    ) -> Float32Array:
        """Light in 0..1 that reaches a point behind the lips; below, above: pixels to the lips."""
        below, above = below / mm, above / mm
        spread = opening.width / (mm * self._lips_mm)
        upper = 1 - 0.40 * np.exp(-np.clip(below, 0, None) / 1.1)
        lower = 1 - 0.22 * np.exp(-np.clip(above, 0, None) / 0.9)
        corner = np.clip(0.5 * opening.width - np.abs(u), 0, None) / opening.width
        sides = 0.45 + 0.55 * (1 - np.exp(-corner / 0.09))
        # A slit and a rounded mouth let in less light than a smile.
        slit = 0.50 + 0.50 * smoothstep(0.01, 0.11, opening.gap / max(opening.width, 1.0))
        return upper * lower * sides * slit * (0.65 + 0.35 * smoothstep(0.45, 0.85, spread))

    def _use_own_teeth(self, image: Float32Array, strip: TeethStrip) -> None:
        """Replace the drawn upper teeth by the photo's own wherever its open lips show them."""
        seen, tooth, within = self._look(image, self._upper)
        front = np.abs(self._upper.arc)[None] < 12
        visible = within & front
        luma = seen @ LUMA
        if visible.sum() < 50 or (tooth * visible).sum() < 0.25 * visible.sum():
            return
        bright = (tooth > 0.8) & front
        if np.median(luma[bright]) < 0.55 * float(self._teeth @ LUMA):
            return  # a dark mouth: what looks like teeth there is tongue or shade
        self._teeth = np.percentile(seen[bright], 60, axis=0).astype(np.float32)
        middle = visible & (np.abs(self._upper.arc)[None] < 7)
        count = middle.sum(1)
        if not count.any():
            return
        rows = np.where(count > 0, (luma * middle).sum(1) / np.maximum(count, 1), np.nan)
        shift = -biting_edge(self._upper.heights, rows / np.nanmax(rows))
        self._upper = self._place(strip, UPPER_ARCH, edge=_UPPER_EDGE + shift, setback=2.0, upwards=1.0)
        self._lower_edge += max(0.0, shift)
        self._bared = max(4.0, float(self._axes[1] @ (self._upper_edge - self._landmarks[13])) / self._mm)
        seen, tooth, within = self._look(image, self._upper)
        own = tooth * (self._upper.heights[:, None] > -0.8)
        own = cv2.GaussianBlur(cv2.erode(own.astype(np.float32), np.ones((3, 3))), (0, 0), 1.2)[..., None]
        opaque = np.concatenate([seen, np.ones_like(seen[..., :1])], -1)
        self._upper = replace(self._upper, strip=self._upper.strip * (1 - own) + opaque * own)

    def _look(self, image: Float32Array, row: _Row) -> tuple[Float32Array, Float32Array, BoolArray]:
        """The photo laid onto a row's strip: unshaded colour, likeness to a tooth, where lips are open."""
        points = row.curve[None] - row.heights[:, None, None] * self._mm * row.upwards * self._axes[1]
        x, y = (np.ascontiguousarray(points[..., k]) for k in (0, 1))
        colour = cv2.remap(image, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        u, v = self._source.local(x, y)
        below, above = self._source.depths(u, v)
        inside = (np.minimum(below, above) > 0.6) & (np.abs(u) < 0.5 * self._source.width)
        luma = colour @ LUMA
        bright = np.percentile(luma[inside], 85) if inside.any() else 255.0
        greyness = (colour.max(-1) - colour.min(-1)) / np.maximum(colour.max(-1), 1)
        skin = float(np.ptp(self._light) / self._light.max())
        tooth = smoothstep(0.50, 0.70, luma / bright) * smoothstep(1.0, 0.75, greyness / max(skin, 0.2))
        light = self._occlusion(below, above, self._source, u, self._mm)
        return np.clip(colour / np.clip(light, 0.6, 1)[..., None], 0, 250), tooth * inside, inside


def _sample_row(
    row: _Row,
    opening: Aperture,
    u: Float32Array,
    v: Float32Array,
    linear: Float32Array,
    offset: Float32Array,
    mm: float,
) -> Float32Array:
    """Premultiplied colour (h, w, 4) of a row of teeth at (u, v)."""
    edge_u, edge_v = opening.local(*(row.curve @ linear.T + offset).T)
    # Beyond the arch's turning points the far side hides behind the near one.
    first, last = int(edge_u.argmin()), int(edge_u.argmax())
    along = np.maximum.accumulate(edge_u[first : last + 1])
    # Teeth seen edge-on lie in the dark behind their neighbours.
    facing = np.gradient(along) / ((row.arc[1] - row.arc[0]) * mm)
    columns = np.arange(first, last + 1, dtype=np.float32)
    found = look_up(u, along, columns, edge_v[first : last + 1], smoothstep(0.05, 0.75, facing))
    height = row.upwards * (found[..., 1] - v) / mm
    line = ((height - row.heights[0]) / (row.heights[1] - row.heights[0])).astype(np.float32)
    beyond = (u < along[0]) | (u > along[-1])
    column, lit = np.where(beyond, np.float32(-9), found[..., 0]), found[..., 2]
    teeth = cv2.remap(row.strip, column, line, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    teeth[..., :3] *= lit[..., None]
    return teeth * smoothstep(0.0, 0.2, lit)[..., None]


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
