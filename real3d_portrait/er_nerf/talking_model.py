"""A personal avatar behind the pipeline's interface: `Real3DPortrait.from_pretrained("avatars/me")`."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np

from real3d_portrait.arrays import Float32Array, Frame
from real3d_portrait.compute import device_of
from real3d_portrait.er_nerf import bundled
from real3d_portrait.er_nerf.rendering.avatar import Avatar as TrainedAvatar
from real3d_portrait.er_nerf.rendering.avatar import AvatarSpeechError
from real3d_portrait.er_nerf.rendering.pose_range import HeadTrack, mean_pose, poses_of_motion
from real3d_portrait.er_nerf.rendering.speech_features import feature_extractor
from real3d_portrait.errors import ConflictingInputsError, ParameterChoiceError, ParameterRangeError
from real3d_portrait.face.camera import rotation_angles, rotation_matrix
from real3d_portrait.face.pose_path import ping_pong
from real3d_portrait.media.audio import Audio
from real3d_portrait.media.images import Photo
from real3d_portrait.models.avatar import Avatar
from real3d_portrait.models.interface import Frames, FramesDone, Placement
from real3d_portrait.motion.editing import FixedExpression
from real3d_portrait.motion.motion import Motion
from real3d_portrait.motion.video_to_motion import video_to_motion
from real3d_portrait.portrait.portrait import Portrait
from real3d_portrait.timing import FPS

log = logging.getLogger(__name__)

NAME = "er-nerf"
SIZES = (64, 1024)  # shorter side of the frames, pixels
_ENLARGED = 1.5  # times the training's size: above it a warning says that no detail is gained
_LIMITED = "The head moves further than in the avatar's video; the motion is limited."
_FILMED = (
    "pose_mode", "mouth_amplitude", "expression_scale", "blink", "brow", "gaze", "smoothing", "yaw", "pitch", "roll",
    "camera", "zoom", "fps",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class PersonalAvatar(Avatar):
    """A trained person at the size of the frames; the portrait stands for the picture behind that person."""

    pastes_back: ClassVar[bool] = False

    trained: TrainedAvatar

    @property
    def frame_shape(self) -> tuple[int, int]:
        """Video codecs want even sides."""
        return self.trained.camera.height // 2 * 2, self.trained.camera.width // 2 * 2

    def save(self, path: str | Path) -> None:
        """Write the avatar's folder, which `from_pretrained` takes."""
        self.trained.save(Path(path))


class FilmedMotion(FixedExpression):
    """Motions of avatars, whose expression is the feature windows of their speech."""

    face_model = NAME


class ErNerfModel:
    """`models.interface.TalkingModel` by one trained avatar; it moves as it was filmed, so few controls reach it.

    A frame of its motions holds the speech features' window (steps · channels numbers) as expression, and the head's
    turn and place relative to the mean pose of its video (rad, scene units).
    """

    name = NAME
    temperature = 0.0
    unsupported_controls = _FILMED
    poses = ("natural", "static")
    expression_space = FilmedMotion()

    def __init__(self, trained: TrainedAvatar) -> None:
        self.trained = trained
        self._mean = HeadTrack.of(mean_pose(trained.poses)[None])

    @classmethod
    def load(cls, folder: Path, device: str = "auto") -> ErNerfModel:
        """Raises: what `er_nerf.rendering.avatar.Avatar.load` raises; DeviceUnavailableError."""
        return cls(TrainedAvatar.load(folder, device_of(device)))

    def to(self, device: str, dtype: str | None = None) -> None:
        if dtype not in (None, "float32"):
            raise ParameterChoiceError(name="dtype of an avatar", value=dtype, choices="float32")
        self.trained.model.to(device_of(device))

    def save(self, folder: Path) -> None:
        self.trained.save(folder)

    def own_avatar(self, size: int | None) -> PersonalAvatar:
        """The person, with frames of that shorter side, but none larger than those of the training."""
        side = min(self.trained.camera.height, self.trained.camera.width)
        return self.sized_avatar(size if size is not None and size < side else None)

    def sized_avatar(self, size: int | None) -> PersonalAvatar:
        """The person, with frames of that shorter side; None: of the training's.

        Raises:
            ParameterRangeError: smaller or larger than can be rendered.
        """
        side = min(self.trained.camera.height, self.trained.camera.width)
        if size is not None and not SIZES[0] <= size <= SIZES[1]:
            raise ParameterRangeError(name="size", value=size, low=SIZES[0], high=SIZES[1])
        warnings: tuple[str, ...] = ()
        if size is not None and size > _ENLARGED * side:
            warnings += (f"The avatar was trained at {side} pixels; {size} shows no more of the person.",)
        if self.trained.model.torso is None:
            warnings += ("This avatar is a head without a torso.",)
        trained = self.trained if size is None else self.trained.sized(size)
        plate = trained.plate
        portrait = Portrait(image=plate, crop_to_source=np.eye(2, 3), source=plate, warnings=warnings)
        return PersonalAvatar(model=NAME, size=side, plate=plate, portrait=portrait, trained=trained)

    def prepare(self, photo: Photo, size: int | None, face: int | None) -> Portrait:
        raise ConflictingInputsError(first="a photo", second="a personal avatar")

    def reconstruct(self, portrait: Portrait) -> PersonalAvatar:
        raise ConflictingInputsError(first="a photo", second="a personal avatar")

    def motion_from_audio(self, audio: Audio, *, temperature: float, seed: int) -> Motion:
        """Raises: FeaturesUnavailableError: features of the avatar's kind cannot be computed here."""
        device = self.trained.model.box.device.type
        windows = feature_extractor(self.trained.speech_kind, device).extract(None, audio.samples)
        motion = self.motion_from_features(windows(int(audio.seconds * FPS), 0))
        return replace(motion, warnings=bundled.speech_warnings(audio))

    def motion_from_features(self, features: Float32Array) -> Motion:
        """(T, steps, C) windows of the avatar's kind, with the head motion of its video as a ping-pong loop.

        Raises:
            AvatarSpeechError: the features are of another size.
        """
        config = self.trained.model.config
        if features.ndim != 3 or features.shape[1:] != (config.audio_steps, config.audio_channels):
            raise self._other_speech(" x ".join(str(n) for n in features.shape[1:]))
        own = self.trained.poses
        poses = own[ping_pong(len(own), len(features))]
        return self._motion(features.reshape(len(features), -1), poses)

    def motion_from_video(
        self,
        path: str | Path,
        progress: FramesDone | None = None,
        *,
        face: int | None = None,
        allow_cuts: bool = False,
    ) -> Motion:
        """The head motion of a video, within the range of the avatar's own; there is no expression to be driven by."""
        driver = video_to_motion(path, bundled.face_model(), progress, face=face, allow_cuts=allow_cuts)
        poses, limited = poses_of_motion(driver, self.trained.poses, bundled.face_model())
        motion = self._motion(np.zeros((len(poses), 1), np.float32), poses)
        return replace(motion, warnings=(*driver.warnings, *(_LIMITED,) * limited))

    def place(self, avatar: PersonalAvatar, motion: Motion, placement: Placement) -> tuple[Motion, tuple[str, ...]]:
        """A motion of this kind says where the head is by itself."""
        return motion, ()

    def render_frames(self, avatar: PersonalAvatar, motion: Motion, backgrounds: Iterator[Frame] | None) -> Frames:
        config, (height, width) = self.trained.model.config, avatar.frame_shape
        if motion.expression.shape[1] != config.audio_steps * config.audio_channels:
            raise self._other_speech("those of a driving video")
        features = motion.expression.reshape(len(motion), config.audio_steps, config.audio_channels)
        turned = rotation_matrix(motion.rotation) @ self._mean.rotation
        poses = HeadTrack(turned, self._mean.place + motion.translation).poses()
        for frame in avatar.trained.frames(features, poses, backgrounds, transparent=backgrounds is None):
            yield np.ascontiguousarray(frame[:height, :width])

    def _motion(self, expression: Float32Array, poses: Float32Array) -> Motion:
        path = HeadTrack.of(poses)
        return Motion(
            expression.astype(np.float32),
            rotation_angles(path.rotation @ self._mean.rotation[0].T).astype(np.float32),
            (path.place - self._mean.place).astype(np.float32),
            NAME,
        )

    def _other_speech(self, found: str) -> AvatarSpeechError:
        config = self.trained.model.config
        expected = f"{config.audio_steps} x {config.audio_channels}"
        return AvatarSpeechError(expected=expected, kind=self.trained.speech_kind, found=found)
