"""Videos of one person -> the training set of an avatar."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from threading import Lock
from typing import NamedTuple

import cv2
import numpy as np
from numpy.lib.format import open_memmap

from real3d_portrait.arrays import Float32Array, UInt8Array
from real3d_portrait.er_nerf.data.body_motion import body_motion
from real3d_portrait.er_nerf.data.dataset import AvatarData
from real3d_portrait.er_nerf.data.framing import Crop, frame_alike
from real3d_portrait.er_nerf.data.head_pose import HeadPath, camera_of, head_paths
from real3d_portrait.er_nerf.data.layers import (
    PlateBuilder,
    eye_boxes,
    eye_closure,
    face_boxes,
    head_matte,
    lip_squares,
    over_plate,
    person_alpha,
    torso_picture,
)
from real3d_portrait.er_nerf.data.lip_codes import lip_basis
from real3d_portrait.er_nerf.data.shots import (
    AvatarVideoError,
    Shot,
    check_length,
    find_shots,
    frames_at_25_fps,
    named,
    probe_videos,
)
from real3d_portrait.er_nerf.data.speech_check import why_no_speech
from real3d_portrait.er_nerf.rendering.speech_features import FeatureExtractor
from real3d_portrait.errors import NoAudioStreamError, output_error
from real3d_portrait.face.face_model import FaceModel
from real3d_portrait.face.fitting import fit_long_clip
from real3d_portrait.media.audio import read_audio
from real3d_portrait.motion.audio_features import SAMPLE_RATE
from real3d_portrait.parallel import cores, in_parallel
from real3d_portrait.portrait.segmentation import FrameSegmenter
from real3d_portrait.progress import Progress, ProgressCallback
from real3d_portrait.timing import FPS

log = logging.getLogger(__name__)

TEST_SHARE, _MOST_OF_MAIN = 0.1, 0.25  # test frames: share of all frames, and at most of the main shot's
_CONTEXT = 4  # windows before and after a frame's own that the audio smoothing attends to
_APART = 8  # frames between training and test: the reach of a speech window and of the audio smoothing
_PLATE_EVERY = 0.5  # seconds between frames that the plate is built from
_MOST_SEGMENTERS = 4  # running in parallel
_SCRATCH = "alpha.npy"


@dataclass(frozen=True)
class _Take:
    """A shot with its crop, landmarks, head poses and speech features."""

    shot: Shot
    crop: Crop
    landmarks: Float32Array  # (T, 478, 3) pixels of the crop at the training's size
    path: HeadPath
    speech: Float32Array  # (_CONTEXT + T + _CONTEXT, 16, C)


class _Layers(NamedTuple):
    """A frame separated into its layers, uint8 and mattes in [0, 1]."""

    picture: UInt8Array  # (H, W, 3) the crop
    alpha: Float32Array  # (H, W) of the person
    head: Float32Array  # (H, W)
    torso: UInt8Array  # (H, W, 4)


def prepare_video(
    paths: Sequence[str | Path],
    folder: Path,
    size: int,
    face_model: FaceModel,
    features: FeatureExtractor,
    on_progress: ProgressCallback | None = None,
) -> AvatarData:
    """Track and crop videos of one person and separate their frames into layers; the result is stored in `folder`.

    Each shot has its own crop, plate and camera; all show the head at the same size and place. The longest comes last,
    and its end is the test set: a tenth of all frames, at most a quarter of that shot. Nothing is left after a failure.

    Args:
        paths: files of one person, with sound. size: side of the square training pictures.
        face_model: of the compact model. features: speech features that the avatar is trained on.

    Raises:
        AvatarVideoError: the videos hold no speech. What `shots.probe_videos`, `shots.find_shots` and
        `media.audio.read_audio` raise. DiskFullError, OutputNotWritableError: the folder cannot be written.
    """
    files = list(dict.fromkeys(Path(path) for path in paths))
    report = on_progress or (lambda progress: None)
    infos = probe_videos(files)
    sounds = {path: _sound(path) for path in files}
    _check_speech(files, list(sounds.values()))
    shots = find_shots(files, infos, face_model, report)
    _check_speech(files, [_during(shot, sounds[shot.path]) for shot in shots])
    takes = _takes(shots, sounds, size, face_model, features)
    made = [place for place in (folder, *folder.parents) if not place.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return _write(takes, folder, size, lip_basis(face_model), report)
    except BaseException as error:
        if made:
            shutil.rmtree(made[-1], ignore_errors=True)
        if isinstance(error, OSError):
            raise output_error(error, folder) from error
        raise


def _sound(path: Path) -> Float32Array:
    """(N,) at 16 kHz."""
    try:
        return read_audio(path, SAMPLE_RATE).samples
    except NoAudioStreamError as error:
        raise _no_speech([path], "it has no sound") from error


def _check_speech(files: Sequence[Path], sounds: Sequence[Float32Array]) -> None:
    reason = why_no_speech(np.concatenate(sounds))
    if reason:
        raise _no_speech(files, reason)


def _no_speech(files: Sequence[Path], reason: str) -> AvatarVideoError:
    return AvatarVideoError(
        subject=named(files),
        problem=f"holds no speech ({reason})",
        cure="an avatar learns its lips from the voice, so record it with sound",
    )


def _during(shot: Shot, samples: Float32Array) -> Float32Array:
    return samples[shot.first * SAMPLE_RATE // FPS : shot.last * SAMPLE_RATE // FPS]


def _takes(
    shots: list[Shot], sounds: dict[Path, Float32Array], size: int, model: FaceModel, features: FeatureExtractor
) -> list[_Take]:
    """The shots that can be framed alike, the longest last."""
    crops = frame_alike(sorted(shots, key=len))
    check_length(list(sounds), sum(len(shot) for shot, _ in crops) / FPS)
    landmarks = [crop.points(shot.landmarks, size) for shot, crop in crops]
    whole = np.concatenate(landmarks)
    number = np.repeat(np.arange(len(crops)), [len(shot) for shot, _ in crops])
    paths = head_paths(model, whole, number, fit_long_clip(model, whole, (size, size)), size)
    windows_of = {path: features.extract(path, samples) for path, samples in sounds.items()}
    takes = []
    for (shot, crop), points, path in zip(crops, landmarks, paths, strict=True):
        speech = windows_of[shot.path](len(shot) + 2 * _CONTEXT, shot.first - _CONTEXT)
        takes.append(_Take(shot, crop, points, path, speech))
        log.info(
            "'%s' from %.1f s: %.1f s, focal length %.2f picture sides, mean reprojection error %.2f pixels.",
            *(shot.path, shot.seconds_at(0), len(shot) / FPS, path.focal, path.error),
        )
    return takes


def _pictures(takes: list[_Take]) -> Iterator[tuple[int, int, UInt8Array]]:
    """Index of the take, of its frame, and the video's picture; each file is decoded once."""
    for path in dict.fromkeys(take.shot.path for take in takes):
        of_file = [i for i, take in enumerate(takes) if take.shot.path == path]
        place = {
            frame: (i, frame - takes[i].shot.first)
            for i in of_file
            for frame in range(takes[i].shot.first, takes[i].shot.last)
        }
        first, last = min(place), max(place) + 1
        for frame, pixels in enumerate(frames_at_25_fps(path, first, last), first):
            if frame in place:
                yield *place[frame], pixels


def _separate(take: _Take, frame: int, pixels: UInt8Array, size: int, segmenter: FrameSegmenter) -> _Layers:
    shrink = cv2.INTER_AREA if take.crop.side > size else cv2.INTER_CUBIC
    picture = cv2.resize(take.crop.cut(pixels), (size, size), interpolation=shrink).astype(np.uint8)
    alpha = person_alpha(segmenter.probability(picture))
    head = head_matte(alpha, take.landmarks[frame])
    return _Layers(picture, alpha, head, torso_picture(picture, alpha, head))


def _write(takes: list[_Take], folder: Path, size: int, lips: Float32Array, report: ProgressCallback) -> AvatarData:
    """Separate every frame into its layers and store the training set. lips: (E, K) from `lip_basis`."""
    lengths = [len(take.shot) for take in takes]
    starts = np.cumsum([0, *lengths])
    count = int(starts[-1])

    def pictures(name: str, *channels: int) -> np.memmap:
        return open_memmap(folder / name, "w+", np.uint8, (count, size, size, *channels))

    frames, torso, heads = pictures("frames.npy", 3), pictures("torso.npy", 4), pictures("head.npy")
    alphas = pictures(_SCRATCH)
    builders = [PlateBuilder(size) for _ in takes]
    source, turn = _pictures(takes), Lock()
    free: SimpleQueue[FrameSegmenter] = SimpleQueue()

    def next_layers(_: int) -> tuple[int, int, _Layers]:
        with turn:
            which, frame, pixels = next(source)
        segmenter = free.get()
        try:
            layers = _separate(takes[which], frame, pixels, size, segmenter)
        finally:
            free.put(segmenter)
        return which, frame, layers

    with ExitStack() as stack:
        for _ in range(min(cores(), _MOST_SEGMENTERS)):
            free.put(stack.enter_context(FrameSegmenter(mirrored=False)))
        for done, (which, frame, layers) in enumerate(in_parallel(next_layers, count)):
            i = int(starts[which]) + frame
            frames[i], torso[i] = layers.picture, layers.torso
            alphas[i], heads[i] = np.rint(255 * layers.alpha), np.rint(255 * layers.head)
            if frame % round(_PLATE_EVERY * FPS) == 0:
                builders[which].add(layers.picture, layers.alpha)
            report(Progress("frames", done + 1, count))
    plates = np.stack([builder.plate() for builder in builders])
    shot = np.repeat(np.arange(len(takes)), lengths)
    for i in range(count):
        frames[i] = over_plate(frames[i], alphas[i].astype(np.float32) / 255, plates[shot[i]])
    del alphas
    (folder / _SCRATCH).unlink()

    landmarks = np.concatenate([take.landmarks for take in takes])
    main = slice(int(starts[-2]), count)
    body = np.tile(np.eye(2, 3), (count, 1, 1))
    body[main] = body_motion(frames[main], torso[main], heads[main])
    tested = max(1, round(min(TEST_SHARE * count, _MOST_OF_MAIN * lengths[-1])))
    training = count - tested - _APART
    codes = np.concatenate([take.path.expression for take in takes]) @ lips
    data = AvatarData(
        frames=frames,
        torso=torso,
        plates=plates,
        poses=np.concatenate([take.path.poses for take in takes]),
        cameras=tuple(camera_of(take.path.focal, size) for take in takes),
        shot=shot,
        eyes=eye_closure(landmarks),
        face=face_boxes(landmarks, size),
        lips=lip_squares(landmarks, size),
        lids=eye_boxes(landmarks, size),
        speech=np.concatenate([take.speech for take in takes]),
        window=np.arange(count) + (2 * shot + 1) * _CONTEXT,
        training=training,
        testing=count - tested,
        head=heads,
        mouth=codes - codes[:training].mean(0),
        body=body,
    )
    for array in (frames, torso, heads):
        array.flush()
    data.save(folder, pictures=False)
    return data
