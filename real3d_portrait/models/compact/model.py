"""The compact model: the paper's stages put together for one photo (reconstruct) and one frame (render)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from numba import njit

from real3d_portrait.arrays import Float32Array, Float64Array, FloatArray, Frame, UInt8Array
from real3d_portrait.config import CompactConfig
from real3d_portrait.errors import PortraitModelError
from real3d_portrait.face.camera import project, rotation_angles, rotation_matrix
from real3d_portrait.face.face_model import FaceModel
from real3d_portrait.media.audio import Audio
from real3d_portrait.media.images import Photo
from real3d_portrait.models.compact.canonical_plane import TriPlanes
from real3d_portrait.models.compact.eyes import EyeLayer
from real3d_portrait.models.compact.image_to_plane import LiftedHead
from real3d_portrait.models.compact.learned_residuals import WINDOW, LearnedMotion, Residuals
from real3d_portrait.models.compact.motion_adapter import diff_plane
from real3d_portrait.models.compact.mouth_interior import MouthInterior
from real3d_portrait.models.compact.shading import HtbSr, PhotoFeatures
from real3d_portrait.models.compact.speech_motion import AudioToMotion, audio_to_motion, load_a2m
from real3d_portrait.models.compact.torso import COLLARBONE, cut_borders, head_room, hold, join, shoulder_track
from real3d_portrait.models.compact.volume_renderer import first_hit, soften_steps
from real3d_portrait.models.interface import Frames, Liveliness, Placement, Tracked
from real3d_portrait.motion.liveliness import smoothed, with_brows, with_gaze
from real3d_portrait.motion.motion import Motion
from real3d_portrait.motion.placement import PLACE_LIMITED, TURN_LIMITED, HeadRoom, limited_place, limited_turn
from real3d_portrait.motion.pose_presets import hold_viewer
from real3d_portrait.motion.video_to_motion import video_to_motion
from real3d_portrait.parallel import in_parallel
from real3d_portrait.portrait.compact import CompactPortrait, prepare_compact_portrait
from real3d_portrait.portrait.portrait import Portrait

CHIN = 152
LEARNED = frozenset({"i2p", "ma", "htb_sr"})


@dataclass(frozen=True)
class Avatar:
    """What one photo gives and every frame reuses."""

    size: int  # pixels of a rendered frame
    photo: UInt8Array  # (S, S, 4) foreground colour and matte
    plate: UInt8Array  # (S, S, 3) the background without the person
    head: LiftedHead
    planes: TriPlanes  # canonical: the face at rest
    cut: Float32Array  # (4, S) where the photo's borders cut the person
    room: HeadRoom
    share: Float32Array  # (N, N) learned share of the head in the join, on top of the ramp
    motion: LearnedMotion | None
    mouth: MouthInterior
    eyes: EyeLayer
    features: PhotoFeatures | None  # for HTB-SR's learned part
    rotation: Float64Array  # (3,) the photo's pose
    translation: Float64Array  # (3,)
    expression: Float64Array  # (E,) the photo's expression


class CompactModel:
    """I2P, motion adapter, volume renderer and HTB-SR on arrays; immutable after construction."""

    def __init__(
        self, config: CompactConfig, folder: Path, learned: frozenset[str] = LEARNED, device: str = "cpu"
    ) -> None:
        """
        Args:
            learned: the learned parts to use, of `LEARNED`; one without weights in `folder` is left out.
            device: of the audio-to-motion network; frames are always made on the CPU.
        """
        self.config = config
        self._folder, self._device = folder, device
        self.face_model = FaceModel.load(folder / config.face_model)
        present = frozenset(part for part in learned if (folder / getattr(config, part)).is_file())
        self._residuals = Residuals.load(folder, config, present)
        self._htb_sr = HtbSr.load(folder / config.htb_sr) if "htb_sr" in present else None

    def reconstruct(self, portrait: Portrait) -> Avatar:
        """Everything that depends on the photo alone. Raises PortraitModelError: prepared by another model."""
        if not isinstance(portrait, CompactPortrait):
            raise PortraitModelError(model=self.name)
        size = portrait.image.shape[0]
        fit = portrait.fit
        matte = np.round(portrait.matte * 255).astype(np.uint8)
        photo = np.dstack([portrait.foreground, matte])
        lifted = self._residuals.lift(self.face_model, fit, photo)
        rest = project(lifted.head.neutral, fit.rotation, fit.translation, size)
        features = None if self._htb_sr is None else self._htb_sr.features(portrait.image, portrait.landmarks, rest)
        return Avatar(
            size=size,
            photo=photo,
            plate=portrait.background,
            head=lifted.head,
            planes=lifted.planes,
            cut=cut_borders(matte),
            room=head_room(matte, portrait.landmarks, fit.translation),
            share=lifted.share,
            motion=lifted.motion,
            mouth=MouthInterior(portrait.image, portrait.landmarks, rest),
            eyes=EyeLayer(portrait.image, portrait.landmarks),
            features=features,
            rotation=fit.rotation,
            translation=fit.translation,
            expression=fit.expression,
        )

    def shoulders(self, avatar: Avatar, rotation: FloatArray, translation: FloatArray) -> Float32Array:
        """Pose track (T, 3), (T, 3) → shift of the shoulders in pixels, (T, 2)."""
        source = np.stack([avatar.rotation, avatar.translation])
        return shoulder_track(rotation, translation, source, avatar.size)

    def render(
        self,
        avatar: Avatar,
        expression: FloatArray,  # (E,)
        rotation: FloatArray,  # (3,)
        translation: FloatArray,  # (3,)
        shoulders: FloatArray,  # (2,) pixels
    ) -> UInt8Array:
        """One frame of the person alone: (S, S, 4) straight colour and alpha."""
        size = avatar.size
        turn = rotation_matrix(rotation)
        residual = 0.0 if avatar.motion is None else avatar.motion(expression)
        displacement = self.face_model.displacement(expression)
        diff, sheet = diff_plane(avatar.head, avatar.planes, displacement, turn, residual)
        hit = first_hit(avatar.planes + diff, rotation, translation, size)
        map_x, map_y = np.empty((size, size), np.float32), np.empty((size, size), np.float32)
        chin = np.float32(avatar.head.neutral[CHIN, 1] - 0.03)
        join(
            hit,
            np.float32(shoulders[0]),
            np.float32(shoulders[1]),
            chin,
            np.float32(chin - COLLARBONE),
            np.float32(0.75 * size),
            avatar.share,
            np.float32(WINDOW),
            map_x,
            map_y,
        )
        hold(map_x, map_y, hit, avatar.cut)
        person = cv2.remap(avatar.photo, map_x, map_y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        person = soften_steps(person, map_x, map_y)
        driven = project(sheet[:478], rotation, translation, size)
        still = avatar.head.deform(np.zeros_like(avatar.head.neutral), turn)[:478]
        skull = project(still, rotation, translation, size)
        colour = avatar.eyes.draw(np.ascontiguousarray(person[..., :3]), driven)
        colour = avatar.mouth.draw(colour, driven, skull)
        if self._htb_sr is not None and avatar.features is not None:
            colour = self._htb_sr.refine(colour, driven, skull, avatar.features)
        person[..., :3] = colour
        return person

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

    def prepare(self, photo: Photo, size: int | None, face: int | None) -> CompactPortrait:
        return prepare_compact_portrait(photo, self.face_model, size=size, face=face)

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

    def place(self, avatar: Avatar, motion: Motion, placement: Placement) -> tuple[Motion, tuple[str, ...]]:
        motion = self.a2m.scale(motion, placement.expression_scale)
        motion = self.a2m.suit(motion, avatar.head.neutral, self.face_model)
        relative = motion.relative() if placement.mode != "static" else motion
        rotation = rotation_angles(rotation_matrix(relative.rotation) @ rotation_matrix(avatar.rotation))
        if placement.mode == "absolute":
            rotation = motion.rotation
        turn, turn_limited = limited_turn(rotation + np.array(placement.turn) - avatar.rotation, self.config.limits)
        moved, place_limited = limited_place(relative.translation, avatar.room)
        warnings = (TURN_LIMITED,) * turn_limited + (PLACE_LIMITED,) * place_limited
        return (
            replace(
                motion,
                rotation=(avatar.rotation + turn).astype(np.float32),
                translation=(avatar.translation + moved).astype(np.float32),
            ),
            warnings,
        )

    def render_frames(self, avatar: Avatar, motion: Motion, backgrounds: Iterator[Frame] | None) -> Frames:
        shoulders = self.shoulders(avatar, motion.rotation, motion.translation)

        def person(t: int) -> Frame:
            return self.render(avatar, motion.expression[t], motion.rotation[t], motion.translation[t], shoulders[t])

        with closing(in_parallel(person, len(motion))) as people:  # type: ignore[type-var]
            for frame in people:
                yield frame if backgrounds is None else over(frame, next(backgrounds))


@njit(cache=True, nogil=True)
def _over(person, background, output):  # type: ignore[no-untyped-def]
    for i in range(output.shape[0]):
        for j in range(output.shape[1]):
            alpha = np.int32(person[i, j, 3])
            for c in range(3):
                mixed = np.int32(person[i, j, c]) * alpha + np.int32(background[i, j, c]) * (255 - alpha)
                output[i, j, c] = (mixed + 127) // 255


def over(person: UInt8Array, background: UInt8Array) -> UInt8Array:
    """Alpha-blend a person (S, S, 4) over a background (S, S, 3); exact where alpha is 0 or 255."""
    output = np.empty_like(background)
    _over(person, background, output)
    return output
