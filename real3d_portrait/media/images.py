"""Photos and other still pictures → upright 8-bit sRGB pixels."""

from __future__ import annotations

import io
import os
import re
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from real3d_portrait.errors import (
    FileDamagedError,
    FileFormatError,
    FileMissingError,
    FileUnreadableError,
    ImageTooLargeError,
    InputError,
)

LARGEST_MEGAPIXELS = 50
_SUPPORTED = "JPEG, PNG, WebP or HEIC"  # in messages
# Formats whose decoders start no other program (EPS starts Ghostscript) and that people keep photos in.
_FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "GIF", "BMP", "TIFF", "JPEG2000", "PPM", "TGA", "ICO")
_ANIMATED = ("GIF", "PNG", "WEBP", "AVIF")

PhotoSource = str | os.PathLike[str] | np.ndarray | Image.Image


@dataclass(frozen=True)
class Photo:
    """One picture as a viewer shows it.

    Attributes:
        pixels: (H, W, 3) uint8 sRGB, EXIF orientation applied.
        warnings: what was done to the picture that its owner may not expect, one sentence each.
    """

    pixels: np.ndarray
    warnings: tuple[str, ...] = ()


def read_photo(source: PhotoSource, what: str = "photo") -> Photo:
    """Read a picture of any common format, colour mode and depth.

    Args:
        source: a file, a Pillow image, or an array (H, W) or (H, W, 1, 3 or 4) of uint8, uint16
            or floats in 0..1.
        what: the role that messages name, such as "background image".

    Raises:
        FileMissingError, FileUnreadableError, FileFormatError: it is absent, a folder or locked, or no picture.
        FileDamagedError: it is of 0 bytes, or begins well but does not decode to its end.
        ImageTooLargeError: more than 50 megapixels, found before decoding.
    """
    if isinstance(source, np.ndarray):
        return _from_image(_from_array(source, what), what, "array")
    if isinstance(source, Image.Image):
        return _from_image(source, what, getattr(source, "filename", "") or "image")
    path = Path(source)
    with _open(path, what) as image:
        return _from_image(image, what, path)


def is_animated(path: str | os.PathLike[str]) -> bool:
    """Whether the file is a picture that plays, such as an animated GIF."""
    try:
        with _open(Path(path), "picture") as image:
            return _plays(image)
    except InputError:
        return False


def _plays(image: Image.Image) -> bool:
    # The pages of a TIFF and the two views of a stereo JPEG are further frames that do not play.
    return image.format in _ANIMATED and getattr(image, "is_animated", False)


def _open(path: Path, what: str) -> Image.Image:
    try:
        if path.is_dir():
            raise FileUnreadableError(what=what, path=path, reason="it is a folder")
        if path.stat().st_size == 0:
            raise FileDamagedError(what=what, path=path, reason="it is empty")
        with warnings.catch_warnings():
            # Pillow's own limit lies above ours, which is checked before anything is decoded.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            Image.init()
            return Image.open(path, formats=[name for name in _FORMATS if name in Image.OPEN])
    except FileNotFoundError:
        raise FileMissingError(what=what, path=path) from None
    except UnidentifiedImageError:
        return _open_heif(path, what)
    except Image.DecompressionBombError as error:
        pixels = re.search(r"\d+", str(error))
        count = round(int(pixels[0]) / 1e6) if pixels else f"over {LARGEST_MEGAPIXELS}"
        raise ImageTooLargeError(what=what, path=path, megapixels=count, limit=LARGEST_MEGAPIXELS) from None
    except OSError as error:
        if error.errno is None:  # Pillow's own complaint about the content
            raise FileFormatError(what=what, path=path, formats=_SUPPORTED) from None
        raise FileUnreadableError(what=what, path=path, reason=error.strerror) from None
    except (ValueError, SyntaxError, EOFError, ArithmeticError):
        raise FileFormatError(what=what, path=path, formats=_SUPPORTED) from None


def _open_heif(path: Path, what: str) -> Image.Image:
    """HEIC and HEIF, which phones keep photos in. Turned as their metadata say when they are decoded."""
    import pillow_heif

    if not pillow_heif.is_supported(path):
        raise FileFormatError(what=what, path=path, formats=_SUPPORTED)
    try:
        return cast(Image.Image, pillow_heif.HeifImageFile(path))
    except (OSError, ValueError, SyntaxError, EOFError, RuntimeError):
        raise FileDamagedError(what=what, path=path, reason="it is cut off or does not decode") from None


def _from_image(image: Image.Image, what: str, name: object) -> Photo:
    megapixels = image.width * image.height / 1e6
    if megapixels > LARGEST_MEGAPIXELS:
        found = round(megapixels, 1)
        raise ImageTooLargeError(what=what, path=name, megapixels=found, limit=LARGEST_MEGAPIXELS)
    notes = []
    try:
        if _plays(image):
            notes.append(f"The {what} is animated; its first frame is used.")
        image.load()
        image = ImageOps.exif_transpose(image)
        image, had_alpha = _to_rgb(image)
    except (OSError, ValueError, SyntaxError, EOFError, ArithmeticError, IndexError, RuntimeError):
        raise FileDamagedError(what=what, path=name, reason="it is cut off or does not decode") from None
    if had_alpha:
        notes.append(f"The {what} has transparent parts; they are shown on white.")
    return Photo(np.array(image, np.uint8), tuple(notes))


def _to_rgb(image: Image.Image) -> tuple[Image.Image, bool]:
    """The image in 8-bit sRGB, and whether anything in it was transparent."""
    if image.mode == "F" or image.mode.startswith("I"):
        image = Image.fromarray(_to_8_bit(np.asarray(image)))
    alpha = None
    if image.has_transparency_data:
        image = image.convert("RGBA")
        alpha = image.getchannel("A")
        if alpha.getextrema()[0] == 255:
            alpha = None
    rgb = _in_srgb(image)
    if alpha is None:
        return rgb, False
    rgb.putalpha(alpha)
    return Image.alpha_composite(Image.new("RGBA", rgb.size, "white"), rgb).convert("RGB"), True


def _in_srgb(image: Image.Image) -> Image.Image:
    """Convert with the embedded colour profile where there is one (phones: Display P3; print: CMYK)."""
    profile = image.info.get("icc_profile")
    if image.mode in ("RGBA", "LA", "P", "PA", "1", "RGBX"):
        image = image.convert("RGB")
    if profile and image.mode in ("RGB", "CMYK", "L", "LAB"):
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            srgb = ImageCms.createProfile("sRGB")
            converted = ImageCms.profileToProfile(image, source, srgb, outputMode="RGB")
            if converted is not None:
                return converted
        except (ImageCms.PyCMSError, OSError, ValueError):  # a broken profile, or one for another mode
            pass
    return image.convert("RGB")


def _from_array(array: np.ndarray, what: str) -> Image.Image:
    channels = 1 if array.ndim == 2 else array.shape[2] if array.ndim == 3 else 0
    numeric = array.dtype == np.bool_ or np.issubdtype(array.dtype, np.number)
    if channels not in (1, 3, 4) or array.size == 0 or not numeric or np.iscomplexobj(array):
        name = f"array of shape {array.shape} and type {array.dtype}"
        raise FileFormatError(what=what, path=name, formats=_SUPPORTED)
    pixels = _to_8_bit(array)
    return Image.fromarray(pixels[..., 0] if pixels.ndim == 3 and channels == 1 else pixels)


def _to_8_bit(values: np.ndarray) -> np.ndarray:
    """Scale by the range of the type: bool, 8 and 16 bits; floats and wider integers by their content."""
    if values.dtype == np.uint8:
        return np.ascontiguousarray(values)
    if values.dtype == np.bool_:
        return values.astype(np.uint8) * 255
    if values.dtype == np.uint16:
        return (values.astype(np.float32) * (255 / 65535)).round().astype(np.uint8)
    integer = np.issubdtype(values.dtype, np.integer)
    values = np.nan_to_num(np.clip(values, 0, np.finfo(np.float32).max).astype(np.float32))
    # TIFFs hold floats in 0..1, 0..255 or 0..65535 and 16-bit data in 32-bit integers, and do not say which.
    tops = (255.0, 65535.0) if integer else (1.0, 255.0, 65535.0)
    largest = float(values.max(initial=0))
    top = next((top for top in tops if largest <= top), largest)
    return (values / top * 255).round().astype(np.uint8)
