"""Image to plane: a photo becomes the layers of a head (Real3D-Portrait section 3.1, the compact model's form).

The fitted face is completed to a whole head. Skin, hair and body become meshes in the head frame with the photo as
their picture; the canonical planes hold the skin's colours as seen from the front and both sides, filled where the
photo does not show them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from real3d_portrait.arrays import BoolArray, Float32Array, FloatArray, Int32Array, UInt8Array
from real3d_portrait.face.face_model import FaceModel
from real3d_portrait.face.fitting import FaceFit
from real3d_portrait.face.head_model import HeadModel
from real3d_portrait.face.landmarks import CHIN, LID_PAIRS, LIP_PAIRS, N_LANDMARKS
from real3d_portrait.face.mesh import vertex_normals
from real3d_portrait.models.compact.aperture import smoothstep
from real3d_portrait.models.compact.canonical_planes import CanonicalPlanes, SurfaceInPhoto, make_planes
from real3d_portrait.models.compact.canvas import Canvas
from real3d_portrait.models.compact.ears import EAR, ear_depths
from real3d_portrait.models.compact.glasses import glasses_depths
from real3d_portrait.models.compact.hair import hair_depths, shows_behind
from real3d_portrait.models.compact.head_sides import fit_sides
from real3d_portrait.models.compact.sheets import (
    PhotoCamera,
    Sheet,
    SkinView,
    carried,
    grid_sheet,
    head_share,
    smooth_fill,
    view_skin,
)
from real3d_portrait.motion.neutral import closed_mouth

UPPER_FACE, LOWER_FACE = 0.0, -0.12  # y above which a photo's expression belongs to the person, and below not
MIDDLE = (0.0, -0.05, -0.12)  # between the ears, head frame: silhouettes close at its depth
_NECK = (0.05, 0.15)  # head units below the chin over which the skin's layer gives way to the body's
_BEHIND_JAW = 0.12  # head units above the chin up to which the neck goes on behind the jaw
_NECK_WIDTH = 0.42  # head units to each side
_SHOULDER_RIM = 0.03  # of the picture's side: hair on the shoulders nearer to the silhouette has nothing behind it
_NAPE = (-0.20, -0.30)  # depths, head frame, between which the sides of a neck go over into its nape
_COLLAR_RUN = 9  # vertices, sorted by height, over which is averaged how far clothes lie on them
_BLEEDING = 4.0  # pixels of a photo's rim into which the background's colours may have run
_BORDER = 0.03  # head units inside the photo's border over which its pixels count less
_RIM = 2.0  # pixels of hair along the silhouette whose colours may be the background's
_SHADE = 0.35  # how much darker it is under the chin
_BOWL = 0.45  # how much darker it is deep inside an ear
_STANDS_OUT = 0.06  # head units that an ear stands out at least, which is not laid against the head
_LEAST_HAIR = 0.012  # of the canvas beside the skull: with less hair there is none behind the head but the scalp's
_BODY_DEPTH = -0.1  # head units from the middle of the head to the shoulders


@dataclass(frozen=True)
class Skin:
    """The skin of the whole head, N = 478 + M vertices.

    Attributes:
        vertices: (N, 3) at rest, head frame.
        still, share, uv: as of `Sheet`.
        solid: (N,) 1 on the head, 0 down the neck where the body's layer takes over.
        front: (N,) how far a place is looked up on the front plane rather than on a side's.
        shown: (N,) whether the photo can show it: its surface looks towards the photo's camera.
        light: (N,) how light the fill is there, against 1 in the open: less under the chin.
        faces: (F, 3)
        planes: the canonical head's colours.
    """

    vertices: Float32Array
    still: Float32Array
    share: Float32Array
    uv: Float32Array
    solid: Float32Array
    front: Float32Array
    shown: Float32Array
    light: Float32Array
    faces: Int32Array
    planes: CanonicalPlanes

    @cached_property
    def attributes(self) -> Float32Array:
        """(N, 9) what the rasteriser interpolates: uv, canonical place, front, solid, shown, light."""
        return np.column_stack([self.uv, self.vertices, self.front, self.solid, self.shown, self.light])


@dataclass(frozen=True)
class LayeredHead:
    """A photo's layers, back to front.

    Attributes:
        behind: hair behind the head; None where there is none to see.
        flat: the whole head as the photo has it: closes what layers leave open in the photo's own pose.
        body: clothes and neck. skin: the head. ears: those that the photo shows. glasses: what is opaque of them. hair:
            hair and hats, in front.
        colours: (H, W, 3) uint8 the photo on its canvas, the skin's picture.
        shown: (478 + M, 3) what the photo's expression adds to the skin at rest, head units.
        camera: the photo's pose.
    """

    behind: Sheet | None
    body: Sheet
    skin: Skin
    ears: Sheet
    glasses: Sheet
    hair: Sheet
    flat: Sheet
    colours: UInt8Array
    shown: Float32Array
    camera: PhotoCamera

    @property
    def neutral(self) -> Float32Array:
        """(478, 3) the face at rest."""
        return self.skin.vertices[:N_LANDMARKS]


def keep_apart(vertices: Float32Array) -> Float32Array:
    """Lips and lids that passed through each other meet half-way instead (in place); (478 + M, 3), y up."""
    for pairs in (LIP_PAIRS, LID_PAIRS):
        upper, lower = (np.array(side) for side in zip(*pairs, strict=True))
        crossed = vertices[upper, 1] < vertices[lower, 1]
        middle = (vertices[upper[crossed]] + vertices[lower[crossed]]) / 2
        vertices[upper[crossed], 1] = vertices[lower[crossed], 1] = middle[:, 1]
    return vertices


def resting_face(model: FaceModel, fit: FaceFit) -> Float32Array:
    """(478, 3) the person's face brought to rest: lips closed wherever they meet, no smile.

    The photo's own lids, brows and gaze are kept as part of the person (narrow eyes are a feature, and eyes
    that suddenly widen change a face most), unless the photo caught a blink.
    """
    still = model.shape(fit.identity, fit.offset)
    shown = model.displacement(fit.expression)
    upper = np.clip((model.mean[:, 1] - LOWER_FACE) / (UPPER_FACE - LOWER_FACE), 0, 1)
    upper = (upper * upper * (3 - 2 * upper))[:, None]
    above, below = (np.array(side) for side in zip(*LID_PAIRS, strict=True))
    opening = (still[above, 1] - still[below, 1]).sum()
    seen = ((still + shown)[above, 1] - (still + shown)[below, 1]).sum()
    awake = np.clip((seen / opening - 0.4) / 0.3, 0, 1)
    closing = model.displacement(closed_mouth(model, still))
    face = keep_apart(still + closing + awake * upper * shown)
    above, below = (np.array(side) for side in zip(*LIP_PAIRS, strict=True))
    face[above, 1] = face[below, 1] = (face[above, 1] + face[below, 1]) / 2
    return face


def lift(model: FaceModel, head_model: HeadModel, fit: FaceFit, size: int, canvas: Canvas) -> LayeredHead:
    """A photo of `size` pixels with its face fit → its layers."""
    face, still = resting_face(model, fit), model.shape(fit.identity, fit.offset)
    # The resting face has closed its lips, and jaw and neck went along.
    rest = head_model.rest(face)
    neutral = np.concatenate([face, rest]).astype(np.float32)
    source = np.concatenate(
        [
            model.vertices(fit.identity, fit.expression, fit.offset),
            rest + head_model.displacement(fit.expression - closed_mouth(model, still)),
        ]
    ).astype(np.float32)
    camera = PhotoCamera.of(fit.rotation, fit.translation, size)
    moved = fit_sides(neutral, source, head_model.faces, head_model.ears, camera, canvas)
    return _Lifting(neutral + moved, source + moved, head_model, camera, canvas).layers()


class _Lifting:
    """What the layers of one photo are made from."""

    def __init__(
        self,
        neutral: Float32Array,
        source: Float32Array,
        head_model: HeadModel,
        camera: PhotoCamera,
        canvas: Canvas,
    ) -> None:
        self.neutral, self.source, self.camera, self.canvas = neutral, source, camera, canvas
        self.faces, self.ears, self.shape = head_model.faces, head_model.ears, canvas.shape
        self.chin = float(neutral[CHIN, 1])
        turned = (source @ camera.rotation.T).astype(np.float32)
        self.still = camera.pixels(turned)
        self.on_canvas = self.still + np.array([canvas.margin, canvas.margin, 0], np.float32)
        self.normals = vertex_normals(turned, self.faces)
        self.view = self._view(self.faces)
        self.middle = float((camera.rotation @ MIDDLE)[2])
        self.height = self._places(self.middle)[..., 1]
        self.share = head_share(self.height, self.chin)
        self.person = canvas.matte > 0.5

    def _view(self, faces: Int32Array) -> SkinView:
        return view_skin(self.on_canvas, self.neutral, self.normals, faces, self.shape)

    def _places(self, depth: float) -> Float32Array:
        """(H, W, 3) the head frame's place of each pixel at a depth in the photo's pose."""
        rows, columns = np.mgrid[: self.shape[0], : self.shape[1]].astype(np.float32) + 0.5 - self.canvas.margin
        return self.camera.unproject(columns, rows, np.full(self.shape, depth, np.float32))

    def _sheet(self, colours: UInt8Array, alpha: Float32Array, depth: Float32Array) -> Sheet:
        picture = np.dstack([colours, np.round(255 * alpha).astype(np.uint8)])
        shown = cv2.dilate((alpha > 0.004).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
        return grid_sheet(shown, depth, picture, self.camera, self.canvas.margin, self.chin)

    def layers(self) -> LayeredHead:
        canvas = self.canvas
        front = canvas.matte * canvas.hair
        # A soft edge drawn twice would be too solid.
        uncovered = 1 - np.clip(canvas.hair + canvas.ears, 0, 1)
        silhouette = self.person & ((self.share > 0.02) | (canvas.hair > 0.5))
        depth, back = hair_depths(front, silhouette, self.view, self.camera.scale)
        return LayeredHead(
            behind=self._behind(back),
            body=self._body(),
            skin=self._skin(),
            ears=self._ears(),
            glasses=self._glasses(),
            hair=self._sheet(carried(canvas.colours, _inside(canvas.matte, _RIM) > 0), front, depth),
            flat=self._sheet(canvas.colours, canvas.matte * self.share * uncovered, depth),
            colours=canvas.colours,
            shown=self.source - self.neutral,
            camera=self.camera,
        )

    def _ears(self) -> Sheet:
        """The ears that the photo shows."""
        canvas = self.canvas
        alpha = canvas.matte * canvas.ears
        depth = ear_depths(self._places(EAR[0]), alpha > 0.5, self.camera.rotation[2])
        return self._sheet(carried(canvas.colours, alpha > 0.9), alpha, depth)

    def _glasses(self) -> Sheet:
        canvas = self.canvas
        alpha = canvas.matte * canvas.frames
        if not alpha.any():
            return self._sheet(canvas.colours, alpha, self.view.depth)
        depth = glasses_depths(alpha > 0.5, self.neutral, self.camera, canvas.margin)
        return self._sheet(carried(canvas.worn, alpha > 0.9), alpha, depth)

    def _body(self) -> Sheet:
        canvas, view = self.canvas, self.view
        neck = np.clip(1 - canvas.hair - canvas.skin - canvas.cloth, 0, 1)
        alpha = canvas.matte * np.clip(canvas.cloth + neck + canvas.skin * (1 - self.share), 0, 1)
        # Behind hair that falls over the shoulders there is body, and the neck goes on upwards behind the jaw.
        alpha = np.maximum(alpha, _inside(canvas.matte, _SHOULDER_RIM * self.camera.size) * (1 - self.share))
        alpha = np.maximum(alpha, self._neck_behind())
        known = (canvas.cloth + neck + canvas.skin * (self.share < 0.9) > 0.6) & (canvas.matte > 0.95)
        neck = view.covered & (view.height < self.chin - 0.05)
        far = cv2.dilate(view.covered.astype(np.uint8), np.ones((25, 25), np.uint8)) == 0
        depth = np.where(neck, view.depth, self.middle + _BODY_DEPTH).astype(np.float32)
        return self._sheet(carried(canvas.colours, known), alpha, smooth_fill(depth, neck | far))

    def _neck_behind(self) -> Float32Array:
        """(H, W) alpha of the neck where the jaw hides it."""
        low = self.neutral[:, 1] < self.chin + _BEHIND_JAW
        low &= np.abs(self.neutral[:, 0]) < _NECK_WIDTH
        low[:N_LANDMARKS] = False
        faces = self.faces[low[self.faces].all(1)]
        neck = self._view(faces[(self.normals[faces, 2] > -0.2).any(1)]).covered
        return cv2.GaussianBlur(neck.astype(np.float32), (0, 0), 1.0) * neck * self.canvas.matte

    def _behind(self, depth: Float32Array) -> Sheet | None:
        canvas = self.canvas
        silhouette = self.person & (self.share > 0)
        hair = canvas.hair * canvas.matte
        region = shows_behind(hair, silhouette, self.view, self.camera.scale) & (self.share > 0)
        beside = np.where(self.view.covered | (canvas.ears > 0.5), 0, hair * (self.share > 0.5))
        if not region.any() or (beside > 0.8).mean() < _LEAST_HAIR:
            return None
        colours = carried(canvas.colours, (canvas.hair > 0.8) & (canvas.matte > 0.9))
        # Whole up to its rim, as it is drawn only where it comes out from behind the hair in front.
        picture = np.dstack([colours, np.full(self.shape, 255, np.uint8)])
        smooth = cv2.GaussianBlur(_largest(region).astype(np.float32), (0, 0), 2.0) > 0.5
        return grid_sheet(smooth, depth, picture, self.camera, canvas.margin, self.chin, to_rim=True)

    def _skin(self) -> Skin:
        canvas = self.canvas
        sure = _inside(canvas.matte, _BLEEDING * max(canvas.enlarged, 1.0)) * self._photographed()
        # The scalp under hair has hair's colour, so that thin hair does not show skin.
        deep = cv2.erode((canvas.hair > 0.8).astype(np.uint8), np.ones((9, 9), np.uint8)).astype(np.float32)
        neck = (1 - canvas.hair) * (1 - canvas.cloth) * (self.view.height < self.chin)
        uv = np.ascontiguousarray(self.on_canvas[:, :2])
        # What was made up beyond the photo's border is not what the photo shows.
        nearest = np.where(canvas.photographed, self.view.depth, np.inf).astype(np.float32)
        surface = SurfaceInPhoto(self.neutral, uv, self.still[:, 2], self.normals[:, 2], self.ears, self.faces, nearest)
        planes = make_planes(
            surface,
            canvas.colours,
            np.maximum(canvas.skin - canvas.ears, neck).clip(0) * sure,
            np.asarray(cv2.blur(deep, (5, 5)), np.float32),
        )
        canonical_normals = vertex_normals(self.neutral, self.faces)
        under = smoothstep(0.1, 0.8, -canonical_normals[:, 1]) * smoothstep(0.1, 0.0, self.neutral[:, 1] - self.chin)
        under[:N_LANDMARKS] = 0
        return Skin(
            vertices=self.neutral,
            still=self.still,
            share=head_share(self.neutral[:, 1], self.chin),
            uv=uv,
            solid=self._solid(),
            front=smoothstep(0.35, 0.75, canonical_normals[:, 2]),
            shown=smoothstep(-0.15, 0.0, self.normals[:, 2]),
            light=(1 - _SHADE * under) * (1 - _BOWL * self._hollow()),
            faces=self.faces,
            planes=planes,
        )

    def _hollow(self) -> Float32Array:
        """(N,) how deep a place lies inside an ear that stands out."""
        hollow = np.zeros(len(self.neutral), np.float32)
        for side in (-1, 1):
            ear = self.ears & (np.sign(self.neutral[:, 0]) == side)
            out = side * self.neutral[ear, 0]
            if ear.any() and np.ptp(out) > _STANDS_OUT:
                hollow[ear] = (out.max() - out) / np.ptp(out)
        return hollow

    def _photographed(self) -> Float32Array:
        """(H, W) 1 well inside the photo, 0 where it ends."""
        distance = cv2.distanceTransform(self.canvas.photographed.astype(np.uint8), cv2.DIST_L2, 5)
        return smoothstep(2.0, max(_BORDER * self.camera.scale, 3.0), np.asarray(distance, np.float32))

    def _solid(self) -> Float32Array:
        """(N,) of `Skin`: nothing either where clothes lie before the neck."""
        solid = smoothstep(self.chin - _NECK[1], self.chin - _NECK[0], self.neutral[:, 1])
        x, y = (np.ascontiguousarray(self.on_canvas[:, k]) - 0.5 for k in (0, 1))
        looked_up = cv2.remap(self.canvas.cloth, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        cloth = np.asarray(looked_up[:, 0], np.float32)
        low = smoothstep(self.chin + 0.15, self.chin + 0.05, self.neutral[:, 1])
        low[:N_LANDMARKS] = 0
        return solid * (1 - low * np.maximum(cloth, self._collar(cloth, low > 0)))

    def _collar(self, cloth: FloatArray, low: BoolArray) -> Float32Array:
        """(N,) how far clothes lie round the nape: as they do beside the neck at that height."""
        x, y, z = self.neutral.T
        beside = np.flatnonzero(low & (np.abs(x) > 0.5 * _NECK_WIDTH) & (z > _NAPE[1]))
        if len(beside) < _COLLAR_RUN:
            return np.zeros(len(y), np.float32)
        upwards = beside[np.argsort(y[beside])]
        usual = np.convolve(np.pad(cloth[upwards], _COLLAR_RUN // 2, mode="edge"), np.ones(_COLLAR_RUN), "valid")
        around = np.interp(y, y[upwards], usual[: len(upwards)] / _COLLAR_RUN)
        return (smoothstep(*_NAPE, z) * around).astype(np.float32)


def _largest(region: BoolArray) -> BoolArray:
    """(H, W) its largest connected part."""
    _, labels, measures, _ = cv2.connectedComponentsWithStats(region.astype(np.uint8))
    return np.asarray(labels == 1 + measures[1:, cv2.CC_STAT_AREA].argmax())


def _inside(matte: Float32Array, distance: float) -> Float32Array:
    """(H, W) 1 further than `distance` pixels inside the silhouette; the canvas' border is no rim."""
    solid = np.pad((matte > 0.9).astype(np.uint8), 1, mode="edge")
    return (cv2.distanceTransform(solid, cv2.DIST_L2, 5)[1:-1, 1:-1] > distance).astype(np.float32)
