"""One eye of a photo taken apart: white, iris, reflections, and what lids and lashes shade.

Everything that lids hide in the photo is continued from what they show, so that the eyeball can turn and
the lids can move over it.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from scipy.ndimage import gaussian_filter1d

from real3d_portrait.arrays import BoolArray, Float32Array
from real3d_portrait.models.compact.aperture import Aperture, smoothstep
from real3d_portrait.models.compact.photo_light import LUMA

STRIP_COLUMNS, STRIP_ROWS = 48, 12


@dataclass(frozen=True)
class Eyeball:
    """Images are a window of the photo whose top left pixel is `corner`."""

    corner: Float32Array  # (2,) photo pixels
    sclera: Float32Array  # (h, w, 3) without iris and without the lids' shade
    iris: Float32Array  # (h, w, 4) premultiplied iris and pupil without reflections
    glint: Float32Array  # (h, w, 3) light added by reflections
    upper_shade: Float32Array  # (STRIP_ROWS, STRIP_COLUMNS, 3) factor by depth below the lid and place along it
    lower_shade: Float32Array
    shade_reach: float  # photo pixels that the strips' rows span
    upper_lid: Float32Array  # (STRIP_COLUMNS, 3) skin above the upper lashes
    lower_lid: Float32Array  # (STRIP_COLUMNS, 3) skin below the lower ones
    lash: Float32Array  # (3,) colour of the upper lash line
    width: float  # photo pixels
    openness: float  # height over width
    visible: float  # 0 behind dark glasses, 1 where white and iris are distinct


def opening_of(mesh: Float32Array, upper: tuple[int, ...], lower: tuple[int, ...]) -> Aperture:
    """The opening between the lids of a mesh (478, 2+), along the line through the eye's corners."""
    across = mesh[upper[-1], :2] - mesh[upper[0], :2]
    across = across / max(float(np.linalg.norm(across)), 1e-3)
    axes = np.array([across, [-across[1], across[0]]], np.float32)
    return Aperture.from_points(mesh[list(upper), :2], mesh[list(lower), :2], axes)


def take_apart(image: Float32Array, opening: Aperture, pupil: Float32Array, radius: float, cheek: float) -> Eyeball:
    """image: (S, S, 3) float32 RGB; pupil: (2,) and radius: the tracker's iris in pixels; cheek: its luma."""
    width = max(opening.width, 4.0)
    reach = int(np.ceil(0.9 * width))
    corner = np.rint(opening.origin).astype(int) - reach
    grid = np.arange(2 * reach + 1, dtype=np.float32)
    x, y = np.meshgrid(grid + corner[0], grid + corner[1])
    patch = np.asarray(cv2.remap(image, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.float32)
    u, v = opening.local(x, y)
    below, above = opening.depths(u, v)
    band = float(min(0.12 * width, 0.38 * max(opening.gap, 1.0)))
    # Where neither lids nor lashes touch the picture of the eyeball.
    clear = (below > 0.75 * band) & (above > 0.45 * band) & (np.abs(u) < 0.46 * width)

    pupil, radius = _refine_iris(patch @ LUMA, clear, pupil - corner, radius)
    dx, dy = x - corner[0] - pupil[0], y - corner[1] - pupil[1]
    distance = np.hypot(dx, dy) / radius
    beneath = (above < -0.08 * width) & (above > -0.25 * width) & (np.abs(u) < 0.4 * width)
    sclera = _fill_sclera(patch, clear & (distance > 1.15), u / width, patch[beneath])
    within = (below > 0.3 * band) & (above > 0.3 * band)
    iris, glint = _fill_iris(patch, clear, within, distance, dx, dy, radius)
    whole = sclera * (1 - iris[..., 3:]) + iris[..., :3]
    shaded, plain = patch + 4, whole + glint + 4
    # Mostly a grey factor: a lid's shade has little colour, and the quotient of dark pixels has too much.
    ratio = 0.7 * ((shaded @ LUMA) / (plain @ LUMA))[..., None] + 0.3 * shaded / plain
    ratio = np.clip(ratio, 0.12, 1.06).astype(np.float32)

    columns = np.linspace(-0.5, 0.5, STRIP_COLUMNS, dtype=np.float32) * width
    depths = np.linspace(0, band, STRIP_ROWS, dtype=np.float32)[:, None]
    top = np.interp(columns, opening.u, opening.top).astype(np.float32)[None]
    bottom = np.interp(columns, opening.u, opening.bottom).astype(np.float32)[None]
    fade = smoothstep(1.0, 0.5, depths / band)[..., None]
    along = 0.04 * STRIP_COLUMNS

    def sample(source: Float32Array, heights: Float32Array) -> Float32Array:
        u2 = np.broadcast_to(columns[None], heights.shape)
        points = opening.origin - corner + np.stack([u2, heights], -1) @ opening.axes
        sx, sy = (np.ascontiguousarray(points[..., k], np.float32) for k in (0, 1))
        return np.asarray(cv2.remap(source, sx, sy, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.float32)

    upper_shade = gaussian_filter1d(sample(ratio, top + depths), along, axis=1)
    lower_shade = gaussian_filter1d(sample(ratio, bottom - depths), along, axis=1)
    skin_depth = np.linspace(0.07, 0.20, 9, dtype=np.float32)[:, None] * width
    # The brighter part: creases, lashes and brows are no skin.
    lids = [np.percentile(sample(patch, v), 65, axis=0) for v in (top - skin_depth, bottom + skin_depth)]
    lids = [gaussian_filter1d(lid, 3 * along, axis=0).astype(np.float32) for lid in lids]
    lashes = sample(patch, top + np.linspace(-0.03, 0.03, 5, dtype=np.float32)[:, None] * width)
    lashes = lashes[:, 8:-8].reshape(-1, 3)
    darkest = np.argsort(lashes @ LUMA)[: len(lashes) // 5]
    return Eyeball(
        corner=corner.astype(np.float32),
        sclera=sclera,
        iris=iris,
        glint=glint,
        upper_shade=(1 + fade * (upper_shade - 1)).astype(np.float32),
        lower_shade=(1 + fade * (lower_shade - 1)).astype(np.float32),
        shade_reach=band,
        upper_lid=lids[0],
        lower_lid=lids[1],
        lash=lashes[darkest].mean(0),
        width=width,
        openness=opening.gap / width,
        visible=_visibility((patch @ LUMA)[(below > 0) & (above > 0)], (patch @ LUMA)[beneath], cheek),
    )


def _visibility(inside: Float32Array, beneath: Float32Array, cheek: float) -> float:
    """0 where the eye and the skin under it are as dark and even as glasses for the sun, else 1; lumas."""
    if len(inside) < 8 or not len(beneath):
        return 1.0
    contrast = float(np.ptp(np.percentile(inside, (5, 95)))) / cheek
    skin = float(np.median(beneath)) / cheek
    return float(max(smoothstep(0.24, 0.32, contrast), smoothstep(0.45, 0.65, skin)))


def _refine_iris(
    luma: Float32Array, clear: BoolArray, pupil: Float32Array, radius: float
) -> tuple[Float32Array, float]:
    """The circle near the tracker's with the steepest step from iris to white, where both show."""
    angles = np.deg2rad(np.concatenate([np.arange(-35, 56, 7), np.arange(125, 216, 7)])).astype(np.float32)
    across, down = np.meshgrid(np.linspace(-0.15, 0.15, 7), np.linspace(-0.1, 0.1, 5))
    shifts = np.stack([across.ravel(), down.ravel()], -1).astype(np.float32)
    best, found = -np.inf, (pupil, radius)
    visible = clear.astype(np.float32)
    for factor in np.linspace(0.86, 1.14, 8):
        r = radius * factor
        centres = pupil + shifts * radius
        edge = []
        for part in (0.85, 1.15):
            px = (centres[:, :1] + part * r * np.cos(angles)).astype(np.float32)
            py = (centres[:, 1:] + part * r * np.sin(angles)).astype(np.float32)
            edge.append([cv2.remap(values, px, py, cv2.INTER_LINEAR) for values in (luma, visible)])
        seen = edge[0][1] * edge[1][1]
        step = ((edge[1][0] - edge[0][0]) * seen).sum(1) / (seen.sum(1) + 3)
        score = step * (1 - 3 * (factor - 1) ** 2) - 20 * (shifts**2).sum(1)
        k = int(score.argmax())
        if score[k] > best:
            best, found = float(score[k]), (centres[k], float(r))
    return found


def _fill_sclera(colour: Float32Array, white: BoolArray, u: Float32Array, skin: Float32Array) -> Float32Array:
    """The white of the eye everywhere: the photo's pixels where they show, else a smooth continuation.

    skin: (n, 3) pixels under the eye, which tell the light where an eye nearly shut shows no white.
    """
    pale = np.median(skin, 0) if len(skin) else np.full(3, 150.0)
    floor = 0.55 * (0.25 * pale + 0.75 * float(pale @ LUMA)).astype(np.float32)
    if white.sum() < 8:
        return np.broadcast_to(1.2 * floor, colour.shape).astype(np.float32)
    luma = colour @ LUMA
    bright = white & (luma >= np.percentile(luma[white], 20))
    # A parabola along the eye: an eyeball darkens towards its corners.
    terms = np.stack([np.ones_like(u), u, u * u], -1)
    rows, values = terms[bright], colour[bright]
    fit = np.linalg.solve(rows.T @ rows + np.diag([0, 0.02, 0.004]) * len(rows), rows.T @ values)
    smooth = np.clip(terms @ fit, np.percentile(values, 3, axis=0), np.percentile(values, 92, axis=0))
    shortfall = 1 - float(np.median(smooth[bright] @ LUMA)) / max(float(floor @ LUMA), 1.0)
    smooth = smooth + float(smoothstep(0.0, 0.3, shortfall)) * (floor - smooth)
    smooth *= 0.95 * (1 - 0.9 * np.clip(np.abs(u) - 0.36, 0, 0.4))[..., None]
    soft = cv2.GaussianBlur(cv2.erode(white.astype(np.float32), np.ones((3, 3))), (0, 0), 0.8)
    own = np.asarray(soft, np.float32)[..., None]
    own *= 1 - smoothstep(0.0, 0.3, shortfall)
    return (smooth + own * (colour - smooth)).astype(np.float32)


def _fill_iris(
    colour: Float32Array,
    clear: BoolArray,
    within: BoolArray,
    distance: Float32Array,
    dx: Float32Array,
    dy: Float32Array,
    radius: float,
) -> tuple[Float32Array, Float32Array]:
    """Iris with pupil (h, w, 4) and its reflections (h, w, 3).

    What a lid hides comes from the mirrored lower half where that shows, else from the same radius.
    """
    seen = clear & (distance < 1.15)
    rings = np.linspace(0, 1.25, 14)
    profile = np.full((len(rings), 3), np.nan)
    for k, ring in enumerate(rings):
        pixels = colour[seen & (np.abs(distance - ring) < 0.08)]
        if len(pixels) >= 3:
            # Below the median, so that reflections stay out.
            profile[k] = np.percentile(pixels, 40, axis=0)
    known = ~np.isnan(profile[:, 0])
    if known.sum() < 3:
        brown = np.interp(rings, (0.0, 0.35, 0.45, 0.9, 1.0), (18, 22, 52, 46, 30))
        profile = brown[:, None] * np.array([1.0, 0.78, 0.62])
    else:
        profile = np.stack([np.interp(rings, rings[known], profile[known, c]) for c in range(3)], -1)
    radial = np.stack([np.interp(distance, rings, profile[:, c]) for c in range(3)], -1).astype(np.float32)

    excess = (colour - radial) @ LUMA
    core = distance < 0.8
    spot = core & within & (excess > max(25.0, 0.5 * float((radial @ LUMA)[core].mean())))
    if spot.sum() > 0.2 * core.sum():
        spot[:] = False  # no reflection is that large: the lids or glasses are in the way
    soft = cv2.GaussianBlur(cv2.dilate(spot.astype(np.float32), np.ones((3, 3))), (0, 0), 0.7)[..., None]
    glint = np.clip(colour - radial, 0, None) * soft
    plain = colour - glint

    shown = np.clip(2 * cv2.GaussianBlur(seen.astype(np.float32), (0, 0), 0.8) - 1, 0, 1)
    h, w = distance.shape
    x, y = np.meshgrid(np.arange(w, dtype=np.float32), np.arange(h, dtype=np.float32))
    flipped = [cv2.remap(a, x, y - 2 * dy, cv2.INTER_LINEAR) for a in (plain, shown)]
    mirrored = np.where(dy < 0, flipped[1], 0)[..., None]
    iris = radial + mirrored * (flipped[0] - radial)
    iris += shown[..., None] * (plain - iris)
    softness = max(0.06, 0.9 / radius)
    alpha = smoothstep(1.02 + softness, 1.02 - softness, distance)[..., None]
    return np.concatenate([iris * alpha, alpha], -1).astype(np.float32), glint.astype(np.float32)
