"""One frame of the compact model: motion adapter → renderer with eyes and mouth → shading."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit

from real3d_portrait.arrays import Float32Array, FloatArray, UInt8Array
from real3d_portrait.face.face_model import FaceModel
from real3d_portrait.face.head_model import HeadModel
from real3d_portrait.face.landmarks import N_LANDMARKS
from real3d_portrait.models.compact.avatar import CompactAvatar
from real3d_portrait.models.compact.motion_adapter import drive
from real3d_portrait.models.compact.shading import Shading
from real3d_portrait.models.compact.volume_renderer import Pose, project_perspective, render


@dataclass(frozen=True)
class DrivenHead:
    """A head in one frame's expression and pose.

    Attributes:
        surface: (478 + M, 3) vertices of the skin, head frame.
        pose: of the frame.
        driven: (478, 3) landmarks, pixels of the frame.
        resting: (478, 3) landmarks of the face at rest in the same pose.
    """

    surface: Float32Array
    pose: Pose
    driven: Float32Array
    resting: Float32Array


class FrameRenderer:
    """Draws frames of compact avatars; immutable, safe to call from several threads."""

    def __init__(self, face_model: FaceModel, head_model: HeadModel, shading: Shading | None) -> None:
        """`shading`: the learned part that corrects light; None leaves it out."""
        self.face_model = face_model
        self.head_model = head_model
        self._shading = shading

    def head(
        self,
        avatar: CompactAvatar,
        expression: FloatArray,  # (E,)
        rotation: FloatArray,  # (3,) rad
        translation: FloatArray,  # (3,) head units
        shoulders: FloatArray | None = None,  # (2,) pixels
    ) -> DrivenHead:
        """The head alone."""
        head = avatar.head
        surface = drive(head, self.face_model, self.head_model, expression)
        pose = Pose.of(rotation, translation, np.zeros(2) if shoulders is None else shoulders, avatar.size)
        before = head.skin.still[:N_LANDMARKS, 2]
        return DrivenHead(
            surface=surface,
            pose=pose,
            driven=project_perspective(surface[:N_LANDMARKS], before, pose),
            resting=project_perspective(head.neutral, before, pose),
        )

    def frame(
        self,
        avatar: CompactAvatar,
        expression: FloatArray,  # (E,)
        rotation: FloatArray,  # (3,) rad
        translation: FloatArray,  # (3,) head units
        shoulders: FloatArray,  # (2,) pixels
    ) -> UInt8Array:
        """One frame of the person alone: (S, S, 4) straight colour and alpha."""
        return self.person(avatar, self.head(avatar, expression, rotation, translation, shoulders))

    def person(self, avatar: CompactAvatar, head: DrivenHead) -> UInt8Array:
        """The whole person: (S, S, 4) straight colour and alpha."""

        def eyes_and_mouth(colour: UInt8Array) -> UInt8Array:
            return avatar.mouth.draw(avatar.eyes.draw(colour, head.driven), head.driven, head.resting)

        person = render(avatar.head, head.surface, head.pose, eyes_and_mouth)
        if self._shading is not None and avatar.features is not None:
            colour = np.ascontiguousarray(person[..., :3])
            person[..., :3] = self._shading.refine(colour, head.driven, head.resting, avatar.features)
        if avatar.tone is not None:
            # What is painted, filled or shaded knows the colours of people.
            person[..., :3] = avatar.tone.toned(np.ascontiguousarray(person[..., :3]))
        return person


@njit(cache=True, nogil=True)
def _over(person, background, output):
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
