"""One frame of the compact model: motion adapter → volume renderer → torso and layers → shading."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numba import njit

from real3d_portrait.arrays import Float32Array, Float64Array, FloatArray, UInt8Array
from real3d_portrait.face.camera import project, rotation_matrix
from real3d_portrait.face.face_model import FaceModel
from real3d_portrait.face.landmarks import CHIN, N_LANDMARKS
from real3d_portrait.models.compact.avatar import CompactAvatar
from real3d_portrait.models.compact.canonical_plane import CanonicalPlane
from real3d_portrait.models.compact.eyes import EyeLayer
from real3d_portrait.models.compact.image_to_plane import LiftedHead
from real3d_portrait.models.compact.learned_residuals import WINDOW, Residuals
from real3d_portrait.models.compact.motion_adapter import diff_plane
from real3d_portrait.models.compact.mouth_interior import MouthInterior
from real3d_portrait.models.compact.shading import Shading
from real3d_portrait.models.compact.torso import COLLARBONE, hold, join
from real3d_portrait.models.compact.volume_renderer import first_hit, soften_steps


@dataclass(frozen=True)
class DrivenHead:
    """A head in one frame's expression and pose.

    Attributes:
        surface: (N, 3) vertices, head frame.
        hit: (S, S, 5) of `first_hit`: depth, photo u and v, canonical y and x of what each pixel sees.
        driven: (478, 3) landmarks, pixels of the frame.
        resting: (478, 3) landmarks of the face at rest in the same pose.
    """

    surface: Float32Array
    hit: Float32Array
    driven: Float32Array
    resting: Float32Array


def drive_head(
    head: LiftedHead,
    plane: CanonicalPlane,
    displacement: FloatArray,  # (478, 3) of the expression, head units
    rotation: FloatArray,  # (3,) rad
    translation: FloatArray,  # (3,) head units
    size: int,
    perspective: Float64Array | None,  # (3, 3) head pose for the perspective of a turned head; None leaves that out
    residual: Float32Array | float = 0.0,  # (N, 3) learned, head units
) -> DrivenHead:
    """Motion adapter and volume renderer for one frame of S = `size` pixels."""
    diff, surface = diff_plane(head, plane, displacement, perspective, residual)
    hit = first_hit(plane + diff, rotation, translation, size)
    resting = head.neutral
    if perspective is not None:
        resting = head.deform(np.zeros_like(head.neutral), perspective)[:N_LANDMARKS]
    return DrivenHead(
        surface=surface,
        hit=hit,
        driven=project(surface[:N_LANDMARKS], rotation, translation, size),
        resting=project(resting, rotation, translation, size),
    )


def draw_layers(colour: UInt8Array, head: DrivenHead, eyes: EyeLayer | None, mouth: MouthInterior) -> UInt8Array:
    """The frame (S, S, 3) with what lies between lids and lips."""
    if eyes is not None:
        colour = eyes.draw(colour, head.driven)
    return mouth.draw(colour, head.driven, head.resting)


class FrameRenderer:
    """Draws frames of compact avatars; immutable, safe to call from several threads."""

    def __init__(self, face_model: FaceModel, residuals: Residuals, shading: Shading | None) -> None:
        """`shading`: the learned part that corrects light; None leaves it out."""
        self.face_model = face_model
        self._residuals = residuals
        self._shading = shading

    def head(
        self,
        avatar: CompactAvatar,
        expression: FloatArray,  # (E,)
        rotation: FloatArray,  # (3,) rad
        translation: FloatArray,  # (3,) head units
    ) -> DrivenHead:
        """The head alone."""
        return drive_head(
            avatar.head,
            avatar.plane,
            self.face_model.displacement(expression),
            rotation,
            translation,
            avatar.size,
            perspective=rotation_matrix(rotation),
            residual=0.0 if avatar.motion is None else self._residuals.motion(avatar.motion, expression),
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
        return self.person(avatar, self.head(avatar, expression, rotation, translation), shoulders)

    def person(
        self,
        avatar: CompactAvatar,
        head: DrivenHead,
        shoulders: FloatArray,  # (2,) pixels
    ) -> UInt8Array:
        """The whole person: (S, S, 4) straight colour and alpha."""
        map_x, map_y = person_maps(avatar, head, shoulders)
        person = cv2.remap(avatar.photo, map_x, map_y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        person = soften_steps(person, map_x, map_y)
        colour = draw_layers(np.ascontiguousarray(person[..., :3]), head, avatar.eyes, avatar.mouth)
        if self._shading is not None and avatar.features is not None:
            colour = self._shading.refine(colour, head.driven, head.resting, avatar.features)
        person[..., :3] = colour
        return person


def person_maps(avatar: CompactAvatar, head: DrivenHead, shoulders: FloatArray) -> tuple[Float32Array, Float32Array]:
    """Where in the photo each pixel of the person comes from, (S, S) x and y, pixels: head, neck and shoulders."""
    size = avatar.size
    map_x, map_y = np.empty((size, size), np.float32), np.empty((size, size), np.float32)
    chin = np.float32(avatar.head.neutral[CHIN, 1] - 0.03)
    join(
        head.hit,
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
    hold(map_x, map_y, head.hit, avatar.cut)
    return map_x, map_y


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
