"""What a caller can do wrong: one exception for each thing that a caller can do about it, the cure in its message.

An error is raised with the facts that its message names: `raise FaceTooSmallError(pixels=41, minimum=64)`.
`str(error)` is always one line. `exit_code` is what the command line returns.
"""

from __future__ import annotations

import errno
from string import Formatter
from typing import Any, ClassVar

_LONGEST_FACT = 160  # characters; a pasted paragraph or data URL would drown the cure


class Real3DError(Exception):
    """Base of every error that the package raises on purpose.

    Args:
        facts: exactly the fields of the class's `message`, each turned into text.

    Raises:
        TypeError: a fact is missing or unknown, which is a mistake of the raising code.
    """

    message: ClassVar[str] = "Something went wrong: {reason}"
    exit_code: ClassVar[int] = 1

    def __init__(self, **facts: Any) -> None:
        fields = {name for _, name, _, _ in Formatter().parse(self.message) if name}
        if fields != set(facts):
            raise TypeError(f"{type(self).__name__} takes {sorted(fields)}, got {sorted(facts)}")
        self.facts = facts
        super().__init__(self.message.format(**{name: _text(value) for name, value in facts.items()}))

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.facts)


class InputError(Real3DError):
    """The caller's input is at fault and the caller can mend it."""

    exit_code = 2


# Files that are given. `what` names the role: "photo", "background image", "audio file", "video", "motion file".


class FileMissingError(InputError):
    message = "The {what} '{path}' does not exist; check the name and the folder."


class FileUnreadableError(InputError):
    message = "The {what} '{path}' cannot be opened ({reason}); name a file that you may read."


class FileDamagedError(InputError):
    message = "The {what} '{path}' is damaged ({reason}); record, export or download it again."


class FileFormatError(InputError):
    message = "The {what} '{path}' is damaged or in an unknown format; save it as {formats}."


class NoAudioStreamError(InputError):
    message = "The file '{path}' has no sound; choose one with speech in it."


class NoVideoStreamError(InputError):
    message = "The file '{path}' has no video stream; choose a video."


class ImageTooLargeError(InputError):
    message = "The {what} '{path}' has {megapixels} megapixels, more than {limit}; scale it down first."


# Faces


class NoFaceError(InputError):
    message = "No face was found in the {what}; use a picture with one clear face, seen from the front."


class FaceIndexError(InputError):
    message = "Face {face} was asked for but the photo has {count}, the largest being 1; change --face."


class FaceTooSmallError(InputError):
    message = "The face is {pixels} pixels high, at least {minimum} are needed; use a larger or closer photo."


class FaceInProfileError(InputError):
    message = "The face is turned {degrees} degrees, up to {limit} work; use a photo taken from the front."


# Sound


class AudioTooShortError(InputError):
    message = "The audio is {seconds} s long, at least {minimum} s are needed; use a longer recording."


# Video


class VideoWithoutFaceError(InputError):
    message = "No face was found in any frame of '{path}'; use a video of one person who faces the camera."


class FaceRarelySeenError(InputError):
    message = (
        "{what} is in sight for {seen} s of the {seconds} s of '{path}', less than half; "
        "cut the rest out or use another video."
    )


class AnotherPersonError(InputError):
    message = (
        "Another person is seen from {time} s of '{path}' on, and the driver in no more than half of it; "
        "cut the video to one person, or allow such cuts (allow_cuts, --allow-cuts)."
    )


class DrivingFaceError(InputError):
    message = (
        "Face {face} was asked for but '{path}' shows {count}, the first being 1; change driving_face (--driving-face)."
    )


class FaceLostError(InputError):
    message = (
        "The face is out of sight from {start} s to {end} s of '{path}', longer than {limit} s; "
        "cut that part out or use another video."
    )


# Motion files


class NotAMotionFileError(InputError):
    message = "'{path}' is not a motion file ({reason}); save it with Motion.save, or give the driving video."


class MotionFaceModelError(InputError):
    message = (
        "The motion file '{path}' belongs to the face model '{found}', this model needs '{expected}'; "
        "make it again from the driving video."
    )


# Backgrounds


class UnknownBackgroundError(InputError):
    message = (
        "The background '{spec}' is not known; use keep, blur, transparent, a colour such as teal or "
        "#2a6f97, 'prompt:' with words, or an image or video file."
    )


class PromptExtraMissingError(InputError):
    message = (
        "A background from words needs '{package}', which is not installed; run pip install 'real3d-portrait[prompt]'."
    )


class PromptModelUnsetError(InputError):
    message = (
        "A background from words needs a text-to-image model: {variable} is not set; set it to the name of a "
        "diffusers model on the hub or to its folder."
    )


class PromptModelError(InputError):
    message = (
        "The text-to-image model '{model}' could not be loaded ({reason}); check the name or folder and the network, "
        "or choose another background."
    )


class PromptRefusedError(InputError):
    message = "The model's safety check withheld its picture of '{prompt}'; use other words or another background."


# Output


class OutputFolderMissingError(InputError):
    message = "The folder '{folder}' for the output does not exist; create it or choose another."


class OutputNotWritableError(InputError):
    message = "The output '{path}' cannot be written ({reason}); choose a place where you may write."


class OutputIsFolderError(InputError):
    message = "The output '{path}' is a folder; name a file in it, such as '{path}/out.mp4'."


class OutputFolderInUseError(InputError):
    message = (
        "The output folder '{path}' holds other files, such as '{found}'; name a new or empty folder "
        "for PNG pictures, or a file that ends in .mp4, .webm or .gif."
    )


class UnknownOutputFormatError(InputError):
    message = "The output '{path}' ends in '{suffix}'; use .mp4, .webm, .gif, or a folder for single PNGs."


class TransparencyUnsupportedError(InputError):
    message = "The output '{path}' cannot be transparent; name it .webm, or a folder for single PNG pictures."


class DiskFullError(InputError):
    message = "There is no space left to write '{path}'; free some or choose another disk."


# Parameters and choices


class ParameterRangeError(InputError):
    message = "{name} is {value} but must lie between {low} and {high}; choose a value in that range."


class ParameterTypeError(InputError):
    message = "{name} is '{value}' but must be {expected}; correct the value."


class ParameterChoiceError(InputError):
    message = "{name} is '{value}' but must be one of {choices}; choose one of them."


class ControlUnavailableError(InputError):
    message = "The model '{model}' cannot follow {name}; leave it at its default, or use the compact model."


class MissingInputError(InputError):
    message = "Nothing was given for {name}; add {cure}."


class ConflictingInputsError(InputError):
    message = "{first} and {second} exclude each other; give only one of them."


class ConsentMissingError(InputError):
    message = "Consent is missing: confirm that the person shown agreed to this video (consent=true)."


# Models, weights, devices, configurations


class ModelMissingError(InputError):
    message = "The model '{model}' was not found in {where}; use compact, or check the name or folder."


class WeightsCorruptError(Real3DError):
    message = "The weights '{path}' are damaged or of another version ({reason}); install them again."


class WeightsUnsetError(InputError):
    message = (
        "The model '{model}' has no weights: {variable} is not set; set it to a folder made by "
        "'real3d-portrait weights import' (docs/weights.md) or to a hub repo of yours, or use compact."
    )


class WeightsFileMissingError(InputError):
    message = "The file '{file}' of the model '{model}' was not found in {where}; {cure}."


class ManifestError(InputError):
    message = "'{path}' is no manifest of weights ({reason}); make the folder again with 'weights import'."


class WeightsDifferError(InputError):
    message = "The weights in '{folder}' differ from their manifest ({problems}); copy or import them again."


class HubRefusedError(InputError):
    message = (
        "The hub {endpoint} knows no '{repo}' that you may read ({reason}); check the name, and for a private "
        "repo log in with 'hf auth login' or set HF_TOKEN."
    )


class HubFetchError(InputError):
    message = (
        "'{file}' of '{repo}' is not in the cache {cache} and could not be fetched from {endpoint} ({reason}); "
        "check the network, HF_HUB_OFFLINE and HF_ENDPOINT, and call again: whole files that have arrived are kept."
    )


class CheckpointMissingError(InputError):
    message = "No {what} was found in '{folder}'; give the folder that holds {expected}."


class CheckpointUnsafeError(InputError):
    message = "The checkpoint '{path}' holds more than tensors and was not loaded ({reason}); use the released file."


class CheckpointMismatchError(InputError):
    message = "The checkpoint '{path}' does not fit the {network} ({reason}); use the released file."


class HubUploadError(InputError):
    message = "'{repo}' could not be written on the hub ({reason}); check the name and your token (hf auth login)."


class PortraitModelError(InputError):
    message = "The portrait or avatar belongs to another model than '{model}'; give the photo instead."


class NotAnAvatarFileError(InputError):
    message = "'{path}' is not an avatar file ({reason}); save it with Avatar.save, or give the photo."


class FaceModelMissingError(InputError):
    message = (
        "The face model file '{file}' was not found in '{folder}'; "
        "its licence makes each user fetch it: docs/weights.md says where, then name that folder."
    )


class FaceModelFileError(InputError):
    message = "The face model file '{path}' is damaged or another one ({reason}); fetch it again."


class DeviceUnavailableError(InputError):
    message = "The device '{device}' is not available here ({reason}); use --device auto or cpu."


class AttentionUnavailableError(InputError):
    message = "The attention '{kind}' does not work here ({reason}); use sdpa."


class ConfigError(InputError):
    message = "The configuration '{path}' is wrong at '{key}' ({reason}); correct that line."


# Marking as AI-generated


class SigningKeyError(InputError):
    message = "The signing key in {source} cannot be used ({reason}); put a private key and its certificates there."


class SigningKeyFolderError(InputError):
    message = (
        "No signing key can be kept in '{folder}' ({reason}); set REAL3D_KEY_FOLDER to a folder that you may write, "
        "or REAL3D_SIGNING_KEY to a key."
    )


class MarkingError(Real3DError):
    message = "The output could not be marked as AI-generated ({reason}); it was not kept. Please report this."


class VerifyUnreadableError(InputError):
    message = "'{path}' cannot be verified ({reason}); name a video, GIF, PNG or folder of PNGs that you may read."


# Limits of the app


class FileTooLargeError(InputError):
    message = "'{path}' has {megabytes} MB, more than {limit}; make it smaller or shorter."


class TooLongError(InputError):
    message = "The {kind} is {seconds} s long, more than {limit} s; cut it, or run the app on your own machine."


class VideoTooLargeError(InputError):
    message = "The video has {width} x {height} pixels, more than {limit} megapixels; scale it down first."


class UnknownParameterError(InputError):
    message = "There is no parameter '{name}' at {endpoint}; leave it out, or use one of those that view_api() lists."


class UnknownEndpointError(InputError):
    message = "There is no endpoint '{name}'; use one of {endpoints}."


class WrongValueCountError(InputError):
    message = (
        "{endpoint} takes {expected} values in their order but got {given}; give them by name at /call/v2 instead."
    )


class NotAFileError(InputError):
    message = (
        "{name} is '{value}' but must be a file; give an upload, a data URL with base64, or the http address of a file."
    )


class AddressRefusedError(InputError):
    message = (
        "{name} is not fetched from '{address}', {reason}; give a data URL, an upload, or an address on this app or "
        "on the public web."
    )


class StagesUnavailableError(InputError):
    message = "The model '{model}' does not show its inner stages and its mesh; use compact."


class UnexpectedError(Real3DError):
    message = "Something went wrong on the server ({reason}); try again, with another file if it stays so."


class OutOfMemoryError(Real3DError):
    message = "The machine ran out of memory; choose a smaller size or a shorter recording, and try again."


def is_out_of_memory(error: BaseException) -> bool:
    """Whether Python, torch on a GPU, or torch on the CPU, which has no class for it, wanted more than there was."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)


def output_error(error: OSError, path: object) -> InputError:
    """The error to show when writing `path` failed with `error`.

    A file-size limit (EFBIG) and a spent quota (EDQUOT) look like a full disk to the person who meets them.
    """
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return DiskFullError(path=path)
    return OutputNotWritableError(path=path, reason=error.strerror or type(error).__name__)


def _text(value: object) -> str:
    if isinstance(value, float):
        text = f"{value:.4g}"
    elif isinstance(value, (list, tuple, set, frozenset)):
        text = ", ".join(str(item) for item in value)
    else:
        text = str(value)
    # Control characters in a hostile file name must not break the one line or the terminal.
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return text if len(text) <= _LONGEST_FACT else text[: _LONGEST_FACT - 1] + "…"


def _rebuild(kind: type[Real3DError], facts: dict[str, Any]) -> Real3DError:
    return kind(**facts)
