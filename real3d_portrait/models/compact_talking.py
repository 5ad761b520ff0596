"""The compact model as the pipeline uses it: `CompactModel` with its ways to motion."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np

from ..config import CompactConfig
from ..errors import PortraitModelError
from ..face.camera import rotation_angles, rotation_matrix
from ..media.audio import Audio
from ..media.images import Photo
from ..motion.audio_to_motion import AudioToMotion, audio_to_motion, load_a2m
from ..motion.liveliness import smoothed, with_brows, with_gaze
from ..motion.motion import Motion
from ..motion.placement import limited_turn
from ..motion.pose_presets import hold_viewer
from ..motion.video_to_motion import video_to_motion
from ..parallel import in_parallel
from ..portrait import Portrait, PreparedPhoto, prepare_portrait
from .compact import Avatar, CompactModel, over
from .talking import Frame, Frames, Liveliness, Placement, Tracked


class CompactTalkingModel(CompactModel):
    """`models.talking.TalkingModel` by the bundled networks; frames are rendered on all cores."""

    def __init__(self, config: CompactConfig, folder: Path, device: str = "cpu") -> None:
        """`device`: of the audio-to-motion network; frames are always made on the CPU."""
        super().__init__(config, folder)
        self._folder, self._device = folder, device

    @property
    def name(self) -> str:
        return self.config.name

    @property
    def temperature(self) -> float:
        return self.config.temperature

    @property
    def motion_name(self) -> str:
        return self.face_model.name

    @property
    def lacks(self) -> tuple[str, ...]:
        return ()

    @cached_property
    def a2m(self) -> AudioToMotion:
        return load_a2m(self._folder, self._device)

    def prepare(self, photo: Photo, size: int | None, face: int | None) -> Portrait:
        return prepare_portrait(photo, self.face_model, size=size, face=face)

    def reconstruct(self, portrait: PreparedPhoto) -> Avatar:
        if not isinstance(portrait, Portrait):
            raise PortraitModelError(model=self.name)
        return super().reconstruct(portrait)

    def motion_from_audio(
        self,
        audio: Audio,
        *,
        pose: Literal["natural", "static"] | Motion,
        mouth_amplitude: float,
        blink: str,
        temperature: float,
        seed: int,
    ) -> Motion:
        return audio_to_motion(
            audio,
            self.a2m,
            face_model=self.face_model,
            pose=pose,
            mouth_amplitude=mouth_amplitude,
            blink="none" if blink == "none" else "natural",
            temperature=temperature,
            seed=seed,
        )

    def motion_from_video(self, path: str | Path, progress: Tracked | None = None) -> Motion:
        return video_to_motion(path, self.face_model, progress=progress)

    def adjust(self, motion: Motion, mouth_amplitude: float, blink: str) -> Motion:
        return self.a2m.adjust(motion, mouth_amplitude, blink)

    def livelier(self, motion: Motion, liveliness: Liveliness) -> Motion:
        preset, face = liveliness.preset, self.face_model
        moved = hold_viewer(preset.moved(motion), motion, face)
        raised = with_brows(moved, liveliness.brow * preset.brow, face)
        return smoothed(with_gaze(raised, liveliness.gaze * preset.gaze, face), liveliness.smoothing, face)

    def place(self, avatar: Avatar, motion: Motion, placement: Placement) -> tuple[Motion, bool]:
        motion = self.a2m.scale(motion, placement.expression_scale)
        motion = self.a2m.suit(motion, avatar.head.neutral, self.face_model)
        relative = motion.relative() if placement.mode != "static" else motion
        rotation = rotation_angles(rotation_matrix(relative.rotation) @ rotation_matrix(avatar.rotation))
        if placement.mode == "absolute":
            rotation = motion.rotation
        turn, limited = limited_turn(rotation + np.array(placement.turn) - avatar.rotation, self.config.limits)
        return (
            replace(
                motion,
                rotation=(avatar.rotation + turn).astype(np.float32),
                translation=(avatar.translation + relative.translation).astype(np.float32),
            ),
            limited,
        )

    def render_frames(self, avatar: Avatar, motion: Motion, backgrounds: Iterator[Frame] | None) -> Frames:
        shoulders = self.shoulders(avatar, motion.rotation, motion.translation)

        def person(t: int) -> Frame:
            return self.render(avatar, motion.expression[t], motion.rotation[t], motion.translation[t], shoulders[t])

        with closing(in_parallel(person, len(motion))) as people:  # type: ignore[type-var]
            for frame in people:
                yield frame if backgrounds is None else over(frame, next(backgrounds))
