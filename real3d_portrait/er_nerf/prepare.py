"""A raw video of one person -> what an avatar is trained on."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from ..errors import FaceLostError, InputError, VideoWithoutFaceError
from ..face.face_model import FaceModel
from ..face.fitting import ClipFit, fit_clip
from ..face.segmentation import FrameSegmenter
from ..face.tracking import FaceFinder, FaceTracker
from ..media.audio import read_audio
from ..media.video import probe, read_frames
from ..models.a2m import A2M
from ..motion.audio_features import SAMPLE_RATE
from .dataset import AvatarData
from .head_pose import camera_of, head_path
from .layers import PlateBuilder, eye_closure, face_boxes, head_matte, lip_squares, person_alpha, torso_picture
from .speech import hidden_layer, speech_windows

log = logging.getLogger(__name__)

FPS = 25
SHORTEST = 5.0  # seconds of one shot
SMALLEST_FACE = 64  # pixels from forehead to chin
LONGEST_GAP = 1.0  # seconds without a face that are bridged
TEST_SHARE = 0.1  # of the frames, the last ones
_PROBES = 8  # frames that are searched for further people
_SECOND_FACE = 0.5  # of the first one's height: a person, not a picture on the wall
_CUT = 0.12  # mean change of a thumbnail from one frame to the next that is no motion
_THUMBNAIL = 16
_CROP = 2.4  # face heights
_FACE_ROW = 0.47  # where the face's middle stands in the crop
_OTHER = 0.045  # face heights by which the shapes of two shots of one person do not differ
_CHUNK = 1000  # frames fitted at once
_QUIET = 1e-3  # of full scale: softer sound holds no speech

Progress = Callable[[str, int, int], None]


class AvatarVideoTooShortError(InputError):
    message = (
        "The video '{path}' shows the person for {seconds} s without a cut, at least {minimum} s are needed; "
        "one to five minutes make a good avatar."
    )


class AvatarFaceTooSmallError(InputError):
    message = "The face in '{path}' is {pixels} pixels high, at least {minimum} are needed; film from closer."


class AvatarSeveralPeopleError(InputError):
    message = "The video '{path}' shows several people (at {seconds} s); cut it to one person."


class AvatarOtherPersonError(InputError):
    message = "The video '{path}' cuts to another person (at {seconds} s); keep one person's part."


class AvatarNoSpeechError(InputError):
    message = "The video '{path}' holds no speech; an avatar learns its lips from the voice, so record it with sound."


class AvatarFaceLeavesError(InputError):
    message = "The face leaves the picture of '{path}' (at {seconds} s); cut that part out or film from further away."


@dataclass(frozen=True)
class _Shot:
    """Frames [first, last) at 25 fps."""

    first: int
    last: int
    landmarks: NDArray[np.float32]  # (T, 478, 3) pixels of the video


def prepare_video(
    paths: Sequence[str | Path],
    folder: Path,
    size: int,
    face_model: FaceModel,
    network: A2M,
    on_progress: Progress | None = None,
) -> AvatarData:
    """Track, crop, part and measure a video; what comes out is kept in `folder` and read from there.

    Args:
        size: side of the square training pictures.
        face_model: of the compact model. network: its audio-to-motion network, whose hidden layer is heard.
        on_progress: called with the step's name, frames done and frames in all.

    Raises:
        AvatarVideoTooShortError, AvatarFaceTooSmallError, AvatarSeveralPeopleError, AvatarOtherPersonError,
        AvatarNoSpeechError, AvatarFaceLeavesError, FaceLostError, VideoWithoutFaceError: the video does not do.
        What `media.video.read_frames` and `media.audio.read_audio` raise.
    """
    path = Path(paths[0])
    tell = on_progress or (lambda step, done, total: None)
    info = probe(path)
    if info.seconds < SHORTEST:
        raise AvatarVideoTooShortError(path=path, seconds=round(info.seconds, 1), minimum=SHORTEST)
    samples = read_audio(path, SAMPLE_RATE).samples
    if float(np.sqrt(np.mean(np.square(samples)))) < _QUIET:
        raise AvatarNoSpeechError(path=path)
    shots = _shots(path, round(info.seconds * FPS), tell)
    shot = max(shots, key=lambda s: s.last - s.first)
    seconds = (shot.last - shot.first) / FPS
    if seconds < SHORTEST:
        raise AvatarVideoTooShortError(path=path, seconds=round(seconds, 1), minimum=SHORTEST)
    _check_one_person(path, shots, shot, face_model, (info.width, info.height))
    if len(shots) > 1:
        log.warning("The video has %d shots; the longest, of %.1f s, is used.", len(shots), seconds)

    left, top, side = _crop(path, shot, info.width, info.height)
    landmarks = (shot.landmarks - np.array([left, top, 0], np.float32)) * np.float32(size / side)
    fit = _fit(face_model, landmarks, size)
    poses = head_path(face_model, fit, landmarks, size)
    log.info("Focal length %.2f picture sides, landmarks met within %.2f pixels.", poses.focal, poses.error)

    count = shot.last - shot.first
    folder.mkdir(parents=True, exist_ok=True)
    frames = open_memmap(folder / "frames.npy", "w+", np.uint8, (count, size, size, 3))
    torso = open_memmap(folder / "torso.npy", "w+", np.uint8, (count, size, size, 4))
    heads = open_memmap(folder / "head.npy", "w+", np.uint8, (count, size, size))
    plates = PlateBuilder(size)
    alphas = np.empty((count, size, size), np.uint8)
    with FrameSegmenter() as segmenter:
        for i, pixels in enumerate(_at_25_fps(path, shot.first, shot.last)):
            crop = pixels[top : top + side, left : left + side]
            shrink = cv2.INTER_AREA if side > size else cv2.INTER_CUBIC
            picture = cv2.resize(crop, (size, size), interpolation=shrink).astype(np.uint8)
            alpha = person_alpha(segmenter.probability(picture))
            head = head_matte(alpha, landmarks[i])
            frames[i], alphas[i] = picture, np.rint(255 * alpha)
            torso[i], heads[i] = torso_picture(picture, alpha, head), np.rint(255 * head)
            if i % (FPS // 2) == 0:
                plates.add(picture, alpha)
            tell("frames", i + 1, count)
    plate = plates.plate()
    for i in range(count):
        alpha = alphas[i, ..., None].astype(np.float32) / 255
        frames[i] = np.rint(frames[i] * alpha + plate * (1 - alpha)).astype(np.uint8)

    hidden = hidden_layer(samples, network)
    windows = speech_windows(hidden, max(shot.last, len(hidden)))[shot.first : shot.last]
    data = AvatarData(
        frames=frames,
        torso=torso,
        plates=plate[None],
        poses=poses.poses,
        cameras=(camera_of(poses, size),),
        shot=np.zeros(count, np.int64),
        eyes=eye_closure(landmarks),
        face=face_boxes(landmarks, size),
        lips=lip_squares(landmarks, size),
        speech=windows,
        heard=np.arange(count),
        training=count - round(TEST_SHARE * count),
        testing=count - round(TEST_SHARE * count),
        head=heads,
    )
    for array in (frames, torso, heads):
        array.flush()
    data.save(folder, pictures=False)
    return data


def _at_25_fps(path: Path, first: int, last: int) -> Iterator[NDArray[np.uint8]]:
    """Frames number first … last - 1 at 25 fps: of each moment the picture that is shown then."""
    wanted, shown = first, None
    for frame in read_frames(path):
        while shown is not None and wanted < last and frame.time > (wanted + 0.5) / FPS:
            yield shown
            wanted += 1
        if wanted >= last:
            return
        shown = frame.pixels
    while shown is not None and wanted < last:
        yield shown
        wanted += 1


def _shots(path: Path, frames: int, tell: Progress) -> list[_Shot]:
    """Parts between cuts, with the face followed through each; short gaps are bridged."""
    found: list[NDArray[np.float32] | None] = []
    cuts = [0]
    before: NDArray[np.float32] | None = None
    probes = set(np.linspace(0, frames - 1, _PROBES).astype(int).tolist())
    with FaceTracker() as tracker, FaceFinder(max_faces=2) as finder:
        for i, pixels in enumerate(_at_25_fps(path, 0, frames)):
            thumbnail = cv2.resize(pixels, (_THUMBNAIL, _THUMBNAIL), interpolation=cv2.INTER_AREA) / np.float32(255)
            if before is not None and float(np.abs(thumbnail - before).mean()) > _CUT:
                cuts.append(i)
            before = thumbnail
            found.append(tracker.track(pixels))
            if i in probes:
                heights = [float(np.ptp(face[:, 1])) for face in finder.find(pixels)]
                if len(heights) > 1 and heights[1] > _SECOND_FACE * heights[0]:
                    raise AvatarSeveralPeopleError(path=path, seconds=round(i / FPS, 1))
            tell("tracking", i + 1, frames)
    if all(face is None for face in found):
        raise VideoWithoutFaceError(path=path)
    cuts.append(len(found))
    shots = []
    for first, last in zip(cuts, cuts[1:], strict=False):
        # Titles and black at either end are no part of the shot.
        known = [i for i in range(first, last) if found[i] is not None]
        if known:
            shots.append(_Shot(known[0], known[-1] + 1, _bridged(path, known[0], found[known[0] : known[-1] + 1])))
    return shots


def _bridged(path: Path, first: int, faces: list[NDArray[np.float32] | None]) -> NDArray[np.float32]:
    """Landmarks of every frame, straight lines across gaps of at most a second; the ends are known."""
    known = np.array([i for i, face in enumerate(faces) if face is not None])
    widest = int(np.argmax(np.diff(known, append=len(faces))))
    gap = np.diff(known, append=len(faces))[widest] - 1
    if gap > LONGEST_GAP * FPS:
        start = (first + known[widest] + 1) / FPS
        end = start + gap / FPS
        raise FaceLostError(start=round(start, 1), end=round(end, 1), path=path, limit=LONGEST_GAP)
    points = np.stack([face for face in faces if face is not None]).reshape(len(known), -1)
    at = np.arange(len(faces))
    lines = [np.interp(at, known, column) for column in points.T]
    return np.stack(lines, -1).reshape(len(faces), -1, 3).astype(np.float32)


def _check_one_person(path: Path, shots: list[_Shot], main: _Shot, model: FaceModel, size: tuple[int, int]) -> None:
    """Shapes of the face, fitted shot by shot, must be those of the main shot."""

    def shape(shot: _Shot) -> NDArray[np.float32]:
        every = max(1, len(shot.landmarks) // 50)
        fit = fit_clip(model, shot.landmarks[::every], size)
        return model.shape(fit.identity, fit.offset)[:468]

    own = shape(main)
    height = float(np.ptp(own[:, 1]))
    for shot in shots:
        if shot is main or len(shot.landmarks) < FPS:
            continue
        off = float(np.linalg.norm(shape(shot) - own, axis=1).mean()) / height
        if off > _OTHER:
            raise AvatarOtherPersonError(path=path, seconds=round(shot.first / FPS, 1))


def _crop(path: Path, shot: _Shot, width: int, height: int) -> tuple[int, int, int]:
    """Left, top and side of a square that holds the head throughout."""
    points = shot.landmarks[..., :2]
    heights = np.ptp(points[..., 1], axis=1)
    face = float(np.median(heights))
    if face < SMALLEST_FACE:
        raise AvatarFaceTooSmallError(path=path, pixels=round(face), minimum=SMALLEST_FACE)
    middles = points.mean(1)
    outside = (middles < 0) | (middles > [width, height])
    if outside.any():
        raise AvatarFaceLeavesError(path=path, seconds=round((shot.first + int(outside.any(1).argmax())) / FPS, 1))
    low, high = points.min((0, 1)), points.max((0, 1))
    side = int(min(width, height, max(_CROP * face, 1.3 * float((high - low).max()))))
    centre = (low + high) / 2
    left, top = np.clip(centre - [side / 2, _FACE_ROW * side], 0, [width - side, height - side]).astype(int)
    return int(left), int(top), side


def _fit(model: FaceModel, landmarks: NDArray[np.float32], size: int) -> ClipFit:
    """The whole clip with one identity, a part of the frames at a time."""
    every = max(1, len(landmarks) // 400)
    person = fit_clip(model, landmarks[::every], (size, size))
    known = replace(model, mean=model.shape(person.identity, person.offset), identity=np.zeros_like(model.identity[:1]))
    parts = [
        fit_clip(known, landmarks[start : start + _CHUNK], (size, size), with_offset=False)
        for start in range(0, len(landmarks), _CHUNK)
    ]
    expression, rotation, translation = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ("expression", "rotation", "translation")
    )
    return ClipFit(person.identity, expression, rotation, translation, person.offset)
