"""What the compact model computes once a photo and every frame reuses."""

from __future__ import annotations

from dataclasses import dataclass

from real3d_portrait.arrays import Float32Array, Float64Array, UInt8Array
from real3d_portrait.models.avatar import Avatar
from real3d_portrait.models.compact.canonical_plane import CanonicalPlane
from real3d_portrait.models.compact.eyes import EyeLayer
from real3d_portrait.models.compact.image_to_plane import LiftedHead
from real3d_portrait.models.compact.learned_residuals import LearnedMotion
from real3d_portrait.models.compact.mouth_interior import MouthInterior
from real3d_portrait.models.compact.shading import PhotoFeatures
from real3d_portrait.motion.placement import HeadRoom


@dataclass(frozen=True, kw_only=True)
class CompactAvatar(Avatar):
    """One photo, reconstructed by the compact model.

    Attributes:
        photo: (S, S, 4) uint8 foreground colour and matte.
        head: the face fit lifted to a surface.
        plane: canonical: the face at rest.
        cut: (4, S) where the photo's borders cut the person, as `torso.cut_borders` gives it.
        room: how far the head may move before it leaves the picture.
        share: (N, N) learned share of the head where it joins the shoulders, on top of the ramp.
        motion: the learned residual of the motion adapter for this photo; None without its weights.
        mouth, eyes: layers drawn behind lips and lids.
        features: for the learned shading; None without its weights.
        rotation, translation, expression: (3,) rad, (3,) head units, (E,): as the photo has them.
    """

    photo: UInt8Array
    head: LiftedHead
    plane: CanonicalPlane
    cut: Float32Array
    room: HeadRoom
    share: Float32Array
    motion: LearnedMotion | None
    mouth: MouthInterior
    eyes: EyeLayer
    features: PhotoFeatures | None
    rotation: Float64Array
    translation: Float64Array
    expression: Float64Array
