"""A head without hair, drawn from the head model: shape, pose and the colour of every point are known exactly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from real3d_portrait.face.face_model import FaceModel
from real3d_portrait.face.fitting import FaceFit
from real3d_portrait.face.head_model import HeadModel
from real3d_portrait.face.rasterizer import FAR, fill_triangles
from real3d_portrait.models.compact.canvas import Canvas
from real3d_portrait.models.compact.sheets import PhotoCamera
from real3d_portrait.resources import resource

SIZE, MARGIN = 256, 32
BACKGROUND = (20, 60, 200)
EAR = 0.38  # head units from the middle of the head where ears stand out
WEIGHTS = resource("assets", "weights", "compact")


def head_models() -> tuple[FaceModel, HeadModel]:
    face = FaceModel.load(WEIGHTS / "face_model.safetensors")
    return face, HeadModel.load(WEIGHTS / "head_model.safetensors", face.mean)


def colours_at(points: np.ndarray) -> np.ndarray:
    """(…, 3) head frame → (…, 3) in 0..255: alike on both sides, light from above, a fine pattern."""
    x, y, z = np.moveaxis(points, -1, 0)
    base = np.stack([180 + 40 * y, 140 + 40 * y, 110 + 30 * z], -1)
    return base + (12 * np.sin(70 * y) * np.cos(60 * z))[..., None] + 0 * x[..., None]


@dataclass(frozen=True)
class DrawnHead:
    """Attributes:
    vertices: (478 + M, 3) head frame. canvas: the picture. fit: of the face. camera: of the picture.
    place: (H, W, 3) which point of the head each pixel of the canvas shows. shown: (H, W) whether one.
    """

    vertices: np.ndarray
    faces: np.ndarray
    canvas: Canvas
    fit: FaceFit
    camera: PhotoCamera
    place: np.ndarray
    shown: np.ndarray


def drawn_head(yaw: float = 0.0, vertices: np.ndarray | None = None, distance: float | None = None) -> DrawnHead:
    """The mean head, or one of these vertices, turned by `yaw` radians; all of it is skin.

    `distance`: head units from which a camera sees it that sees the head at yaw 0 as the weak-perspective one does.
    """
    face, head = head_models()
    mean = np.concatenate([face.mean, head.mean])
    vertices = mean if vertices is None else vertices.astype(np.float32)
    rotation, translation = np.array([yaw, 0, 0]), np.array([0, 0.1, -0.6])
    camera = PhotoCamera.of(rotation, translation, SIZE)
    turned = vertices @ camera.rotation.T
    if distance is not None:
        turned[:, :2] *= ((distance - vertices[:, 2]) / (distance - turned[:, 2]))[:, None]
    points = camera.pixels(turned.astype(np.float32)) + np.float32([MARGIN, MARGIN, 0])
    side = SIZE + 2 * MARGIN
    place, depth = np.zeros((side, side, 3), np.float32), np.full((side, side), FAR, np.float32)
    flat, z = np.ascontiguousarray(points[:, :2]), np.ascontiguousarray(points[:, 2])
    fill_triangles(flat, z, head.faces, vertices, place, depth)
    shown = depth > FAR
    picture = np.where(shown[..., None], colours_at(place), BACKGROUND).clip(0, 255)
    matte, nothing = shown.astype(np.float32), np.zeros(shown.shape, np.float32)
    ears = shown & (np.abs(place[..., 0]) > EAR) & (np.abs(place[..., 1] + 0.04) < 0.32)
    colours = np.round(picture).astype(np.uint8)
    canvas = Canvas(
        colours=colours,
        matte=matte,
        hair=nothing,
        skin=matte,
        cloth=nothing,
        ears=ears.astype(np.float32),
        frames=nothing,
        worn=colours,
        photographed=np.ones(shown.shape, bool),
        margin=MARGIN,
        enlarged=1.0,
    )
    still = np.zeros(face.n_identity), np.zeros(face.n_expression)
    offset = (vertices[: len(face.mean)] - face.mean).astype(np.float64)
    fit = FaceFit(*still, rotation, translation, offset)
    return DrawnHead(vertices, head.faces, canvas, fit, camera, place, shown)
