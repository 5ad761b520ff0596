"""Colours of videos: HDR and wide gamuts look as their SDR original, ranges and matrices are honoured."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from av.video.reformatter import ColorPrimaries, ColorRange, ColorTrc

from real3d_portrait.media.colour import SDR_WHITE, Grade, ToneMap
from real3d_portrait.media.video import read_frames

SIDE = 32  # pixels of a swatch
# Skins, lips, hair, clothes, walls and white.
COLOURS = np.array(
    [(226, 180, 156), (198, 134, 107), (120, 78, 60), (68, 44, 36), (172, 78, 82), (40, 120, 118), (205, 40, 45),
     (120, 118, 112), (235, 235, 230), (30, 60, 150), (16, 16, 18), (255, 255, 255)], np.uint8
)  # fmt: skip
# Linear BT.709 → linear BT.2020 (ITU-R BT.2087, table 2).
BT2020 = np.array([(0.6274, 0.3293, 0.0433), (0.0691, 0.9195, 0.0114), (0.0164, 0.0880, 0.8956)])
# Luma weights of the matrices (ITU-R BT.601, BT.709 and BT.2020); FFmpeg's number for each.
LUMA = {5: (0.299, 0.587, 0.114), 1: (0.2126, 0.7152, 0.0722), 9: (0.2627, 0.6780, 0.0593)}


def pq(nits: np.ndarray) -> np.ndarray:
    """ITU-R BT.2100, table 4: inverse of the reference EOTF."""
    y = (np.maximum(nits, 0) / 10000) ** 0.1593017578125
    return ((0.8359375 + 18.8515625 * y) / (1 + 18.6875 * y)) ** 78.84375


def hlg(nits: np.ndarray) -> np.ndarray:
    """ITU-R BT.2100, table 5: inverse OOTF at 1,000 cd/m², then the reference OETF."""
    luminance = np.maximum(nits / 1000 @ LUMA[9], 1e-9)[..., None]
    scene = np.maximum(nits / 1000, 0) * luminance ** (1 / 1.2 - 1)
    return np.where(
        scene <= 1 / 12, np.sqrt(3 * scene), 0.17883277 * np.log(12 * np.maximum(scene, 0.03) - 0.28466892) + 0.55991073
    )


def film(
    path: Path, signal: np.ndarray, matrix: int, primaries: int, transfer: int, bits: int = 10, full: bool = False
) -> Path:
    """A lossless video of swatches with R'G'B' signals (N, 3) in 0..1."""
    kr, kg, kb = LUMA[matrix]
    y = signal @ (kr, kg, kb)
    chroma = np.stack([(signal[:, 2] - y) / (2 - 2 * kb), (signal[:, 0] - y) / (2 - 2 * kr)])
    unit = 2 ** (bits - 8)
    low, span, chroma_span = (0, 2**bits - 1, 2**bits - 1) if full else (16 * unit, 219 * unit, 224 * unit)
    planes = np.rint(np.stack([low + span * y, *(128 * unit + chroma_span * chroma)]))
    picture = planes.repeat(SIDE, 1)[:, None].repeat(SIDE, 1)
    kind, name = (np.uint16, "yuv444p10le") if bits == 10 else (np.uint8, "yuv444p")
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25, width=picture.shape[2], height=SIDE)
        stream.pix_fmt = name
        context = stream.codec_context
        context.color_range = ColorRange.JPEG if full else ColorRange.MPEG
        context.colorspace, context.color_primaries, context.color_trc = matrix, primaries, transfer
        for index in range(2):
            frame = av.VideoFrame(picture.shape[2], SIDE, name)
            for plane, values in zip(frame.planes, picture, strict=True):
                rows = np.zeros((SIDE, plane.line_size // np.dtype(kind).itemsize), kind)
                rows[:, : values.shape[1]] = np.clip(values, 0, 2**bits - 1)
                plane.update(rows.tobytes())
            frame.pts, frame.time_base = index, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def off(path: Path) -> np.ndarray:
    """(N,) CIE 1976 differences of the swatches from `COLOURS`."""
    shown = next(read_frames(path)).pixels[SIDE // 2, SIDE // 2 :: SIDE]
    lab = [cv2.cvtColor(x[None].astype(np.float32) / 255, cv2.COLOR_RGB2LAB)[0] for x in (shown, COLOURS)]
    return np.linalg.norm(lab[0] - lab[1], axis=-1)


def light() -> np.ndarray:
    """The swatches on a BT.1886 screen, linear BT.2020, white at 1."""
    return np.asarray((COLOURS / 255) ** 2.4 @ BT2020.T)


@pytest.mark.parametrize("white", [100, 203])
@pytest.mark.parametrize("curve", [ColorTrc.SMPTE2084, ColorTrc.ARIB_STD_B67])
def test_hdr_looks_as_its_sdr_original(tmp_path: Path, curve: ColorTrc, white: float) -> None:
    coded = (pq if curve == ColorTrc.SMPTE2084 else hlg)(white * light())
    found = off(film(tmp_path / "hdr.mkv", coded, 9, ColorPrimaries.BT2020, curve))
    assert found.mean() < 2.5
    assert found[:4].max() < 3  # skin
    assert found[-1] < 1  # white


def test_a_wide_gamut_without_hdr_looks_as_its_original(tmp_path: Path) -> None:
    path = film(tmp_path / "wide.mkv", light() ** (1 / 2.4), 9, ColorPrimaries.BT2020, ColorTrc.BT2020_10)
    assert off(path).max() < 1.5


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize(
    ("matrix", "primaries", "curve"), [(5, ColorPrimaries.SMPTE170M, 6), (1, ColorPrimaries.BT709, 1)]
)
def test_sdr_of_either_matrix_and_range_stays_as_it_is(
    tmp_path: Path, matrix: int, primaries: ColorPrimaries, curve: int, full: bool
) -> None:
    path = film(tmp_path / "sdr.mkv", COLOURS / 255, matrix, primaries, curve, bits=8, full=full)
    assert off(path).max() < 2.5


def test_highlights_are_rolled_off_and_faces_are_not() -> None:
    grade = Grade(ColorTrc.SMPTE2084, ColorPrimaries.BT2020)
    nits = np.array([20.0, 50, 90, 203, 400, 800, 4000])
    codes = np.rint(65535 * pq(np.repeat(nits[:, None], 3, 1))).astype(np.uint16)[None]
    shown = ToneMap.of(grade, 800.0)(codes)[0, :, 1].astype(int)
    plain = 255 * (nits / 203) ** (1 / 2.4)
    np.testing.assert_allclose(shown[:3], plain[:3], atol=1)
    assert (np.diff(shown[:6]) > 5).all()
    assert shown[3] > 215  # white paper
    assert shown[5] >= 254
    assert shown[6] == 255


def test_colours_outside_bt709_turn_paler_and_keep_their_luminance() -> None:
    tone_map = ToneMap.of(Grade(ColorTrc.SMPTE2084, ColorPrimaries.BT2020), SDR_WHITE)
    green = np.rint(65535 * pq(np.array([[[0.0, 30, 0]]]))).astype(np.uint16)
    shown = ((tone_map(green)[0, 0] / 255) ** 2.4) @ LUMA[1]
    assert shown == pytest.approx(0.30 * LUMA[9][1], rel=0.03)
