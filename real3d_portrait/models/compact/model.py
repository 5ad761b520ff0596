"""The compact model behind the pipeline's interface: its stages put together."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np

from real3d_portrait.arrays import Float32Array, Frame, UInt8Array
from real3d_portrait.compute import device_of
from real3d_portrait.config import CompactConfig
from real3d_portrait.controls import POSES
from real3d_portrait.errors import ParameterChoiceError, PortraitModelError
from real3d_portrait.face.camera import project
from real3d_portrait.face.face_model import FaceModel
from real3d_portrait.face.head_model import HeadModel
from real3d_portrait.face.turn_limits import turn_limits
from real3d_portrait.media.audio import Audio
from real3d_portrait.media.images import Photo
from real3d_portrait.models.compact.avatar import CompactAvatar
from real3d_portrait.models.compact.canvas import canvas_of
from real3d_portrait.models.compact.expression_space import CompactExpressionSpace
from real3d_portrait.models.compact.eyes import EyeLayer
from real3d_portrait.models.compact.frame import FrameRenderer, over
from real3d_portrait.models.compact.image_to_plane import lift
from real3d_portrait.models.compact.mouth_interior import MouthInterior
from real3d_portrait.models.compact.shading import Shading
from real3d_portrait.models.compact.speech_motion import AudioToMotion, audio_to_motion, load_a2m
from real3d_portrait.models.compact.torso import head_room, shoulder_track
from real3d_portrait.models.interface import Frames, FramesDone, Placement
from real3d_portrait.motion.driver_eyes import with_driver_eyes
from real3d_portrait.motion.face_track import follow_face
from real3d_portrait.motion.motion import Motion
from real3d_portrait.motion.placement import (
    PLACE_LIMITED,
    TURN_LIMITED,
    limited_place,
    limited_turn,
    place_when_turned,
)
from real3d_portrait.motion.video_to_motion import resting_where_absent, track_to_motion
from real3d_portrait.parallel import in_parallel
from real3d_portrait.portrait.compact import CompactPortrait, prepare_compact_portrait
from real3d_portrait.portrait.occlusion import OcclusionClassifier
from real3d_portrait.portrait.parsing import FaceParser
from real3d_portrait.portrait.portrait import Portrait
from real3d_portrait.portrait.tone import tone_of

LEARNED = frozenset({"shading"})


class CompactModel:
    """`models.interface.TalkingModel` by the bundled networks; frames are drawn on all cores of the CPU."""

    def __init__(
        self, config: CompactConfig, folder: Path, learned: frozenset[str] = LEARNED, device: str = "cpu"
    ) -> None:
        """
        Args:
            learned: the learned parts to use, of `LEARNED`; one without weights in `folder` is left out.
            device: of the audio-to-motion network; frames are always drawn on the CPU.
        """
        self.config = config
        self.face_model = FaceModel.load(folder / config.face_model)
        self.head_model = HeadModel.load(folder / config.head_model, self.face_model.mean)
        present = frozenset(part for part in learned if (folder / getattr(config, part)).is_file())
        self._folder, self._device = folder, device_of(device)
        self._occlusion = OcclusionClassifier.load(folder / config.occlusion)
        self._parser = FaceParser.load(folder / config.parsing)
        self._shading = Shading.load(folder / config.shading) if "shading" in present else None
        self.renderer = FrameRenderer(self.face_model, self.head_model, self._shading)

    @property
    def name(self) -> str:
        return self.config.name

    @property
    def temperature(self) -> float:
        return self.config.temperature

    poses = POSES

    @property
    def unsupported_controls(self) -> tuple[str, ...]:
        return ()

    @cached_property
    def a2m(self) -> AudioToMotion:
        return load_a2m(self._folder / self.config.audio_to_motion, self._device)

    @cached_property
    def expression_space(self) -> CompactExpressionSpace:
        return self.a2m.expression_space(self.face_model)

    def to(self, device: str, dtype: str | None = None) -> None:
        """Move the audio-to-motion network; frames stay on the CPU and everything stays in float32."""
        if dtype not in (None, "float32"):
            raise ParameterChoiceError(name="dtype of the compact model", value=dtype, choices="float32")
        self._device = device_of(device)
        if "a2m" in self.__dict__:
            self.a2m.to(self._device)

    def save(self, folder: Path) -> None:
        for file in sorted(self._folder.iterdir()):
            if file.is_file():
                shutil.copyfile(file, folder / file.name)

    def own_avatar(self, size: int | None) -> None:
        return None

    def prepare(self, photo: Photo, size: int | None, face: int | None) -> CompactPortrait:
        return prepare_compact_portrait(
            photo, self.face_model, size=size, face=face, occlusion=self._occlusion, parser=self._parser
        )

    def reconstruct(self, portrait: Portrait) -> CompactAvatar:
        if not isinstance(portrait, CompactPortrait):
            raise PortraitModelError(model=self.name)
        size, fit = portrait.image.shape[0], portrait.fit
        eyes = EyeLayer(portrait.image, portrait.landmarks)
        head = lift(self.face_model, self.head_model, fit, size, canvas_of(portrait, eyes_hidden=eyes.visible < 0.5))
        rest = project(head.neutral, fit.rotation, fit.translation, size)
        features = None if self._shading is None else self._shading.features(portrait.image, portrait.landmarks, rest)
        matte = np.round(portrait.matte * 255).astype(np.uint8)
        return CompactAvatar(
            model=self.name,
            size=size,
            plate=portrait.background,
            portrait=portrait,
            head=head,
            turns=turn_limits(self.face_model, self.head_model, fit),
            room=head_room(matte, portrait.landmarks, fit.translation),
            mouth=MouthInterior(portrait.image, portrait.landmarks, rest),
            eyes=eyes,
            tone=tone_of(portrait.image, portrait.matte, portrait.landmarks),
            features=features,
            rotation=fit.rotation,
            translation=fit.translation,
            expression=fit.expression,
        )

    def motion_from_audio(self, audio: Audio, *, temperature: float, seed: int) -> Motion:
        return audio_to_motion(audio, self.a2m, face_model=self.face_model, temperature=temperature, seed=seed)

    def motion_from_video(
        self,
        path: str | Path,
        progress: FramesDone | None = None,
        *,
        face: int | None = None,
        allow_cuts: bool = False,
    ) -> Motion:
        track = follow_face(path, self.face_model, progress, face=face, allow_cuts=allow_cuts)
        motion = track_to_motion(track, self.face_model)
        motion = with_driver_eyes(motion, track.times, track.landmarks, self.face_model, track.persons)
        return resting_where_absent(motion, track)

    def place(self, avatar: CompactAvatar, motion: Motion, placement: Placement) -> tuple[Motion, tuple[str, ...]]:
        motion = self.expression_space.retargeted(motion, avatar.head.neutral)
        relative = motion.relative() if placement.mode != "static" else motion
        rotation = motion.rotation if placement.mode == "absolute" else relative.rotation + avatar.rotation
        turn, turn_limited = limited_turn(
            rotation + np.array(placement.turn) - avatar.rotation, self.config.limits, avatar.turns
        )
        translation = relative.translation
        if placement.mode == "absolute":
            translation = motion.translation - place_when_turned(motion, avatar.rotation)
        moved, place_limited = limited_place(translation, avatar.room)
        placed = replace(
            motion,
            rotation=(avatar.rotation + turn).astype(np.float32),
            translation=(avatar.translation + moved).astype(np.float32),
        )
        return placed, (TURN_LIMITED,) * turn_limited + (PLACE_LIMITED,) * place_limited

    def render_frames(self, avatar: CompactAvatar, motion: Motion, backgrounds: Iterator[Frame] | None) -> Frames:
        shoulders = self.shoulders(avatar, motion)

        def person(t: int) -> UInt8Array:
            pose = motion.rotation[t], motion.translation[t]
            return self.renderer.frame(avatar, motion.expression[t], *pose, shoulders[t])

        with closing(in_parallel(person, len(motion))) as people:
            for frame in people:
                yield frame if backgrounds is None else over(frame, next(backgrounds))

    def shoulders(self, avatar: CompactAvatar, motion: Motion) -> Float32Array:
        """(T, 2) shift of the shoulders in pixels, for a placed motion."""
        source = np.stack([avatar.rotation, avatar.translation])
        return shoulder_track(motion.rotation, motion.translation, source, avatar.size, motion.fps)
