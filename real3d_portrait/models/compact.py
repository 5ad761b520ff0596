"""The compact model: the paper's stages put together for one photo (reconstruct) and one frame (render)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numba import njit
from numpy.typing import NDArray

from ..config import CompactConfig
from ..face.camera import project, rotation_matrix
from ..face.face_model import FaceModel
from ..portrait import Portrait
from .eyes import EyeLayer
from .htb_sr import HtbSr, PhotoFeatures
from .i2p import LiftedHead
from .motion_adapter import diff_plane
from .mouth_interior import MouthInterior
from .renderer import first_hit, soften_steps
from .residuals import WINDOW, LearnedMotion, Residuals
from .torso import COLLARBONE, cut_borders, hold, join, shoulder_track
from .triplane import TriPlanes

CHIN = 152
LEARNED = frozenset({"i2p", "ma", "htb_sr"})


@dataclass(frozen=True)
class Avatar:
    """What one photo gives and every frame reuses."""

    size: int  # pixels of a rendered frame
    photo: NDArray[np.uint8]  # (S, S, 4) foreground colour and matte
    plate: NDArray[np.uint8]  # (S, S, 3) the background without the person
    head: LiftedHead
    planes: TriPlanes  # canonical: the face at rest
    cut: NDArray[np.float32]  # (4,) borders of the photo that cut the person
    share: NDArray[np.float32]  # (N, N) learned share of the head in the join, on top of the ramp
    motion: LearnedMotion | None
    mouth: MouthInterior
    eyes: EyeLayer
    features: PhotoFeatures | None  # for HTB-SR's learned part
    rotation: NDArray[np.float64]  # (3,) the photo's pose
    translation: NDArray[np.float64]  # (3,)
    expression: NDArray[np.float64]  # (E,) the photo's expression


class CompactModel:
    """I2P, motion adapter, volume renderer and HTB-SR on arrays; immutable after construction."""

    def __init__(self, config: CompactConfig, folder: Path, learned: frozenset[str] = LEARNED) -> None:
        """`learned`: the learned parts to use, of `LEARNED`; one without weights in `folder` is left out."""
        self.config = config
        self.face_model = FaceModel.load(folder / config.face_model)
        present = frozenset(part for part in learned if (folder / getattr(config, part)).is_file())
        self._residuals = Residuals.load(folder, config, present)
        self._htb_sr = HtbSr.load(folder / config.htb_sr) if "htb_sr" in present else None

    def reconstruct(self, portrait: Portrait) -> Avatar:
        """Everything that depends on the photo alone."""
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
            share=lifted.share,
            motion=lifted.motion,
            mouth=MouthInterior(portrait.image, portrait.landmarks, rest),
            eyes=EyeLayer(portrait.image, portrait.landmarks),
            features=features,
            rotation=fit.rotation,
            translation=fit.translation,
            expression=fit.expression,
        )

    def shoulders(
        self, avatar: Avatar, rotation: NDArray[np.floating], translation: NDArray[np.floating]
    ) -> NDArray[np.float32]:
        """Pose track (T, 3), (T, 3) → shift of the shoulders in pixels, (T, 2)."""
        source = np.stack([avatar.rotation, avatar.translation])
        return shoulder_track(rotation, translation, source, avatar.size)

    def render(
        self,
        avatar: Avatar,
        expression: NDArray[np.floating],  # (E,)
        rotation: NDArray[np.floating],  # (3,)
        translation: NDArray[np.floating],  # (3,)
        shoulders: NDArray[np.floating],  # (2,) pixels
    ) -> NDArray[np.uint8]:
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
        hold(map_x, map_y, avatar.cut)
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


@njit(cache=True, nogil=True)
def _over(person, background, output):  # type: ignore[no-untyped-def]
    for i in range(output.shape[0]):
        for j in range(output.shape[1]):
            alpha = np.int32(person[i, j, 3])
            for c in range(3):
                mixed = np.int32(person[i, j, c]) * alpha + np.int32(background[i, j, c]) * (255 - alpha)
                output[i, j, c] = (mixed + 127) // 255


def over(person: NDArray[np.uint8], background: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Alpha-blend a person (S, S, 4) over a background (S, S, 3); exact where alpha is 0 or 255."""
    output = np.empty_like(background)
    _over(person, background, output)
    return output
