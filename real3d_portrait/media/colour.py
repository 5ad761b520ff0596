"""HDR and wide-gamut video → BT.709, as players show it on an ordinary screen.

Phones film in BT.2020 with the transfer curves HLG or PQ (ITU-R BT.2100). Both are brought to light in cd/m², scaled so
that the clip's white is white, turned to the BT.709 primaries, and what is brighter than white is rolled off.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, lru_cache

import av
import numpy as np
from av.video.reformatter import ColorPrimaries, ColorTrc
from numba import njit

from real3d_portrait.arrays import Float32Array, Float64Array, Frame, UInt16Array

REFERENCE_WHITE = 203.0  # cd/m² of diffuse white in HDR video (ITU-R BT.2408, table 1)
SDR_WHITE = 100.0  # cd/m² of white in material that was brought from SDR without raising it

_PQ_PEAK = 10000.0  # cd/m² of a signal of 1
_HLG_PEAK, _HLG_GAMMA = 1000.0, 1.2  # of the screen that HLG is shown on
# BT.2100 puts HLG's gamma on the luminance, FFmpeg's zscale on each channel: with this share of the latter, skin that
# was brought to HLG either way stays within 3 dE.
_CHANNELWISE = np.float32(0.35)
_SDR_GAMMA = 2.4  # ITU-R BT.1886
_KNEE = 0.75  # of the signal: up to here nothing is rolled off, so that faces stay as they are
_NARROWED = 105.0  # cd/m²: a clip that stays below this everywhere has SDR's own white
_BRIGHT = 99.9  # percentile of a picture that counts as its brightest part
_CODES = 65536
_STEPS = 4096  # of the last table, over the square root of light

_WHITE_POINT = (0.3127, 0.3290)  # D65, of all of these
_XY: dict[int, tuple[tuple[float, float], ...]] = {
    ColorPrimaries.BT709: ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060)),
    ColorPrimaries.BT2020: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046)),
    ColorPrimaries.SMPTE432: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),  # Display P3
}


def _to_xyz(primaries: int) -> Float64Array:
    """(3, 3): linear RGB of these primaries → CIE XYZ, white at Y = 1 (SMPTE RP 177)."""
    x, y = np.array([*_XY[int(primaries)], _WHITE_POINT]).T
    columns = np.stack([x / y, np.ones(4), (1 - x - y) / y])
    return np.asarray(columns[:, :3] * np.linalg.solve(columns[:, :3], columns[:, 3]), np.float64)


def pq_light(signal: Float64Array) -> Float64Array:
    """Signal 0..1 → share of 10,000 cd/m² (SMPTE ST 2084)."""
    m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
    root = signal ** (1 / m2)
    return (np.maximum(root - c1, 0) / (c2 - c3 * root)) ** (1 / m1)


def hlg_scene(signal: Float64Array) -> Float64Array:
    """Signal 0..1 → light of the scene 0..1 (ITU-R BT.2100, table 5); the screen's gamma is not in it."""
    a = 0.17883277
    b = 1 - 4 * a
    c = 0.5 - a * np.log(4 * a)
    return np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)


@dataclass(frozen=True)
class Grade:
    """How one clip's colours are coded, as far as they differ from BT.709's.

    Attributes:
        transfer, primaries: FFmpeg's numbers.
    """

    transfer: int
    primaries: int

    @property
    def hdr(self) -> bool:
        return self.transfer in (ColorTrc.SMPTE2084, ColorTrc.ARIB_STD_B67)

    @property
    def scene(self) -> bool:
        """Whether the curve gives the scene's light, as HLG's does, which the screen's own gamma brightens."""
        return self.transfer == ColorTrc.ARIB_STD_B67

    @property
    def greatest(self) -> float:
        """cd/m² of a signal of 1."""
        return _HLG_PEAK if self.scene else _PQ_PEAK

    def luma(self) -> Float32Array:
        """(3,) weights of the luminance."""
        return _to_xyz(self.primaries)[1].astype(np.float32)

    def brightest(self, pixels: UInt16Array) -> float:
        """cd/m² of the brightest part of a picture (H, W, 3) of 16-bit codes."""
        light = _light(self.transfer)[pixels]
        if self.scene:
            light *= np.maximum(light @ self.luma(), 1e-9)[..., None] ** np.float32(_HLG_GAMMA - 1)
        return self.greatest * float(np.percentile(light.max(-1), _BRIGHT))


def grade_of(frame: av.VideoFrame) -> Grade | None:
    """How a decoded frame is coded; None where it is to be shown as it is, BT.601's primaries included."""
    transfer, primaries = int(frame.color_trc), int(frame.color_primaries)
    hdr = transfer in (ColorTrc.SMPTE2084, ColorTrc.ARIB_STD_B67)
    if primaries not in _XY:
        # What is tagged with an HDR curve alone was filmed in BT.2020.
        primaries = int(ColorPrimaries.BT2020 if hdr else ColorPrimaries.BT709)
    if not hdr and primaries == ColorPrimaries.BT709:
        return None
    return Grade(transfer, primaries)


@dataclass(frozen=True)
class ToneMap:
    """Pictures of one grade → BT.709 pictures, the same way for the whole clip so that nothing pumps.

    Attributes:
        white: cd/m² that become white; `peak` cd/m² are the brightest that stay apart from it.
    """

    grade: Grade
    white: float = SDR_WHITE
    peak: float = SDR_WHITE

    @classmethod
    def of(cls, grade: Grade, brightest: float) -> ToneMap:
        """brightest: cd/m² of the clip's brightest parts, of `Grade.brightest`.

        White is BT.2408's; of a clip that stays below 105 cd/m² everywhere it is 100, SDR's own: a converter that does
        not raise SDR's white leaves it there.
        """
        if not grade.hdr:
            return cls(grade)
        white = SDR_WHITE if brightest <= _NARROWED else REFERENCE_WHITE
        return cls(grade, white, max(white, brightest))

    def __call__(self, pixels: UInt16Array) -> Frame:
        """(H, W, 3) 16-bit codes of R'G'B' → (H, W, 3) uint8."""
        shown = np.empty(pixels.shape, np.uint8)
        light = _light(self.grade.transfer)
        white = self.white / self.grade.greatest if self.grade.hdr else 1.0
        matrix = np.linalg.solve(_to_xyz(ColorPrimaries.BT709), _to_xyz(self.grade.primaries)) / white
        luma = self.grade.luma() if self.grade.scene else np.zeros(3, np.float32)
        peak = self.peak / self.white
        _convert(
            np.ascontiguousarray(pixels), light, light ** np.float32(_HLG_GAMMA), luma, _hlg_gain(),
            matrix.astype(np.float32), _roll_off(peak), np.float32(peak), _codes(), shown,
        )  # fmt: skip
        return shown


@cache
def _light(transfer: int) -> Float32Array:
    signal = np.arange(_CODES) / (_CODES - 1)
    if transfer == ColorTrc.SMPTE2084:
        return pq_light(signal).astype(np.float32)
    if transfer == ColorTrc.ARIB_STD_B67:
        return hlg_scene(signal).astype(np.float32)
    return np.asarray(signal**_SDR_GAMMA, np.float32)


@cache
def _codes() -> Frame:
    """(4096,) 8-bit codes over the square root of light."""
    return np.rint(255 * np.linspace(0, 1, _STEPS) ** (2 / _SDR_GAMMA)).astype(np.uint8)


@cache
def _hlg_gain() -> Float32Array:
    """(4096,) of HLG's gamma, over the square root of luminance."""
    return np.asarray(np.linspace(0, 1, _STEPS) ** (2 * (_HLG_GAMMA - 1)), np.float32)


@lru_cache(maxsize=8)
def _roll_off(peak: float) -> Float32Array:
    """(4096,) factors on light, over the square root of light as a share of `peak`, which is 1 or more.

    In the signal: straight up to the knee, then bent as by Reinhard et al. (2002, equation 4) to reach 1 at the peak.
    """
    end = peak ** (1 / _SDR_GAMMA)
    signal = np.maximum(np.linspace(0, 1, _STEPS) ** (2 / _SDR_GAMMA) * end, 1e-6)
    reach = (end - _KNEE) / (1 - _KNEE)
    over = np.maximum(signal - _KNEE, 0) / (1 - _KNEE)
    bent = _KNEE + (1 - _KNEE) * over * (1 + over / reach**2) / (1 + over)
    return np.asarray((np.where(signal > _KNEE, bent, signal) / signal) ** _SDR_GAMMA, np.float32)


@njit(cache=True, nogil=True, fastmath=True)
def _convert(pixels, light, bent, luma, gain, matrix, roll_off, peak, codes, shown):
    """Writes (H, W, 3) uint8 into `shown`.

    Args:
        pixels: (H, W, 3) uint16.
        light, bent: (65536,) light of a code, and the same after HLG's gamma.
        luma, gain: (3,) and (4096,) HLG's gain by luminance; without weights there is none.
        matrix: (3, 3) into BT.709, white at 1.
        roll_off, codes: (4096,) over the square root of light, its peak at `peak` and at 1.
    """
    one, zero, half = np.float32(1), np.float32(0), np.float32(0.5)
    last = np.float32(len(codes) - 1)
    for row in range(pixels.shape[0]):
        for column in range(pixels.shape[1]):
            red, green, blue = pixels[row, column, 0], pixels[row, column, 1], pixels[row, column, 2]
            r, g, b = light[red], light[green], light[blue]
            luminance = luma[0] * r + luma[1] * g + luma[2] * b
            if luminance > 0:
                factor = gain[np.int32(np.sqrt(min(luminance, one)) * last)]
                r = factor * r + _CHANNELWISE * (bent[red] - factor * r)
                g = factor * g + _CHANNELWISE * (bent[green] - factor * g)
                b = factor * b + _CHANNELWISE * (bent[blue] - factor * b)
            x = matrix[0, 0] * r + matrix[0, 1] * g + matrix[0, 2] * b
            y = matrix[1, 0] * r + matrix[1, 1] * g + matrix[1, 2] * b
            z = matrix[2, 0] * r + matrix[2, 1] * g + matrix[2, 2] * b
            least = min(x, y, z)
            if least < 0:  # outside BT.709: paler, at the same luminance, until it fits
                grey = max(np.float32(0.2126) * x + np.float32(0.7152) * y + np.float32(0.0722) * z, zero)
                kept = grey / (grey - least)
                x, y, z = grey + kept * (x - grey), grey + kept * (y - grey), grey + kept * (z - grey)
            most = max(x, y, z, np.float32(1e-9))
            factor = min(roll_off[np.int32(np.sqrt(min(most / peak, one)) * last)], one / most)
            shown[row, column, 0] = codes[np.int32(np.sqrt(max(x, zero) * factor) * last + half)]
            shown[row, column, 1] = codes[np.int32(np.sqrt(max(y, zero) * factor) * last + half)]
            shown[row, column, 2] = codes[np.int32(np.sqrt(max(z, zero) * factor) * last + half)]
