"""Controls that act on a `Motion`, whatever it came from: speech, a video, a webcam or a file."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal, Protocol

import numpy as np

from real3d_portrait.errors import MotionFaceModelError
from real3d_portrait.motion.camera_path import CameraPath
from real3d_portrait.motion.motion import Motion
from real3d_portrait.motion.pose_presets import NATURAL, PosePreset


class ExpressionSpace(Protocol):
    """What the expression coefficients of one face model mean, as far as edits of a motion need it.

    Each method takes a motion and returns an edited copy; a factor of 1 (smoothing: 0) returns it unchanged.
    """

    @property
    def face_model(self) -> str:
        """Name of the face model that its motions belong to."""

    def without_blinks(self, motion: Motion) -> Motion:
        """Lids stay open."""

    def with_mouth(self, motion: Motion, factor: float) -> Motion:
        """Lips and jaw move `factor` times (0..2) as far from rest."""

    def with_gaze_on_viewer(self, motion: Motion, before: Motion) -> Motion:
        """The eyes hold the viewer in the head pose of `motion` as they did in that of `before`."""

    def with_brows(self, motion: Motion, factor: float) -> Motion:
        """Brows rise and fall `factor` times (0..2) as much."""

    def with_gaze(self, motion: Motion, factor: float) -> Motion:
        """Eyes wander `factor` times (0..2) as far from the viewer."""

    def smoothed(self, motion: Motion, strength: float) -> Motion:
        """Quick motion taken out, strength 0..1."""

    def scaled(self, motion: Motion, factor: float) -> Motion:
        """The whole expression times 0..2, but for what is no matter of degree (closed lips, lids, gaze)."""


class FixedExpression:
    """An `ExpressionSpace` in which nothing can be edited; those that can edit something derive from it."""

    def without_blinks(self, motion: Motion) -> Motion:
        return motion

    def with_mouth(self, motion: Motion, factor: float) -> Motion:
        return motion

    def with_gaze_on_viewer(self, motion: Motion, before: Motion) -> Motion:
        return motion

    def with_brows(self, motion: Motion, factor: float) -> Motion:
        return motion

    def with_gaze(self, motion: Motion, factor: float) -> Motion:
        return motion

    def smoothed(self, motion: Motion, strength: float) -> Motion:
        return motion

    def scaled(self, motion: Motion, factor: float) -> Motion:
        return motion


@dataclass(frozen=True)
class MotionEdits:
    """What is asked of a motion; as it stands, nothing.

    Attributes:
        blinks: False takes them out.
        mouth, brow, gaze, expression: factors, 0..2; brow and gaze come on top of the preset's.
        pose: natural keeps the motion's own head pose, static holds the head still, a Motion replaces it by that one's,
            played to and fro.
        preset: factors on slow and quick head motion, brows and gaze.
        smoothing: 0..1.
        camera: whose orbit turns the head.
    """

    blinks: bool = True
    mouth: float = 1.0
    pose: Literal["natural", "static"] | Motion = "natural"
    preset: PosePreset = NATURAL
    brow: float = 1.0
    gaze: float = 1.0
    smoothing: float = 0.0
    expression: float = 1.0
    camera: CameraPath = field(default_factory=CameraPath)


def edited(motion: Motion, edits: MotionEdits, space: ExpressionSpace) -> Motion:
    """The motion, edited in this order: blinks, mouth, head pose, preset, brows, gaze, smoothing, scale, camera.

    Raises:
        MotionFaceModelError: the motion belongs to another face model than `space`.
    """
    for given in (motion, edits.pose):
        if isinstance(given, Motion) and given.face_model != space.face_model:
            raise MotionFaceModelError(path="given", found=given.face_model, expected=space.face_model)
    if not edits.blinks:
        motion = space.without_blinks(motion)
    motion = space.with_mouth(motion, edits.mouth)
    if edits.pose != "natural":
        posed = _with_pose(motion, edits.pose)
        # Either head rests somewhere; the eyes follow what each does from there.
        turned = space.with_gaze_on_viewer(posed.relative(), motion.relative())
        motion = replace(posed, expression=turned.expression)
    moved = space.with_gaze_on_viewer(edits.preset.moved(motion), motion)
    raised = space.with_brows(moved, edits.brow * edits.preset.brow)
    smooth = space.smoothed(space.with_gaze(raised, edits.gaze * edits.preset.gaze), edits.smoothing)
    return edits.camera.seen(space.scaled(smooth, edits.expression))


def _with_pose(motion: Motion, pose: Literal["natural", "static"] | Motion) -> Motion:
    if isinstance(pose, Motion):
        other = pose.ping_pong(len(motion))
        return replace(motion, rotation=other.rotation, translation=other.translation, rest=other.rest)
    still = np.zeros_like(motion.rotation)
    return replace(motion, rotation=still, translation=still, rest=None)
