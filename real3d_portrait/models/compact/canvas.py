"""The picture that the layers of a head are cut from: a photo, what lies round it, and what its pixels show."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from real3d_portrait.arrays import BoolArray, Float32Array, UInt8Array
from real3d_portrait.models.compact.aperture import smoothstep
from real3d_portrait.models.compact.closed_lips import close_lips
from real3d_portrait.models.compact.glasses import frames_of, without_frames
from real3d_portrait.portrait.compact import CompactPortrait
from real3d_portrait.portrait.parsing import FaceClass

_SHARP = (0.25, 0.75)  # probabilities between which a class goes from nothing to all


@dataclass(frozen=True)
class Canvas:
    """A photo with what lies `margin` pixels round it; H = W = S + 2 margin.

    Attributes:
        colours: (H, W, 3) uint8 of the person, continued beyond the edge, open lips closed, glasses' frames taken off.
        matte: (H, W) alpha of the person.
        hair, skin, cloth: (H, W) which share of a pixel is hair or worn on the head; face, ears and glasses; clothes.
            What is left is neck.
        ears: (H, W) those of the skin that are ears.
        frames: (H, W) alpha of glasses' frames, and of lenses that hide the eyes; worn: (H, W, 3) uint8 their colours.
        photographed: (H, W) what the photo shows; the rest was made up.
        enlarged: how many times larger it is than the photo's own pixels.
    """

    colours: UInt8Array
    matte: Float32Array
    hair: Float32Array
    skin: Float32Array
    cloth: Float32Array
    ears: Float32Array
    frames: Float32Array
    worn: UInt8Array
    photographed: BoolArray
    margin: int
    enlarged: float

    @property
    def shape(self) -> tuple[int, int]:
        """(H, W)"""
        return self.matte.shape[0], self.matte.shape[1]


def canvas_of(portrait: CompactPortrait, eyes_hidden: bool) -> Canvas:
    """The classes of the crop go on beyond it as they are at its border.

    eyes_hidden: whether dark glasses hide the eyes.
    """
    margin = portrait.margin
    classes = np.pad(portrait.classes, ((margin, margin), (margin, margin), (0, 0)), mode="edge")
    person = np.maximum(1 - classes[..., FaceClass.BACKGROUND], 1e-3)

    def share(*names: FaceClass) -> Float32Array:
        probability = classes[..., list(names)].sum(-1) / person
        return smoothstep(*_SHARP, probability)

    landmarks = portrait.landmarks + np.array([margin, margin, 0], np.float32)
    worn, _ = close_lips(portrait.canvas_foreground, landmarks)
    frames = frames_of(worn, np.ascontiguousarray(classes[..., FaceClass.GLASSES]), landmarks, opaque=eyes_hidden)
    hair, cloth = share(FaceClass.HAIR, FaceClass.HAT, FaceClass.OTHER), share(FaceClass.CLOTH)
    return Canvas(
        colours=without_frames(worn, frames),
        matte=portrait.canvas_matte,
        hair=hair,
        skin=np.minimum(share(FaceClass.FACE, FaceClass.EARS, FaceClass.GLASSES), 1 - hair),
        cloth=np.minimum(cloth, 1 - hair),
        ears=share(FaceClass.EARS),
        frames=frames,
        worn=worn,
        photographed=_photographed(portrait),
        margin=margin,
        enlarged=1 / float(portrait.crop_to_source[0, 0]),
    )


def _photographed(portrait: CompactPortrait) -> BoolArray:
    scale, (left, top) = float(portrait.crop_to_source[0, 0]), portrait.crop_to_source[:, 2]
    places = (np.arange(len(portrait.canvas_matte)) + 0.5 - portrait.margin) * scale
    height, width = portrait.source.shape[:2]
    rows, columns = places + top, places + left
    return np.outer((rows > 0) & (rows < height), (columns > 0) & (columns < width))
