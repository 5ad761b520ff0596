"""The plain twin of `layer_raster` in torch, for any device: the same numbers, without loops over pixels.

Triangles are filled by `face.rasterizer.rasterize_torch`.
"""

from __future__ import annotations

import torch

from real3d_portrait.face.rasterizer import FAR
from real3d_portrait.models.compact.layer_raster import NOTHING_LEFT


def place_torch(
    vertices: torch.Tensor,  # (N, 3) head frame
    still: torch.Tensor,  # (N, 3) in the photo: pixels, and depth in head units
    share: torch.Tensor,  # (N,) of the head's motion
    rotation: torch.Tensor,  # (3, 3)
    translation: torch.Tensor,  # (3,) head units
    scale: float,  # pixels per head unit
    camera: float,  # head units to the camera
    half: float,  # of the picture's side, pixels
    shift: torch.Tensor,  # (2,) of the shoulders, pixels
) -> tuple[torch.Tensor, torch.Tensor]:
    """Pixels (N, 2) and depth (N,) of a layer's vertices in a frame, as `layer_raster.place` fills them."""
    turned = vertices @ rotation.T
    nearer = (camera - still[:, 2]) / (camera - turned[:, 2])
    flat = (turned[:, :2] * nearer[:, None] + translation[:2]) * scale
    moved = torch.stack([half + flat[:, 0], half - flat[:, 1]], 1)
    w = share[:, None]
    return w * moved + (1 - w) * (still[:, :2] + shift), share * turned[:, 2] + (1 - share) * still[:, 2]


def cubic_torch(picture: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """Catmull-Rom samples (…, C) of `picture` (H, W, C) at pixel places (…, 2), centres at halves, within 0..255."""
    height, width = picture.shape[:2]
    at = places - 0.5
    corner = at.floor()
    share = at - corner
    weight = _cubic_weights(share)  # (…, 2, 4)
    total = torch.zeros(*places.shape[:-1], picture.shape[2], dtype=places.dtype, device=places.device)
    for a in range(4):
        row = (corner[..., 1].long() + a - 1).clamp(0, height - 1)
        for b in range(4):
            column = (corner[..., 0].long() + b - 1).clamp(0, width - 1)
            total += (weight[..., 1, a] * weight[..., 0, b])[..., None] * picture[row, column]
    return total.clamp(0, 255)


def _cubic_weights(f: torch.Tensor) -> torch.Tensor:
    f2, f3 = f * f, f * f * f
    return 0.5 * torch.stack([-f3 + 2 * f2 - f, 3 * f3 - 5 * f2 + 2, -3 * f3 + 4 * f2 + f, f3 - f2], -1)


def lay_torch(
    texture: torch.Tensor,  # (h, w, 4) straight colour and alpha, 0..255
    places: torch.Tensor,  # (H, W, 3) pixels of the texture, and depth
    zbuffer: torch.Tensor,  # (H, W) FAR where the sheet is not
    skin_depth: torch.Tensor,  # (H, W)
    fade: float,  # head units behind the skin over which the sheet fades; 0: never
    gain: float,
    opaque: bool,
    frame: torch.Tensor,  # (H, W, 4) premultiplied
) -> torch.Tensor:
    """`frame` with the sheet blended under it, (H, W, 4), as `layer_raster.lay` does in place."""
    here = zbuffer > float(FAR)
    show = torch.ones_like(zbuffer)
    if fade > 0:
        show = (2 - (skin_depth - places[..., 2]) / fade).clamp(0, 1)
    at = torch.where(here[..., None], places, torch.zeros_like(places))
    sample = cubic_torch(texture, at[..., :2])
    alpha = sample[..., 3]
    if opaque:
        window = torch.nn.functional.avg_pool2d(here.to(frame.dtype)[None], 3, 1, 1)[0]
        alpha = alpha * window
    alpha = show * (gain * alpha / 255).clamp(max=1)
    alpha = torch.where(here & (alpha > 0.002), alpha, torch.zeros_like(alpha))[..., None]
    left = 1 - frame[..., 3:]
    left = torch.where(left < float(NOTHING_LEFT), torch.zeros_like(left), left)
    return frame + left * alpha * torch.cat([sample[..., :3], torch.ones_like(alpha)], -1)
