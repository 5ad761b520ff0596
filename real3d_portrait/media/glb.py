"""A textured triangle mesh as one binary glTF 2.0 file (GLB), as 3-D viewers and gradio's Model3D read it.

The picture already holds its light, so the material is unlit (KHR_materials_unlit; viewers without it shine a lamp).
"""

from __future__ import annotations

import io
import json
import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from real3d_portrait.arrays import Float32Array, UInt8Array
from real3d_portrait.errors import output_error
from real3d_portrait.media.clip import STATEMENT

_JSON, _BIN = 0x4E4F534A, 0x004E4942
_FLOAT, _UINT = 5126, 5125
_VERTICES, _INDICES = 34962, 34963


@dataclass(frozen=True)
class TexturedMesh:
    """
    Attributes:
        vertices: (N, 3) float32, right-handed, y up, the front towards +z.
        faces: (F, 3) vertex indices, counter-clockwise seen from outside.
        uv: (N, 2) float32 places of the texture in 0..1, from its top left corner.
        texture: (H, W, 3) uint8, or (H, W, 4) with alpha, under half of which nothing is shown.
    """

    vertices: Float32Array
    faces: NDArray[np.integer]
    uv: Float32Array
    texture: UInt8Array


def write_glb(mesh: TexturedMesh, path: str | os.PathLike[str]) -> None:
    """Write a .glb file; Raises what `output_error` makes of an OSError."""
    try:
        Path(path).write_bytes(glb(mesh))
    except OSError as error:
        raise output_error(error, path) from error


def glb(mesh: TexturedMesh) -> bytes:
    """The bytes of the file: header, JSON chunk, binary chunk (glTF 2.0 specification, section 4)."""
    vertices, uv = (np.ascontiguousarray(a, "<f4") for a in (mesh.vertices, mesh.uv))
    faces = np.ascontiguousarray(mesh.faces, "<u4")
    picture = io.BytesIO()
    Image.fromarray(mesh.texture).save(picture, "PNG")
    parts = [vertices.tobytes(), uv.tobytes(), faces.tobytes(), picture.getvalue()]
    targets = [_VERTICES, _VERTICES, _INDICES, None]
    views, body = [], b""
    for part, target in zip(parts, targets, strict=True):
        views.append({"buffer": 0, "byteOffset": len(body), "byteLength": len(part)})
        if target is not None:
            views[-1]["target"] = target
        body += part + b"\0" * (-len(part) % 4)
    material = {
        "pbrMetallicRoughness": {"baseColorTexture": {"index": 0}, "metallicFactor": 0, "roughnessFactor": 1},
        "doubleSided": True,
        "extensions": {"KHR_materials_unlit": {}},
    }
    if mesh.texture.shape[2] == 4:
        material |= {"alphaMode": "MASK", "alphaCutoff": 0.5}
    document: dict[str, Any] = {
        "asset": {"version": "2.0", "generator": "real3d-portrait", "extras": {"description": STATEMENT}},
        "extensionsUsed": ["KHR_materials_unlit"],
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0, "name": "head"}],
        "meshes": [
            {"primitives": [{"attributes": {"POSITION": 0, "TEXCOORD_0": 1}, "indices": 2, "material": 0, "mode": 4}]}
        ],
        "materials": [material],
        "textures": [{"source": 0, "sampler": 0}],
        "samplers": [{"magFilter": 9729, "minFilter": 9987, "wrapS": 33071, "wrapT": 33071}],
        "images": [{"bufferView": 3, "mimeType": "image/png"}],
        "accessors": [
            _accessor(0, _FLOAT, len(vertices), "VEC3")
            | {"min": vertices.min(0).tolist(), "max": vertices.max(0).tolist()},
            _accessor(1, _FLOAT, len(uv), "VEC2"),
            _accessor(2, _UINT, faces.size, "SCALAR"),
        ],
        "bufferViews": views,
        "buffers": [{"byteLength": len(body)}],
    }
    text = json.dumps(document, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    chunks = struct.pack("<II", len(text), _JSON) + text + struct.pack("<II", len(body), _BIN) + body
    return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks


def _accessor(view: int, kind: int, count: int, shape: str) -> dict[str, Any]:
    return {"bufferView": view, "componentType": kind, "count": count, "type": shape}
