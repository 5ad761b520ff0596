"""The method in five pictures: what the compact model holds between a photo and a frame."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from real3d_portrait.arrays import BoolArray, Float32Array, UInt8Array
from real3d_portrait.face.pncc import coordinate_code, pncc
from real3d_portrait.face.rasterizer import FAR
from real3d_portrait.face.topology import closed_faces
from real3d_portrait.models.compact.avatar import CompactAvatar
from real3d_portrait.models.compact.frame import over
from real3d_portrait.models.compact.model import CompactModel
from real3d_portrait.models.compact.volume_renderer import render_skin
from real3d_portrait.motion.motion import Motion
from real3d_portrait.portrait.crop import resize_square

_AROUND_FACE = 0.6  # head units to each side
_NOTHING = 30  # grey of what a stage does not show


@dataclass(frozen=True)
class Stages:
    """(S, S, 3) uint8 each.

    Attributes:
        photo: the crop that the head is made from.
        pncc: the motion code: each place of the canonical front view names the resting head's point that came there.
        depth: of what each pixel of the frame sees, near ones bright.
        raw: the skin of the head alone, from the photo and the canonical planes.
        final: with hair, teeth and lids, shoulders and background.
    """

    photo: UInt8Array
    pncc: UInt8Array
    depth: UInt8Array
    raw: UInt8Array
    final: UInt8Array

    def captioned(self) -> list[tuple[UInt8Array, str]]:
        """In order, with titles, as a gallery takes them."""
        titles = ("Photo", "Motion code (PNCC)", "Depth", "Rendered head", "Final frame")
        return list(zip((self.photo, self.pncc, self.depth, self.raw, self.final), titles, strict=True))


def inner_stages(model: CompactModel, avatar: CompactAvatar, motion: Motion, frame: int, behind: UInt8Array) -> Stages:
    """The stages of one frame.

    Args:
        avatar: one photo, reconstructed.
        motion: placed on the avatar (`place`).
        frame: its number in the motion.
        behind: (S, S, 3) the background of that frame.
    """
    size, head, portrait = avatar.size, avatar.head, avatar.portrait
    pose = motion.rotation[frame], motion.translation[frame]
    driven = model.renderer.head(avatar, motion.expression[frame], *pose, model.shoulders(avatar, motion)[frame])
    # Of the whole code the face, over its own range: hair and shoulders would leave it few colours.
    neutral = head.neutral
    face = driven.surface[: len(neutral)] - (neutral.max(0) + neutral.min(0)) / 2
    code, drawn = pncc(face, closed_faces(), coordinate_code(neutral), size, _AROUND_FACE)
    skin = render_skin(head, driven.surface, driven.pose)
    seen = skin.colour[..., 3] > 127
    person = model.renderer.person(avatar, driven)
    return Stages(
        photo=resize_square(portrait.image, size),
        pncc=np.where((drawn > FAR)[..., None], 255 * code.clip(0, 1), _NOTHING).astype(np.uint8),
        depth=np.where(seen[..., None], _shaded(skin.depth, seen), _NOTHING).astype(np.uint8),
        raw=over(skin.colour, np.full_like(behind, _NOTHING)),
        final=over(person, behind),
    )


def _shaded(depth: Float32Array, where: BoolArray) -> UInt8Array:
    """Depth (S, S) in colours that grow brighter towards the viewer, over the range that it has there."""
    low, high = np.percentile(depth[where], (2, 99.8)) if where.any() else (0.0, 1.0)
    level = np.clip((depth - low) / max(high - low, 1e-6), 0, 1)
    coloured = cv2.applyColorMap(np.rint(255 * level).astype(np.uint8), cv2.COLORMAP_VIRIDIS)
    return np.asarray(cv2.cvtColor(coloured, cv2.COLOR_BGR2RGB), np.uint8)
