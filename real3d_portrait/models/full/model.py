"""The full model: the released networks behind the same interface as the compact one.

Each part is read, and where it lies on a hub fetched, when a stage first needs it: the face model for a photo or a
driving video, the image network for frames, HuBERT and A2M for speech.
"""

from __future__ import annotations

import gc
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import repeat
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from real3d_portrait.arrays import Float32Array, FloatArray, Frame, UInt8Array
from real3d_portrait.compute import Compute
from real3d_portrait.config import FullConfig
from real3d_portrait.controls import POSES
from real3d_portrait.errors import PortraitModelError
from real3d_portrait.face.bfm import N_EXPRESSION, BaselFaceModel, torso_keypoints
from real3d_portrait.face.bfm_fit import BaselFit
from real3d_portrait.face.blink_edit import close_eyes
from real3d_portrait.face.eg3d_camera import eg3d_cameras, smooth_cameras
from real3d_portrait.face.face_model import FaceModel
from real3d_portrait.face.pose_path import smooth_keypoints
from real3d_portrait.face.secc import SeccRenderer
from real3d_portrait.hub import CONFIG, Weights
from real3d_portrait.media.audio import Audio
from real3d_portrait.media.images import Photo
from real3d_portrait.models.avatar import Avatar
from real3d_portrait.models.batches import in_batches
from real3d_portrait.models.compact.speech_motion import load_a2m, speech_warnings
from real3d_portrait.models.full.audio_to_motion import AudioToMotion, AudioToMotionConfig
from real3d_portrait.models.full.expression_space import BaselExpressionSpace
from real3d_portrait.models.full.folding import fold
from real3d_portrait.models.full.image_model import ImageModelConfig, Real3DImageModel
from real3d_portrait.models.full.speech_motion import predict_expression
from real3d_portrait.models.full.super_resolution import BackgroundSource
from real3d_portrait.models.full.torso_warp import TorsoSource
from real3d_portrait.models.interface import Frames, FramesDone, Placement
from real3d_portrait.models.network_file import load_config, load_network
from real3d_portrait.motion.basel_motion import (
    from_basel,
    head_unit,
    speaking_motion,
    to_basel,
    tracked_motion,
)
from real3d_portrait.motion.face_track import follow_face
from real3d_portrait.motion.hubert import Hubert
from real3d_portrait.motion.motion import Motion
from real3d_portrait.motion.placement import TURN_LIMITED, limited_turn
from real3d_portrait.motion.speech_conditions import speech_conditions
from real3d_portrait.motion.video_to_motion import resting_where_absent
from real3d_portrait.portrait.full import FullPortrait, prepare_full_portrait
from real3d_portrait.portrait.head_masks import PersonSegmenter, person_segmenter
from real3d_portrait.portrait.portrait import Portrait
from real3d_portrait.resources import resource

N = TypeVar("N", bound=nn.Module)

_CLASSES = 6


@dataclass(frozen=True, kw_only=True)
class FullAvatar(Avatar):
    """One photo, reconstructed by the full model; tensors have batch 1. The plate has the network's size."""

    fit: BaselFit
    planes: Tensor  # (1, 3, C, S / 2, S / 2) canonical
    torso: TorsoSource
    canonical_code: Tensor  # (1, 3, S, S)
    key_points: Tensor  # (1, 68, 3)


class FullModel:
    """`models.talking.TalkingModel` by the released networks."""

    def __init__(self, config: FullConfig, weights: Weights, device: str = "auto", dtype: str | None = None) -> None:
        """
        Args:
            device, dtype: as of `Compute.on`.

        Raises:
            WeightsFileMissingError: a file that cannot be fetched is not here. DeviceUnavailableError.
        """
        for file in (config.face_model, config.image, config.a2m):
            weights.require(file)
        self.config = config
        self.weights = weights
        self.compute = Compute.on(device, dtype)

    @property
    def name(self) -> str:
        return self.config.name

    @property
    def temperature(self) -> float:
        return self.config.temperature

    poses = POSES

    @property
    def unsupported_controls(self) -> tuple[str, ...]:
        return ("brow", "gaze")  # its coefficients tell neither apart

    @cached_property
    def expression_space(self) -> BaselExpressionSpace:
        return BaselExpressionSpace(self.face_model)

    def to(self, device: str, dtype: str | None = None) -> None:
        self.compute = Compute.on(device, dtype)
        for name in ("image_network", "audio_network"):
            if name in self.__dict__:
                self.__dict__[name].to(self.compute.device)

    def save(self, folder: Path) -> None:
        """Every file of the manifest, the face model among them: share the folder with `weights push` alone."""
        for file in self.weights.manifest.files:
            shutil.copyfile(self.weights.path(file), folder / file)
        shutil.copyfile(self.weights.config(), folder / CONFIG)
        self.weights.manifest.write(folder)

    @cached_property
    def face_model(self) -> BaselFaceModel:
        return BaselFaceModel.load(self.weights.path(self.config.face_model))

    @cached_property
    def side(self) -> int:
        """Of the picture that the image network takes and gives, pixels."""
        return load_config(self.weights.path(self.config.image), ImageModelConfig).image_size

    @cached_property
    def image_network(self) -> Real3DImageModel:
        path = self.weights.path(self.config.image)
        network = load_network(path, Real3DImageModel, ImageModelConfig, self.config.attention)
        return self._folded(network)

    @cached_property
    def audio_network(self) -> AudioToMotion:
        path = self.weights.path(self.config.a2m)
        return self._folded(load_network(path, AudioToMotion, AudioToMotionConfig))

    @cached_property
    def segmenter(self) -> PersonSegmenter:
        """mediapipe's multiclass network where the weights have it, else the bundled parsing network."""
        held = self.config.segmenter in self.weights.manifest.files
        return person_segmenter(self.weights.path(self.config.segmenter).parent if held else None)

    def own_avatar(self, size: int | None) -> None:
        return None

    def prepare(self, photo: Photo, size: int | None, face: int | None) -> FullPortrait:
        return prepare_full_portrait(photo, self.face_model, self.side, self.segmenter, size, face)

    def reconstruct(self, portrait: Portrait) -> FullAvatar:
        side = self.side
        if not isinstance(portrait, FullPortrait) or portrait.size != side:
            raise PortraitModelError(model=self.name)
        network, fit = self.image_network, portrait.fit
        codes = SeccRenderer(self.face_model, fit.identity, side)
        with self.compute.running():
            classes = F.one_hot(self._tensor(portrait.classes).long(), _CLASSES).permute(2, 0, 1)[None].float()
            planes = network.canonical_planes(self._picture(portrait.head))
            torso = network.torso_source(self._picture(portrait.torso), classes)
        key_points = torso_keypoints(
            self.face_model.landmark_shape, fit.identity, fit.expression, fit.euler, fit.translation
        )
        return FullAvatar(
            model=self.name,
            size=portrait.frame_size,
            plate=portrait.background,
            portrait=portrait,
            fit=fit,
            planes=planes.float(),
            torso=torso,
            canonical_code=self._tensor(codes())[None],
            key_points=self._tensor(key_points),
        )

    def motion_from_audio(self, audio: Audio, *, temperature: float, seed: int) -> Motion:
        conditions = speech_conditions(audio.samples, self._hubert())
        gc.collect()  # the network refers to itself in circles and would stay for long: 1.3 GB
        expression = predict_expression(self.audio_network, conditions, temperature=temperature, seed=seed)
        bundled = resource("assets", "weights", "compact")
        compact = load_a2m(bundled)
        motion = speaking_motion(
            expression,
            audio.samples,
            bank=compact.bank,
            head_unit=head_unit(self.face_model, FaceModel.load(bundled / "face_model.safetensors")),
            seed=seed,
        )
        return replace(motion, warnings=speech_warnings(audio, compact.enhancer))

    def motion_from_video(
        self,
        path: str | Path,
        progress: FramesDone | None = None,
        *,
        face: int | None = None,
        allow_cuts: bool = False,
    ) -> Motion:
        bundled = FaceModel.load(resource("assets", "weights", "compact") / "face_model.safetensors")
        track = follow_face(path, bundled, progress, face=face, allow_cuts=allow_cuts)
        return resting_where_absent(tracked_motion(track, self.face_model), track)

    def place(self, avatar: FullAvatar, motion: Motion, placement: Placement) -> tuple[Motion, tuple[str, ...]]:
        """The release's way: what angles and position differ by from the first frame's, or from what a tracked driver's
        mostly are, is added to the source's, and the distance is held, because a fit tells it badly."""
        source = from_basel(avatar.fit.euler[0])
        turn = np.asarray(motion.rotation, np.float64)
        moved = np.zeros_like(motion.translation, np.float64)
        if placement.mode != "static":
            rest = np.hstack([motion.rotation[:1], motion.translation[:1]]) if motion.rest is None else motion.rest
            turn = motion.rotation - (source if placement.mode == "absolute" else rest[:, :3])
            moved = (motion.translation - rest[:, 3:]) * [1, 1, 0]
        turn, limited = limited_turn(turn + np.array(placement.turn), self.config.limits)
        placed = replace(
            motion,
            rotation=(source + turn).astype(np.float32),
            translation=(avatar.fit.translation[0] + moved).astype(np.float32),
        )
        return placed, (TURN_LIMITED,) if limited else ()

    def render_frames(self, avatar: FullAvatar, motion: Motion, backgrounds: Iterator[Frame] | None) -> Frames:
        network, avatar = self.image_network, self._here(avatar)
        codes = SeccRenderer(self.face_model, avatar.fit.identity, self.side)
        euler, expression = to_basel(motion.rotation), motion.expression[:, :N_EXPRESSION]
        cameras = smooth_cameras(eg3d_cameras(euler, motion.translation))
        shape = self.face_model.landmark_shape
        driven = smooth_keypoints(torso_keypoints(shape, avatar.fit.identity, expression, euler, motion.translation))
        plates = repeat(avatar.plate) if backgrounds is None else backgrounds
        fixed = _Remembered()
        with self.compute.running():
            # The release takes the first driven frame, not the photo, as the source of all the others.
            first = self._tensor(codes(expression[0]))[None]
            source = network.motion_adapter.source(avatar.canonical_code, first)

        def make(frames: range, behind: list[Frame]) -> list[Frame]:
            part = slice(frames.start, frames.stop)
            drawn = np.stack([_code(codes, motion.expression[t]) for t in frames])
            with self.compute.running():
                planes = avatar.planes + network.motion_adapter(source, self._tensor(drawn)).float()
                background = fixed.source(behind, self._background)
            with self.compute.running(exact=True):
                rendered = network.render(planes, self._tensor(cameras[part]))
            with self.compute.running():
                points = self._tensor(driven[part])
                composed = network.compose(rendered, avatar.torso, background, avatar.key_points, points)
                pictures = ((composed.image.float() + 1) * 127.5).byte().permute(0, 2, 3, 1).cpu().numpy()
                alpha = F.interpolate(composed.alpha.float(), scale_factor=2, mode="bilinear").cpu().numpy()[:, 0]
            made = list(pictures)
            if backgrounds is None:
                made = [_cut_out(*parts) for parts in zip(pictures, alpha, behind, strict=True)]
            return [_resized(picture, avatar.size) for picture in made]

        yield from in_batches(make, plates, len(motion), self.compute.batch)

    def _here(self, avatar: FullAvatar) -> FullAvatar:
        """The avatar with its tensors on the device that computes now."""
        device = self.compute.device
        torso = TorsoSource(*(tensor.to(device) for tensor in (avatar.torso.appearance, avatar.torso.summary)))
        moved = {name: getattr(avatar, name).to(device) for name in ("planes", "canonical_code", "key_points")}
        return replace(avatar, torso=torso, **moved)

    def _background(self, plates: list[Frame]) -> BackgroundSource:
        return self.image_network.background_source(torch.cat([self._picture(plate) for plate in plates]))

    def _folded(self, network: N) -> N:
        network.to(self.compute.device)
        fold(network)
        return network

    def _hubert(self) -> Hubert:
        # Not kept, and run before the image network is read: together they would need more memory than frames do.
        from transformers.utils import logging

        logging.disable_progress_bar()  # of reading what is here already; a download's bar is the hub client's
        source = self.config.hubert
        revision = None if Path(source).is_dir() else self.config.hubert_revision
        return Hubert.load(source, revision, self.compute.device)

    def _picture(self, image: UInt8Array) -> Tensor:
        """(S, S, 3) uint8 -> (1, 3, S, S) in [-1, 1]."""
        return ((self._tensor(image).float() - 127.5) / 127.5).permute(2, 0, 1)[None]

    def _tensor(self, array: NDArray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self.compute.device, non_blocking=True)


def _code(codes: SeccRenderer, expression: FloatArray) -> Float32Array:
    code, share = codes(expression[:N_EXPRESSION]), float(expression[N_EXPRESSION])
    return close_eyes(code, share) if share > 0 else code


class _Remembered:
    """The network's view of a background that stands still, made once."""

    def __init__(self) -> None:
        self._plate: Frame | None = None
        self._source: BackgroundSource | None = None

    def source(self, plates: list[Frame], make: Callable[[list[Frame]], BackgroundSource]) -> BackgroundSource:
        if any(plate is not plates[0] for plate in plates):
            return make(plates)
        if self._source is None or self._plate is not plates[0]:
            self._plate, self._source = plates[0], make(plates[:1])
        return self._source


def _cut_out(picture: Frame, coverage: Float32Array, plate: Frame) -> Frame:
    """(S, S, 4): the person's own colour, the plate that was blended in taken out again, and coverage as alpha."""
    alpha = coverage[..., None]
    colour = (picture - (1 - alpha) * plate) / np.maximum(alpha, 0.05)
    return np.dstack([colour.clip(0, 255), 255 * alpha]).round().astype(np.uint8)


def _resized(frame: Frame, size: int) -> Frame:
    if len(frame) == size:
        return frame
    interpolation = cv2.INTER_AREA if size < len(frame) else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(frame, (size, size), interpolation=interpolation), np.uint8)
