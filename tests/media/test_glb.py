"""GLB files read back by the rules of the glTF 2.0 specification."""

from __future__ import annotations

import io
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from real3d_portrait.errors import OutputNotWritableError
from real3d_portrait.media.clip import STATEMENT
from real3d_portrait.media.glb import TexturedMesh, glb, write_glb


def parsed(data: bytes) -> tuple[dict[str, Any], bytes]:
    """JSON and binary chunk; every length and alignment is checked on the way."""
    magic, version, length = struct.unpack_from("<4sII", data)
    assert (magic, version, length) == (b"glTF", 2, len(data))
    chunks, at = [], 12
    while at < length:
        size, kind = struct.unpack_from("<I4s", data, at)
        assert size % 4 == 0
        chunks.append((kind, data[at + 8 : at + 8 + size]))
        at += 8 + size
    assert at == length
    assert [kind for kind, _ in chunks] == [b"JSON", b"BIN\0"]
    document = json.loads(chunks[0][1])
    assert document["buffers"] == [{"byteLength": len(chunks[1][1])}]
    return document, chunks[1][1]


def values(document: dict[str, Any], body: bytes, index: int) -> np.ndarray:
    accessor = document["accessors"][index]
    view = document["bufferViews"][accessor["bufferView"]]
    width = {"SCALAR": 1, "VEC2": 2, "VEC3": 3}[accessor["type"]]
    kind = {5126: "<f4", 5125: "<u4"}[accessor["componentType"]]
    assert view["byteOffset"] % 4 == 0
    assert view["byteLength"] == accessor["count"] * width * 4
    return np.frombuffer(body, kind, accessor["count"] * width, view["byteOffset"]).reshape(-1, width)


def texture(document: dict[str, Any], body: bytes) -> np.ndarray:
    view = document["bufferViews"][document["images"][0]["bufferView"]]
    return np.asarray(Image.open(io.BytesIO(body[view["byteOffset"] :][: view["byteLength"]])))


@pytest.mark.parametrize("channels", [3, 4])
def test_what_is_written_is_read_back(channels: int) -> None:
    random = np.random.default_rng(0)
    mesh = TexturedMesh(
        vertices=random.normal(size=(5, 3)).astype(np.float32),
        faces=np.array([(0, 1, 2), (0, 2, 4), (3, 1, 0)]),
        uv=random.random((5, 2)).astype(np.float32),
        texture=random.integers(0, 256, (7, 9, channels), np.uint8),
    )
    document, body = parsed(glb(mesh))
    primitive = document["meshes"][0]["primitives"][0]
    position = primitive["attributes"]["POSITION"]
    assert (values(document, body, position) == mesh.vertices).all()
    assert document["accessors"][position]["min"] == pytest.approx(mesh.vertices.min(0).tolist())
    assert document["accessors"][position]["max"] == pytest.approx(mesh.vertices.max(0).tolist())
    assert (values(document, body, primitive["attributes"]["TEXCOORD_0"]) == mesh.uv).all()
    assert (values(document, body, primitive["indices"]).reshape(-1, 3) == mesh.faces).all()
    assert (texture(document, body) == mesh.texture).all()
    assert ("alphaMode" in document["materials"][0]) == (channels == 4)
    assert document["asset"]["extras"]["description"] == STATEMENT


def test_a_folder_that_is_not_there_is_an_error_that_says_so(tmp_path: Path) -> None:
    corner = TexturedMesh(
        np.eye(3, dtype=np.float32), np.array([(0, 1, 2)]), np.zeros((3, 2)), np.zeros((2, 2, 3), "u1")
    )
    with pytest.raises(OutputNotWritableError, match="gone"):
        write_glb(corner, tmp_path / "gone" / "head.glb")
    write_glb(corner, tmp_path / "head.glb")
    assert (tmp_path / "head.glb").read_bytes() == glb(corner)
