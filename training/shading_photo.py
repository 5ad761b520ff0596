"""A frame of a clip as a photo: its layered head, driven so that the face meets another frame's landmarks."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from real3d_portrait.arrays import BoolArray, Float32Array, FloatArray, UInt8Array
from real3d_portrait.config import CompactConfig, read_config
from real3d_portrait.face.camera import project, rotation_matrix, scale_of
from real3d_portrait.face.face_model import FaceModel
from real3d_portrait.face.fitting import FaceFit
from real3d_portrait.face.head_model import with_seam
from real3d_portrait.face.landmarks import N_LANDMARKS, OVAL
from real3d_portrait.models.compact.frame import DrivenHead
from real3d_portrait.models.compact.model import CompactModel
from real3d_portrait.models.compact.shading_crops import REGIONS, PhotoPlacement, cut, place
from real3d_portrait.models.compact.volume_renderer import CAMERA, Pose, project_perspective
from real3d_portrait.portrait.canvas import canvas_margin, wider_canvas
from real3d_portrait.portrait.compact import CompactPortrait
from real3d_portrait.portrait.inpainting import foreground_colours
from real3d_portrait.portrait.matting import portrait_matte
from real3d_portrait.portrait.parsing import FaceParser
from real3d_portrait.resources import resource

ClipArrays = dict[str, NDArray]
LEAST_FRAMES = 12  # usable ones of a clip


def bare_model(folder: Path) -> CompactModel:
    """The compact model of a weights folder without its learned shading."""
    return CompactModel(read_config(resource("configs", "compact.yaml"), CompactConfig), folder, learned=frozenset())


def prepare(image: UInt8Array, landmarks: Float32Array, fit: FaceFit, parser: FaceParser) -> CompactPortrait:
    """A whole square picture (S, S, 3) with known landmarks as a portrait; its plate is the picture itself."""
    matte = portrait_matte(image, landmarks)
    foreground = foreground_colours(image, matte)
    whole = np.eye(2, 3)
    canvas_foreground, canvas_matte = wider_canvas(image, whole, foreground, matte, landmarks)
    return CompactPortrait(
        image=image,
        matte=matte,
        foreground=foreground,
        background=image,
        landmarks=landmarks,
        fit=fit,
        classes=parser(image, landmarks, matte),
        margin=canvas_margin(len(image)),
        canvas_foreground=canvas_foreground,
        canvas_matte=canvas_matte,
        crop_to_source=whole,
        source=image,
    )


class Photo:
    """One reconstructed picture, and what the networks see of it."""

    def __init__(self, portrait: CompactPortrait, model: CompactModel) -> None:
        self.renderer, self.avatar = model.renderer, model.reconstruct(portrait)
        self.image, self.landmarks, self.fit = portrait.image, portrait.landmarks, portrait.fit
        self.head, self.size = self.avatar.head, portrait.size
        self.rest = project(self.head.neutral, self.fit.rotation, self.fit.translation, self.size)
        self.placement = PhotoPlacement(self.landmarks, self.rest)
        self.references = [cut(self.image, place(r, self.landmarks, self.rest), r.pixels) for r in REGIONS]

    def at(
        self,
        landmarks: FloatArray,  # (478, 2+) pixels
        shape: FloatArray,  # (478, 3) head frame, says how deep they lie
        expression: FloatArray,  # (E,)
        rotation: FloatArray,  # (3,) rad
        translation: FloatArray,  # (3,) head units
    ) -> DrivenHead:
        """The head whose face meets given landmarks; the rest of it goes along."""
        pose = Pose.of(rotation, translation, np.zeros(2), self.size)
        before = self.head.skin.still[:N_LANDMARKS, 2]
        face = unprojected(np.asarray(landmarks)[:, :2], shape, before, rotation, translation, self.size)
        model = self.renderer
        rest = self.head.skin.vertices[N_LANDMARKS:] + model.head_model.displacement(expression)
        moved = self.head.neutral + model.face_model.displacement(expression)
        rest = with_seam(rest, moved[OVAL], face[OVAL])
        return DrivenHead(
            surface=np.concatenate([face, rest]).astype(np.float32),
            pose=pose,
            driven=project_perspective(face, before, pose),
            resting=project_perspective(self.head.neutral, before, pose),
        )

    def draw(self, head: DrivenHead) -> UInt8Array:
        """The person alone with eyes and mouth, (S, S, 4) straight colour and alpha."""
        return self.renderer.person(self.avatar, head)


def unprojected(
    landmarks: FloatArray,  # (478, 2) pixels
    shape: FloatArray,  # (478, 3) head frame
    before: FloatArray,  # (478,) depth in the photo's pose, head units
    rotation: FloatArray,  # (3,) rad
    translation: FloatArray,  # (3,) head units
    size: int,
) -> Float32Array:
    """Head-frame points (478, 3) that `project_perspective` puts at the landmarks; depth from `shape`."""
    turn = rotation_matrix(rotation)
    depth = (shape @ turn.T)[:, 2]
    at = (landmarks - size / 2) / scale_of(translation, size) * [1, -1] - np.asarray(translation)[:2]
    at = at * ((CAMERA - depth) / (CAMERA - before))[:, None]
    return (np.column_stack([at, depth]) @ turn).astype(np.float32)


def still_fit(model: FaceModel, fit: ClipArrays, frame: int, landmarks: FloatArray, size: int) -> FaceFit:
    """The fit of one frame of a fitted clip, made to meet that frame's landmarks exactly, as a still's does."""
    expression, pose = fit["expression"][frame], (fit["rotation"][frame], fit["translation"][frame])
    shape = model.vertices(fit["identity"], expression, fit["offset"])
    own = (shape @ rotation_matrix(pose[0]).T)[:, 2]
    missing = unprojected(landmarks[:, :2], shape, own, *pose, size) - shape
    return FaceFit(fit["identity"], expression, *pose, fit["offset"] + missing)


def turns(rotation: FloatArray, source: FloatArray) -> FloatArray:
    """(T, 3) → degrees (T,) between each pose and another (3,)."""
    trace = np.einsum("tij,ij->t", rotation_matrix(rotation), rotation_matrix(source))
    return np.degrees(np.arccos(np.clip((trace - 1) / 2, -1, 1)))


def shows_face(frame: UInt8Array, landmarks: FloatArray) -> bool:
    """Whether there is contrast where the face lies; clips fade in from white with the tracker ahead."""
    low, high = np.clip(np.stack([landmarks[:, :2].min(0), landmarks[:, :2].max(0)]), 0, frame.shape[1]).astype(int)
    face = frame[low[1] : high[1], low[0] : high[0]]
    return bool(face.size) and float(face.std()) > 12


def load_clip(
    data: Path, work: Path, file: str
) -> tuple[dict[int, UInt8Array], Float32Array, ClipArrays, BoolArray] | None:
    """Frames by number, landmarks (T, 478, 3), the clip's fit, and which frames are usable (T,).

    None where it has no fit, or its face was found in too few frames.
    """
    fit_path = work / "fits" / f"{Path(file).stem}.npz"
    if not fit_path.exists():
        return None
    fit = dict(np.load(fit_path))
    points: Float32Array = np.load(work / "tracks" / fit_path.name)["points"]
    with av.open(str(data / "talking" / file)) as container:
        decoded = zip(range(len(points)), container.decode(video=0), strict=False)
        frames = {t: np.asarray(f.to_ndarray(format="rgb24"), np.uint8) for t, f in decoded}
    usable = np.isfinite(points).all((1, 2)) & fit["found"].astype(bool)
    usable[len(frames) :] = False
    points = np.nan_to_num(points)
    usable = np.array([bool(u) and shows_face(frames[t], points[t]) for t, u in enumerate(usable)])
    return None if usable.sum() < LEAST_FRAMES else (frames, points, fit, usable)
