"""Videos of one person -> the training set of an avatar."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from real3d_portrait.arrays import Float32Array
from real3d_portrait.er_nerf.data.body_motion import body_motion
from real3d_portrait.er_nerf.data.dataset import AvatarData
from real3d_portrait.er_nerf.data.framing import frame_alike
from real3d_portrait.er_nerf.data.head_pose import camera_of, head_paths
from real3d_portrait.er_nerf.data.layers import eye_boxes, eye_closure, face_boxes, lip_squares
from real3d_portrait.er_nerf.data.lip_codes import lip_basis
from real3d_portrait.er_nerf.data.separation import Take, write_layers
from real3d_portrait.er_nerf.data.shots import AvatarVideoError, Shot, check_length, find_shots, named, probe_videos
from real3d_portrait.er_nerf.data.speech_check import why_no_speech
from real3d_portrait.er_nerf.rendering.speech_features import FeatureExtractor
from real3d_portrait.errors import NoAudioStreamError, output_error
from real3d_portrait.face.face_model import FaceModel
from real3d_portrait.face.fitting import fit_long_clip
from real3d_portrait.media.audio import read_audio
from real3d_portrait.motion.audio_features import SAMPLE_RATE
from real3d_portrait.progress import ProgressCallback
from real3d_portrait.timing import FPS

log = logging.getLogger(__name__)

TEST_SHARE, _MOST_OF_MAIN = 0.1, 0.25  # test frames: share of all frames, and at most of the main shot's
_CONTEXT = 4  # windows before and after a frame's own that the audio smoothing attends to
_APART = 8  # frames between training and test: the reach of a speech window and of the audio smoothing


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
        return _training_set(takes, folder, size, lip_basis(face_model), report)
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
) -> list[Take]:
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
        takes.append(Take(shot, crop, points, path, speech))
        log.info(
            "'%s' from %.1f s: %.1f s, focal length %.2f picture sides, mean reprojection error %.2f pixels.",
            *(shot.path, shot.seconds_at(0), len(shot) / FPS, path.focal, path.error),
        )
    return takes


def _training_set(
    takes: list[Take], folder: Path, size: int, lips: Float32Array, report: ProgressCallback
) -> AvatarData:
    """Write the layers of all frames and the track. lips: (E, K) from `lip_basis`."""
    pictures = write_layers(takes, folder, size, report)
    lengths = [len(take.shot) for take in takes]
    count = sum(lengths)
    shot = np.repeat(np.arange(len(takes)), lengths)
    landmarks = np.concatenate([take.landmarks for take in takes])
    main = slice(count - lengths[-1], count)
    body = np.tile(np.eye(2, 3), (count, 1, 1))
    body[main] = body_motion(pictures.frames[main], pictures.torso[main], pictures.head[main])
    tested = max(1, round(min(TEST_SHARE * count, _MOST_OF_MAIN * lengths[-1])))
    training = count - tested - _APART
    codes = np.concatenate([take.path.expression for take in takes]) @ lips
    data = AvatarData(
        frames=pictures.frames,
        torso=pictures.torso,
        plates=pictures.plates,
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
        head=pictures.head,
        mouth=codes - codes[:training].mean(0),
        body=body,
    )
    data.save(folder, pictures=False)
    return data
