"""Joins aligned faces into one: regions, common tone, and a Laplacian-pyramid blend (Burt and Adelson 1983).

Fine bands come from one or two sources in each region, coarse bands from all: a plain mean would be a blur, a
plain cut-and-paste would leave a source recognisable. Pictures are CIE Lab on the canvas of composite_align.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

from real3d_portrait.arrays import Float32Array
from training.composite_align import CHIN, EYE_CORNERS, FOREHEAD, SIDE

OVAL = (10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152, 148,
        176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109)  # fmt: skip
EYES = ((33, 246, 161, 160, 159, 158, 157, 173, 133, 155, 154, 153, 145, 144, 163, 7),
        (466, 388, 387, 386, 385, 384, 398, 362, 382, 381, 380, 374, 373, 390, 249, 263))  # fmt: skip
BROWS = ((70, 63, 105, 66, 107, 55, 65, 52, 53, 46), (300, 293, 334, 296, 336, 285, 295, 282, 283, 276))
NOSE = (168, 193, 122, 196, 198, 131, 49, 48, 64, 98, 97, 2, 326, 327, 294, 278, 279, 360, 420, 419, 351, 417)
LIPS = (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291, 375, 321, 405, 314, 17, 84, 181, 91, 146)
JAW = (234, 58, 172, 150, 152, 379, 397, 288, 454)
FACE_REGIONS = ("eyes", "brows", "nose", "mouth", "chin", "cheek_l", "cheek_r", "forehead")
CLOTHES_REGIONS = ("collar", "clothes_l", "clothes_r")
REGIONS = (*FACE_REGIONS, "hair_top", "hair_l", "hair_r", "side_l", "side_r", "neck", *CLOTHES_REGIONS)

LEVELS = 6
# Share of the leading sources in each band, the finest first: inside the face, and in hair and clothes, where
# strands and folds of different people never meet and a mean would be mud.
LEAD_FACE = (0.9, 0.9, 0.85, 0.65, 0.35, 0.1, 0.0)
LEAD_OUTSIDE = (0.97, 0.97, 0.95, 0.9, 0.8, 0.6, 0.35)
# Blending lowers a band's energy; up to this factor of it is given back.
MOST_GAIN = (1.4, 1.4, 1.35, 1.2, 1.1, 1.05)
SHARPEN = (1.35, 1.2, 1.08, 1.0, 1.0, 1.0)


def soften(x: NDArray, sigma: float) -> Float32Array:
    return cv2.GaussianBlur(np.asarray(x, np.float32), (0, 0), sigma)


def polygon(points: NDArray, grow: int = 0) -> NDArray[np.bool_]:
    mask = np.zeros((SIDE, SIDE), np.uint8)
    cv2.fillPoly(mask, [np.round(points).astype(np.int32)], 1)
    if grow:
        mask = cv2.dilate(mask, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * grow + 1,) * 2))
    return mask > 0


def plain_skin(shape: NDArray) -> NDArray[np.bool_]:
    """The face without its rim, eyes and lips, where skin tone is measured."""
    skin = cv2.erode(polygon(shape[list(OVAL)]).astype(np.uint8), np.ones((15, 15))) > 0
    for part in EYES:
        skin &= ~polygon(shape[list(part)], 12)
    return skin & ~polygon(shape[list(LIPS)], 7)


def label_regions(shape: NDArray, neckline: NDArray, hair_length: float | None) -> NDArray[np.int8]:
    """(SIDE, SIDE) indices into REGIONS. `hair_length`: pixels below the chin where side hair ends."""
    y, x = np.mgrid[0:SIDE, 0:SIDE]
    name = {region: i for i, region in enumerate(REGIONS)}
    shape = shape.astype(np.float64)
    face = polygon(shape[list(OVAL)])
    eye, brow = shape[list(EYE_CORNERS), 1].mean(), shape[[105, 334], 1].mean()
    mouth, nose, chin = shape[[0, 17], 1].mean(), shape[2, 1], shape[CHIN, 1]
    left = x < SIDE / 2

    out = np.full((SIDE, SIDE), name["hair_top"], np.int8)

    def paint(mask: NDArray, region: str) -> None:
        out[mask] = name[region]

    def paint_sides(mask: NDArray, region: str) -> None:
        paint(mask & left, region + "_l")
        paint(mask & ~left, region + "_r")

    above = y < eye - 10
    below_top = y >= shape[FOREHEAD, 1] + 0.15 * (brow - shape[FOREHEAD, 1])
    rim = (x < shape[234, 0] + 40) | (x > shape[454, 0] - 40)
    paint_sides(above & ((~face & below_top) | rim), "hair")
    paint_sides(~above, "side")
    jaw = np.interp(x[0], shape[list(JAW), 0], shape[list(JAW), 1])
    paint((y > jaw) & (y > mouth - 40), "neck")
    if hair_length is None:
        paint((y > mouth - 5) & ~face, "neck")
    else:
        beside = (x < shape[172, 0] - 12) | (x > shape[397, 0] + 12)
        paint_sides(~face & (y > eye) & beside & (y < chin + hair_length), "side")

    t = np.linspace(0, 4, 60)
    line = [PchipInterpolator(range(5), neckline[:, i])(t) for i in (0, 1)]
    edge = np.interp(x[0], *line)
    within = (x >= neckline[0, 0]) & (x <= neckline[-1, 0])
    clothes = (y > mouth) & np.where(within, (y > edge) & (y > chin - 60), y > edge - 12)
    paint_sides(clothes, "clothes")
    depth = cv2.distanceTransform(clothes.astype(np.uint8), cv2.DIST_L2, 5)
    paint(clothes & (depth < 46) & (x > neckline[0, 0] - 20) & (x < neckline[-1, 0] + 20), "collar")

    paint_sides(face & ~clothes, "cheek")
    paint(face & (y < brow - 12), "forehead")
    paint(face & (y > mouth + 0.3 * (chin - mouth)), "chin")
    paint(face & (abs(x - SIDE / 2) < 70) & (y > nose + 2) & (y < mouth + 45), "mouth")
    paint(polygon(shape[list(LIPS)], 18), "mouth")
    paint(polygon(shape[list(NOSE)], 6), "nose")
    for part in BROWS:
        paint(polygon(shape[list(part)], 12), "brows")
    for part in EYES:
        paint(polygon(shape[list(part)], 14), "eyes")
    return out


def match_skin(lab: Float32Array, own: NDArray, wanted: NDArray) -> Float32Array:
    """Lab of a source, its skin's (mean, spread) (2, 3) brought to the wanted one; black stays black."""
    lightness = lab[..., 0]
    bright = np.clip(lightness / own[0, 0], 0, 1)
    contrast = np.clip(wanted[1, 0] / own[1, 0], 0.75, 1.35)
    chroma = np.clip(wanted[1, 1:] / own[1, 1:], 0.6, 1.2)
    out = np.empty_like(lab)
    linear = (lightness - own[0, 0]) * contrast + wanted[0, 0]
    out[..., 0] = bright * linear + (1 - bright) * lightness * (wanted[0, 0] / own[0, 0])
    strength = np.maximum(bright, 0.15)[..., None]
    centred = (lab[..., 1:] - own[0, 1:]) * (1 + (chroma - 1) * strength)
    out[..., 1:] = centred + own[0, 1:] + (wanted[0, 1:] - own[0, 1:]) * strength
    return out


def dye(lab: Float32Array, clothes: NDArray[np.bool_], neck: NDArray[np.bool_], skin: NDArray[np.bool_],
        sure: NDArray[np.bool_], colour: NDArray, spread: float) -> Float32Array:  # fmt: skip
    """Gives cloth, told from skin by its colour on and near the clothes region, one colour and contrast."""
    inner = (cv2.erode(clothes.astype(np.uint8), np.ones((9, 9))) > 0) & sure
    if inner.sum() < 500:
        return lab
    mean, deviation, skin_mean = lab[inner].mean(0), lab[inner].std(0), lab[skin & sure].mean(0)
    scale = np.array([35, 5, 6])
    nearer = (((lab - skin_mean) / scale) ** 2).sum(-1) - (((lab - mean) / scale) ** 2).sum(-1)
    cloth = 1 / (1 + np.exp(np.clip(-nearer / 4, -20, 20)))
    region = clothes.astype(np.float32)
    # Further up the neck than at the sides, where dark hair would pass for cloth.
    near = np.maximum(cv2.dilate(region, np.ones((13, 13))), cv2.dilate(region, np.ones((25, 25))) * neck)
    near = soften(near, 4)
    deep = soften(cv2.erode(region, np.ones((15, 15))), 3)
    cloth = soften(np.maximum(cloth * near, deep), 1.2)[..., None]
    dyed = np.empty_like(lab)
    dyed[..., 0] = (lab[..., 0] - mean[0]) * np.clip(spread / deviation[0], 0.3, 1.6) + colour[0]
    dyed[..., 1:] = (lab[..., 1:] - mean[1:]) * 0.3 + colour[1:]
    return lab * (1 - cloth) + dyed * cloth


def extend(lab: Float32Array, known: NDArray) -> Float32Array:
    """Fills where `known` (SIDE, SIDE) is 0 from the nearest colours (pull-push, Gortler et al. 1996)."""
    pyramid = [(lab * known[..., None], np.asarray(known, np.float32))]
    while min(pyramid[-1][1].shape) > 4:
        colour, weight = pyramid[-1]
        pyramid.append((cv2.pyrDown(colour), cv2.pyrDown(weight)))
    filled = None
    for colour, weight in pyramid[::-1]:
        own = colour / np.maximum(weight, 1e-6)[..., None]
        if filled is None:
            filled = own
            continue
        share = np.clip(5 * weight, 0, 1)[..., None]
        filled = cv2.pyrUp(filled, dstsize=weight.shape[::-1]) * (1 - share) + own * share
    return filled.astype(np.float32)


def foreground(lab: Float32Array, matte: Float32Array, inside: Float32Array) -> Float32Array:
    """The person's own colours, carried on past the matte's edge so that no old background is blended in."""
    core = soften(cv2.erode((matte > 0.9).astype(np.float32), np.ones((7, 7))), 1.5)
    keep = (np.clip(1.6 * core - 0.3, 0, 1) * inside)[..., None]
    known = cv2.erode(((matte > 0.96) & (inside > 0.6)).astype(np.float32), np.ones((11, 11)))
    return extend(lab, known) * (1 - keep) + lab * keep


def laplacian(picture: Float32Array) -> list[Float32Array]:
    gauss = [picture]
    for _ in range(LEVELS):
        gauss.append(cv2.pyrDown(gauss[-1]))
    bands = [a - cv2.pyrUp(b, dstsize=a.shape[1::-1]) for a, b in zip(gauss, gauss[1:])]
    return [*bands, gauss[-1]]


def blend(
    pictures: list[Float32Array], lead: list[Float32Array], base: list[Float32Array], face: Float32Array
) -> tuple[Float32Array, Float32Array]:
    """One Lab picture from many, and each source's share of the face in each band, (LEVELS + 1, N).

    `lead` are the weights of the leading sources, `base` those of the mean, (SIDE, SIDE) each. Colour follows
    the mean sooner than lightness, so that no region keeps a tint of its own.
    """
    bands = [laplacian(p) for p in pictures]
    inner = soften(face, 9)
    blended, shares = [], []
    for level in range(LEVELS + 1):
        outside = LEAD_OUTSIDE[level] * (1 - inner)
        size = bands[0][level].shape[1::-1]
        stack = np.array([b[level] for b in bands])

        def weights(strength: Float32Array, size: tuple[int, int] = size) -> Float32Array:
            raw = [strength * a + (1 - strength) * b / len(base) + 1e-9 for a, b in zip(lead, base)]
            small = np.array([cv2.resize(np.float32(w), size, interpolation=cv2.INTER_AREA) for w in raw])
            return small / small.sum(0)

        w = weights(LEAD_FACE[level] * inner + outside)
        band = (w[..., None] * stack).sum(0)
        if level:
            band[..., 1:] = (weights(0.5 * LEAD_FACE[level] * inner + outside)[..., None] * stack[..., 1:]).sum(0)
        if level < LEVELS:
            energy = soften((w * stack[..., 0] ** 2).sum(0), 3) / np.maximum(soften(band[..., 0] ** 2, 3), 1e-4)
            band *= SHARPEN[level] * np.clip(np.sqrt(energy), 1, MOST_GAIN[level])[..., None]
        blended.append(band)
        mask = cv2.resize(face, size, interpolation=cv2.INTER_AREA)
        shares.append((w * mask).sum((1, 2)) / mask.sum())
    picture = blended[-1]
    for band in blended[-2::-1]:
        picture = cv2.pyrUp(picture, dstsize=band.shape[1::-1]) + band
    return picture, np.array(shares)


def joint_matte(mattes: list[Float32Array], lead: list[Float32Array], votes: list[Float32Array]) -> Float32Array:
    """Matte of the composite: the leading source's, held near the outline on which all agree."""
    weight = np.array([soften(w + 1e-6, 6) for w in lead])
    own = (weight * np.array(mattes)).sum(0) / weight.sum(0)
    agreed = soften((np.array(votes) * np.array(mattes)).sum(0) / np.sum(votes, 0), 10) > 0.5
    inner = cv2.distanceTransform(agreed.astype(np.uint8), cv2.DIST_L2, 5)
    distance = soften(inner - cv2.distanceTransform((~agreed).astype(np.uint8), cv2.DIST_L2, 5), 3)
    matte = np.clip(own, np.clip((distance - 4) / 3, 0, 1), np.clip((distance + 4) / 3, 0, 1))
    shrunk = cv2.erode(matte.astype(np.float32), cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3)))
    return np.clip((soften(shrunk, 0.9) - 0.4) / 0.55, 0, 1)


def natural_hair(lab: Float32Array, hair: Float32Array) -> Float32Array:
    """Lab without the green or blue that an old background left in hair; `hair` (SIDE, SIDE) is its mask."""
    out = lab.copy()
    out[..., 2] += hair * (np.maximum(lab[..., 2], 2) - lab[..., 2])
    out[..., 1] += hair * (np.maximum(lab[..., 1], 0.35 * out[..., 2] + 1) - lab[..., 1])
    return out
