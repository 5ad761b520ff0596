"""What the compact model computes once a photo and every frame reuses."""

from __future__ import annotations

from dataclasses import dataclass

from real3d_portrait.arrays import Float64Array
from real3d_portrait.models.avatar import Avatar
from real3d_portrait.models.compact.eyes import EyeLayer
from real3d_portrait.models.compact.image_to_plane import LayeredHead
from real3d_portrait.models.compact.mouth_interior import MouthInterior
from real3d_portrait.models.compact.shading import PhotoFeatures
from real3d_portrait.motion.placement import HeadRoom
from real3d_portrait.portrait.tone import Tone


@dataclass(frozen=True, kw_only=True)
class CompactAvatar(Avatar):
    """One photo, reconstructed by the compact model.

    Attributes:
        head: the photo as the layers of a head.
        room: how far the head may move before it leaves the picture.
        turns: degrees that it may turn to the left and to the right of the picture before what the photo does not
            show catches the eye.
        mouth, eyes: layers drawn behind lips and lids.
        tone: of a photo that is black and white or tinted; None of one in colour.
        features: for the learned shading; None without its weights.
        rotation, translation, expression: (3,) rad, (3,) head units, (E,): as the photo has them.
    """

    head: LayeredHead
    room: HeadRoom
    turns: tuple[float, float]
    mouth: MouthInterior
    eyes: EyeLayer
    tone: Tone | None
    features: PhotoFeatures | None
    rotation: Float64Array
    translation: Float64Array
    expression: Float64Array
