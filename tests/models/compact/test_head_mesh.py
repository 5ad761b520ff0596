"""The head of the example photo as a mesh, as a GLB file holds it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from real3d_portrait.face.landmarks import CHIN, NOSE_BELOW_TIP, NOSE_TIP
from real3d_portrait.media.glb import glb
from real3d_portrait.models.compact.avatar import CompactAvatar
from real3d_portrait.models.compact.head_mesh import head_mesh
from real3d_portrait.portrait.compact import CompactPortrait
from tests.media.test_glb import parsed, texture, values


@dataclass(frozen=True)
class ReadMesh:
    """As read back: vertices (N, 3), uv (N, 2) in 0..1, faces (F, 3), picture (H, W, 4)."""

    vertices: np.ndarray
    uv: np.ndarray
    faces: np.ndarray
    picture: np.ndarray

    @property
    def pixels(self) -> np.ndarray:
        """(N, 2) places of the picture."""
        return self.uv * self.picture.shape[1::-1]

    @property
    def normals(self) -> np.ndarray:
        a, b, c = self.vertices[self.faces].swapaxes(0, 1)
        return np.cross(b - a, c - a)

    def colour(self, place: np.ndarray) -> np.ndarray:
        column, row = place.astype(int)
        return self.picture[row, column]


@pytest.fixture(scope="module")
def mesh(avatar: CompactAvatar) -> ReadMesh:
    document, body = parsed(glb(head_mesh(avatar)))
    vertices, uv, faces = (values(document, body, index) for index in range(3))
    return ReadMesh(vertices, uv, faces.reshape(-1, 3), texture(document, body))


def test_every_vertex_is_used_and_has_a_place_in_the_picture(mesh: ReadMesh) -> None:
    assert (np.unique(mesh.faces) == np.arange(len(mesh.vertices))).all()
    assert mesh.uv.min() >= 0
    assert mesh.uv.max() <= 1


def test_the_tip_of_the_nose_shows_what_the_photo_shows_there(mesh: ReadMesh, person: CompactPortrait) -> None:
    nose = mesh.vertices[:, 2].argmax()  # the frontmost vertex
    in_photo = person.landmarks[[NOSE_BELOW_TIP, NOSE_TIP], :2].mean(0)
    assert mesh.pixels[nose] - person.margin == pytest.approx(in_photo, abs=8)
    shown = mesh.colour(mesh.pixels[nose])[:3].astype(int)
    column, row = in_photo.astype(int)
    assert np.abs(shown - person.image[row, column]).max() < 40


def test_the_first_chart_is_the_photo(mesh: ReadMesh, person: CompactPortrait) -> None:
    m, size = person.margin, len(person.image)
    chart = mesh.picture[m : m + size, m : m + size]
    assert (chart[..., :3] == person.foreground).all()
    assert (chart[..., 3] == 255).all()


def test_it_is_a_whole_head(mesh: ReadMesh, avatar: CompactAvatar) -> None:
    low, high = mesh.vertices.min(0), mesh.vertices.max(0)
    face = avatar.head.neutral
    assert low[2] < face[:, 2].min() - 0.4  # its back
    assert high[1] > face[:, 1].max() + 0.1  # its crown
    assert low[1] < face[CHIN, 1] - 0.05  # some neck
    assert (high - low)[0] > 1.3 * np.ptp(face[:, 0])


def test_triangles_are_seen_from_outside(mesh: ReadMesh, avatar: CompactAvatar) -> None:
    """glTF: counter-clockwise."""
    centre = mesh.vertices[mesh.faces].mean(1)
    front = centre[:, 2] > 0.2
    assert (mesh.normals[front, 2] > 0).mean() > 0.95
    back = centre[:, 2] < -0.45
    assert back.any()
    hair = len(avatar.head.hair.faces)
    assert (mesh.normals[-hair:] @ avatar.head.camera.rotation[2] > 0).mean() > 0.95  # a sheet towards the photo
    skin = np.arange(len(back)) < len(back) - hair
    assert (mesh.normals[back & skin, 2] < 0).mean() > 0.9


def test_what_the_photo_hides_has_the_planes_colours(mesh: ReadMesh, avatar: CompactAvatar) -> None:
    """Vertices of the skull's back look at the second and third chart."""
    width = avatar.head.colours.shape[1]
    skin = mesh.faces[: -len(avatar.head.hair.faces)]
    back = np.unique(skin[mesh.vertices[skin].mean(1)[:, 2] < -0.4])
    assert (mesh.pixels[back, 0] > width).all()
    for left in (True, False):
        side = back[(mesh.vertices[back, 0] < -0.15) if left else (mesh.vertices[back, 0] > 0.15)]
        column = mesh.pixels[side, 0] - width
        assert ((column < 320) == left).all()
