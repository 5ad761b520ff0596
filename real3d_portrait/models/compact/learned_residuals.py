"""The learned residuals applied to one lifted head: network planes looked up at the sheet's vertices.

A residual is added to the attributes of the sheet's vertices before they are rasterised, so that it arrives
in the front plane exactly where the surface goes, at the plane's full resolution and at no cost per pixel.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional as F

from real3d_portrait.arrays import Float32Array, Float64Array, FloatArray, UInt8Array
from real3d_portrait.config import CompactConfig
from real3d_portrait.face.face_model import FaceModel
from real3d_portrait.face.fitting import FaceFit
from real3d_portrait.face.landmarks import CHIN, EYE_LEFT, EYE_RIGHT, IRIS, LIPS_INNER, N_LANDMARKS, OVAL
from real3d_portrait.face.rasterizer import rasterize
from real3d_portrait.models.compact.canonical_plane import CanonicalPlane
from real3d_portrait.models.compact.head_sheet import sheet_faces
from real3d_portrait.models.compact.image_to_plane import LiftedHead, lift
from real3d_portrait.models.compact.image_to_plane_residual import CHANNELS, I2PResidual
from real3d_portrait.models.compact.motion_adapter_residual import MAResidual

VIEW = 64  # pixels of the canonical view
WINDOW = 1.25  # head units: the view shows -WINDOW..WINDOW
_PHOTO = 80  # the photo is reduced to this before it is looked at
_DEPTH_SHARES = (0.1, 0.6, 0.6)  # of the depth residual on the rings next to the mesh; 1 beyond
_RING_SHARES = (0.8, 0.7, 0.5, 0.2)  # of the motion residual on the rings next to jaw and chin; none beyond
_JAW = 0.2  # head units below the temples from where on the rings take part
_EDGE_REACH = 0.10  # head units from these edges over which the motion residual fades in


@cache
def ring_mask(count: int) -> Tensor:
    """(N,) 0 on the face mesh, 1 on the rings round it: where the depth is guessed."""
    mask = torch.ones(count)
    mask[:N_LANDMARKS] = 0
    for ring, share in enumerate(_DEPTH_SHARES):
        mask[N_LANDMARKS + ring * len(OVAL) : N_LANDMARKS + (ring + 1) * len(OVAL)] = share
    return mask


def edge_mask(sheet: Float32Array) -> Tensor:
    """(N,) 0 on the edges of lips and lids, which the layers inside them must meet, and at hairline and hair.

    Hair and scalp stay out of it: in tracked clips the head's pose leans on the expression a little, and what
    corrects that there would make the hair of a face that is driven by speech twitch with every blink.
    """
    hairline = [i for i in OVAL if sheet[i, 1] > 0]
    edges = sheet[[*EYE_LEFT, *EYE_RIGHT, *LIPS_INNER, *hairline], :2]
    distance = np.linalg.norm(sheet[:, None, :2] - edges[None], axis=-1).min(1)
    mask = np.clip(distance / _EDGE_REACH, 0, 1) ** 2
    mask[IRIS] = 0
    rings = mask[N_LANDMARKS:].reshape(-1, len(OVAL))
    rings *= np.array([*_RING_SHARES, *[0.0] * (len(rings) - len(_RING_SHARES))])[:, None]
    rings *= np.clip(-sheet[N_LANDMARKS:, 1] / _JAW, 0, 1).reshape(-1, len(OVAL))
    return torch.from_numpy(mask.astype(np.float32))


def canonical_view(sheet: Float32Array, uv: Float32Array, photo: Tensor) -> Tensor:
    """Sheet (N, 3), photo pixel of each vertex (N, 2), photo (4, S, S) in 0..1 → (9, VIEW, VIEW)."""
    size = photo.shape[-1]
    small = F.interpolate(photo[None], size=(_PHOTO, _PHOTO), mode="area")
    scale = VIEW / (2 * WINDOW)
    mesh = (np.arange(len(sheet)) < N_LANDMARKS).astype(np.float32)
    attributes = np.concatenate([sheet[:, 2:], uv * (2 / size) - 1, mesh[:, None]], 1)
    points = sheet[:, :2] * [scale, -scale] + VIEW / 2
    image, _ = rasterize(points, sheet[:, 2], sheet_faces(), attributes, VIEW, VIEW)
    plane = torch.from_numpy(image).permute(2, 0, 1)
    seen = F.grid_sample(small, plane[1:3].permute(1, 2, 0)[None], padding_mode="border", align_corners=False)[0]
    inside = (plane[1:3].abs().amax(0) < 1).float()
    centre = ((torch.arange(VIEW) + 0.5) / VIEW * 2 - 1) * WINDOW
    y, x = torch.meshgrid(-centre - float(sheet[CHIN, 1]), centre, indexing="ij")
    view = torch.stack([*((seen[:3] - 0.5) * seen[3:]), seen[3], inside, plane[0], plane[3], x, y])
    assert len(view) == CHANNELS
    return view


def at_vertices(planes: Tensor, sheet: Float32Array) -> Tensor:
    """Planes (C, h, w) over the window, looked up at the sheet's vertices: (N, C)."""
    grid = torch.from_numpy(sheet[:, :2] * np.float32([1 / WINDOW, -1 / WINDOW])).float()
    found = F.grid_sample(planes[None], grid[None, None], padding_mode="border", align_corners=False)
    return found[0, :, 0].T


def depth_at(plane: Tensor, sheet: Float32Array) -> Tensor:
    """I2P's depth plane (H, W) → (N,) to add to the sheet's z."""
    return at_vertices(plane[None], sheet)[:, 0] * ring_mask(len(sheet))


def motion_basis(network: MAResidual, planes: Tensor, sheet: Float32Array) -> Tensor:
    """MA's fields (3K, s, s) → (N, 3, K), vanishing at lips and lids."""
    fields = at_vertices(planes, sheet).unflatten(1, (network.count, 3)).transpose(1, 2)
    return fields * edge_mask(sheet)[:, None, None]


def shown_expression(model: FaceModel, shift: Float32Array) -> Float64Array:
    """(478, 3) the photo's face less its resting face → (E,) the expression that comes nearest to it.

    The resting face keeps some of the photo's expression, so that this is not the fitted one.
    """
    root = (np.array([1, 1, 0.3]) / model.noise[:, None]).reshape(-1)
    basis = (model.expression.reshape(model.n_expression, -1) * root).T.astype(np.float64)
    return np.linalg.solve(basis.T @ basis + np.eye(model.n_expression), basis.T @ (shift.reshape(-1) * root))


@dataclass(frozen=True)
class LearnedMotion:
    """What MA's residual knows about one photo."""

    basis: Float32Array  # (N, 3, K) of the sheet's vertices, head units
    rest: Tensor  # (K,) coefficients of the photo's expression


@dataclass(frozen=True)
class LearnedHead:
    """A photo lifted with what the networks add; `motion` is None without MA's residual."""

    head: LiftedHead
    plane: CanonicalPlane
    share: Float32Array  # (VIEW, VIEW) to add to the head's share in `torso.join`
    motion: LearnedMotion | None


class Residuals:
    """The learned residuals of I2P and MA, each of which may be absent."""

    def __init__(self, i2p: I2PResidual | None = None, ma: MAResidual | None = None) -> None:
        self.i2p, self.ma = i2p, ma

    @classmethod
    def load(cls, folder: Path, config: CompactConfig, learned: frozenset[str]) -> Residuals:
        """Those named in `learned` ("image_to_plane", "motion_adapter") from the weights folder."""
        i2p = I2PResidual() if "image_to_plane" in learned else None
        ma = MAResidual() if "motion_adapter" in learned else None
        for network, file in ((i2p, config.image_to_plane), (ma, config.motion_adapter)):
            if network is not None:
                network.load_state_dict({k: v.float() for k, v in load_file(folder / file).items()})
                network.eval().requires_grad_(False)
        return cls(i2p, ma)

    @torch.no_grad()
    def motion(self, motion: LearnedMotion, expression: FloatArray) -> Float32Array | float:
        """(E,) → residual (N, 3) for `motion_adapter.motion_code`; zero at the photo's own expression."""
        if self.ma is None:
            return 0.0
        now = self.ma.coefficients(torch.as_tensor(np.asarray(expression), dtype=torch.float32))
        return motion.basis @ (now - motion.rest).numpy()

    @torch.no_grad()
    def lift(self, model: FaceModel, fit: FaceFit, photo: UInt8Array) -> LearnedHead:
        """Photo (S, S, 4) colour and matte with its face fit → the head with its residuals."""
        size = photo.shape[0]
        head, plane = lift(model, fit, size)
        share = np.zeros((VIEW, VIEW), np.float32)
        motion = None
        if self.i2p is None and self.ma is None:
            return LearnedHead(head, plane, share, motion)
        picture = torch.from_numpy(photo).permute(2, 0, 1).float() / 255
        view = canonical_view(head.sheet, head.uv, picture)[None]
        sheet = head.sheet
        if self.i2p is not None:
            depth, added = self.i2p(view)[0]
            share = np.ascontiguousarray(added.numpy())
            head, plane = lift(model, fit, size, depth_at(depth, sheet).numpy())
        if self.ma is not None:
            fields = motion_basis(self.ma, self.ma.fields(view)[0], sheet).numpy()
            shift = model.vertices(fit.identity, fit.expression, fit.offset) - head.neutral
            rest = torch.from_numpy(shown_expression(model, shift)).float()
            motion = LearnedMotion(fields, self.ma.coefficients(rest))
        return LearnedHead(head, plane, share, motion)
