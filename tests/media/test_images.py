from __future__ import annotations

import zlib
from pathlib import Path

import cv2
import numpy as np
import pillow_heif
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image, ImageCms

from real3d_portrait import errors
from real3d_portrait.media.images import is_animated, read_photo

# Stored pixels for each EXIF orientation, from the upright picture (EXIF 2.3, section 4.6.4).
STORED = {
    1: lambda p: p,
    2: lambda p: p[:, ::-1],
    3: lambda p: p[::-1, ::-1],
    4: lambda p: p[::-1],
    5: lambda p: p.transpose(1, 0, 2),
    6: lambda p: np.rot90(p, 1),
    7: lambda p: p[::-1, ::-1].transpose(1, 0, 2),
    8: lambda p: np.rot90(p, -1),
}


def picture(height: int = 12, width: int = 20) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("orientation", STORED)
def test_exif_orientation_is_honoured(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = np.ascontiguousarray(STORED[orientation](picture()))
    Image.fromarray(stored).save(tmp_path / "photo.png", exif=exif)
    np.testing.assert_array_equal(read_photo(tmp_path / "photo.png").pixels, picture())


@pytest.mark.parametrize("name", ["a.heic", "a.heif", "a.avif"])
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_photos_of_phones_are_read_upright_and_in_their_colours(tmp_path: Path, name: str, orientation: int) -> None:
    upright = np.full((96, 64, 3), (60, 140, 200), np.uint8)
    upright[:40, :24] = (200, 60, 40)
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(np.ascontiguousarray(STORED[orientation](upright)))
    path = tmp_path / name
    if path.suffix == ".avif":
        stored.save(path, exif=exif, quality=95)
    else:
        pillow_heif.from_pillow(stored).save(path, exif=exif.tobytes(), quality=95)
    found = read_photo(path).pixels
    assert found.shape == upright.shape
    assert np.abs(found.astype(int) - upright).mean() < 4


def test_a_profile_in_heic_is_used_and_a_damaged_file_named(tmp_path: Path) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    swapped = profile.replace(b"rXYZ", b"????").replace(b"gXYZ", b"rXYZ").replace(b"????", b"gXYZ")
    red = Image.new("RGB", (64, 64), (255, 0, 0))
    pillow_heif.from_pillow(red).save(tmp_path / "a.heic", icc_profile=swapped, quality=95)
    assert read_photo(tmp_path / "a.heic").pixels[32, 32].argmax() == 1
    whole = (tmp_path / "a.heic").read_bytes()
    (tmp_path / "cut.heic").write_bytes(whole[: len(whole) * 2 // 3])
    with pytest.raises(errors.FileDamagedError):
        read_photo(tmp_path / "cut.heic")


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.tiff", "a.ppm", "a.tga"])
def test_lossless_formats_keep_every_pixel(tmp_path: Path, name: str) -> None:
    Image.fromarray(picture()).save(tmp_path / name)
    photo = read_photo(tmp_path / name)
    np.testing.assert_array_equal(photo.pixels, picture())
    assert photo.pixels.dtype == np.uint8
    assert photo.warnings == ()


@pytest.mark.parametrize("name", ["a.jpg", "a.webp", "a.jp2", "a.gif"])
def test_lossy_formats_keep_a_plain_colour(tmp_path: Path, name: str) -> None:
    Image.new("RGB", (40, 30), (200, 120, 60)).save(tmp_path / name)
    pixels = read_photo(tmp_path / name).pixels
    assert pixels.shape == (30, 40, 3)
    assert np.abs(pixels.astype(int) - (200, 120, 60)).max() <= 3


@pytest.mark.parametrize("name", ["a.png", "a.tiff"])
def test_16_bit_grey_is_scaled_not_clipped(tmp_path: Path, name: str) -> None:
    grey = np.linspace(0, 65535, 256, dtype=np.uint16).reshape(16, 16)
    Image.fromarray(grey).save(tmp_path / name)
    expected = np.arange(256).reshape(16, 16)
    for channel in range(3):
        np.testing.assert_array_equal(read_photo(tmp_path / name).pixels[..., channel], expected)


def test_16_bit_colour_is_scaled(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.ascontiguousarray(picture()[..., ::-1]).astype(np.uint16) * 257)
    np.testing.assert_array_equal(read_photo(tmp_path / "a.png").pixels, picture())


def test_cmyk_is_converted(tmp_path: Path) -> None:
    Image.new("CMYK", (16, 16), (255, 0, 0, 0)).save(tmp_path / "cyan.tiff")
    Image.new("CMYK", (16, 16), (0, 255, 255, 0)).save(tmp_path / "red.jpg", quality=100)
    assert np.abs(read_photo(tmp_path / "cyan.tiff").pixels.astype(int) - (0, 255, 255)).max() <= 2
    assert np.abs(read_photo(tmp_path / "red.jpg").pixels.astype(int) - (255, 0, 0)).max() <= 4


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "PA"])
def test_transparent_parts_are_shown_on_white_with_a_warning(tmp_path: Path, mode: str) -> None:
    image = Image.new("RGBA", (8, 8), (40, 40, 40, 255))
    image.paste((40, 40, 40, 0), (0, 0, 4, 8))
    image.convert(mode).save(tmp_path / "cut.png" if mode != "PA" else tmp_path / "cut.tiff")
    photo = read_photo(tmp_path / ("cut.png" if mode != "PA" else "cut.tiff"))
    assert (photo.pixels[:, :4] == 255).all()
    assert (photo.pixels[:, 4:] == 40).all()
    assert len(photo.warnings) == 1
    assert "transparent" in photo.warnings[0]


def test_half_transparency_mixes_with_white() -> None:
    photo = read_photo(Image.new("RGBA", (4, 4), (0, 100, 200, 51)))  # alpha 0.2
    assert np.abs(photo.pixels.astype(int) - (204, 224, 244)).max() <= 1


def test_an_opaque_alpha_channel_is_no_news() -> None:
    assert read_photo(Image.fromarray(picture()).convert("RGBA")).warnings == ()


@pytest.mark.parametrize("mode", ["1", "L", "P", "YCbCr", "HSV", "F", "I"])
def test_every_mode_of_a_white_picture_is_white(mode: str) -> None:
    white = Image.new("L", (6, 5), 255).convert(mode)
    assert (read_photo(white).pixels == 255).all()


def test_an_embedded_profile_is_used(tmp_path: Path) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    # The same profile with the red and green primaries exchanged.
    swapped = profile.replace(b"rXYZ", b"????").replace(b"gXYZ", b"rXYZ").replace(b"????", b"gXYZ")
    Image.new("RGB", (4, 4), (255, 0, 0)).save(tmp_path / "a.png", icc_profile=swapped)
    assert np.abs(read_photo(tmp_path / "a.png").pixels.astype(int) - (0, 255, 0)).max() <= 2
    Image.new("RGB", (4, 4), (255, 0, 0)).save(tmp_path / "b.png", icc_profile=b"no profile at all")
    np.testing.assert_array_equal(read_photo(tmp_path / "b.png").pixels[0, 0], (255, 0, 0))


@pytest.mark.parametrize("name", ["a.gif", "a.png", "a.webp"])
def test_an_animation_gives_its_first_frame_and_a_warning(tmp_path: Path, name: str) -> None:
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:], duration=100, lossless=True)
    photo = read_photo(tmp_path / name)
    assert is_animated(tmp_path / name)
    np.testing.assert_array_equal(photo.pixels[0, 0], (255, 0, 0))
    assert len(photo.warnings) == 1
    assert "first frame" in photo.warnings[0]


def test_unusable_files_have_an_error_each(tmp_path: Path) -> None:
    Image.fromarray(picture(200, 200)).save(tmp_path / "whole.png")
    Image.fromarray(picture(200, 200)).save(tmp_path / "whole.jpg")
    contents = {
        "empty.jpg": (b"", errors.FileDamagedError),
        "words.jpg": (b"not a picture", errors.FileFormatError),
        "noise.png": (np.random.default_rng(0).bytes(5000), errors.FileFormatError),
        "vector.eps": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", errors.FileFormatError),
        "cut.png": ((tmp_path / "whole.png").read_bytes()[:9000], errors.FileDamagedError),
        "cut.jpg": ((tmp_path / "whole.jpg").read_bytes()[:9000], errors.FileDamagedError),
    }
    for name, (content, error) in contents.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(error, match=name):
            read_photo(tmp_path / name)
    with pytest.raises(errors.FileMissingError, match="portrait"):
        read_photo(tmp_path / "absent.jpg", what="portrait")
    with pytest.raises(errors.FileUnreadableError):
        read_photo(tmp_path)


@pytest.mark.parametrize(("width", "height"), [(10_000, 5_001), (12_000, 10_000), (60_000, 50_000)])
@pytest.mark.filterwarnings("error")
def test_more_than_50_megapixels_are_refused_before_decoding(tmp_path: Path, width: int, height: int) -> None:
    Image.new("1", (8, 8)).save(tmp_path / "huge.png")
    content = bytearray((tmp_path / "huge.png").read_bytes())
    content[16:24] = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    (tmp_path / "huge.png").write_bytes(content)  # decoding this would fail in another way
    with pytest.raises(errors.ImageTooLargeError, match=rf"{width * height // 1_000_000}.* megapixels"):
        read_photo(tmp_path / "huge.png")


@settings(max_examples=60, deadline=None)
@given(
    arrays(
        dtype=st.sampled_from([np.uint8, np.uint16, np.float32, np.float64, np.bool_]),
        shape=array_shapes(min_dims=2, max_dims=3, min_side=1, max_side=9),
    )
)
def test_any_array_is_read_or_refused_clearly(array: np.ndarray) -> None:
    if array.ndim == 2 or array.shape[2] in (1, 3, 4):
        pixels = read_photo(array).pixels
        assert pixels.dtype == np.uint8
        assert pixels.shape == (*array.shape[:2], 3)
    else:
        with pytest.raises(errors.FileFormatError):
            read_photo(array)


def test_floats_run_from_0_to_1() -> None:
    grey = np.linspace(0, 1, 256, dtype=np.float32).reshape(16, 16)
    np.testing.assert_array_equal(read_photo(grey).pixels[..., 0], np.arange(256).reshape(16, 16))
