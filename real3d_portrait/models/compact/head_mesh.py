"""The head of a photo as a textured mesh: what the tri-planes of the compact model are made from."""

from __future__ import annotations

import numpy as np

from real3d_portrait.media.glb import TexturedMesh
from real3d_portrait.models.compact.avatar import CompactAvatar
from real3d_portrait.models.compact.head_sheet import sheet_faces

_MARGIN = 8  # clear pixels round the photo, which the texture repeats for ever outside


def head_mesh(avatar: CompactAvatar) -> TexturedMesh:
    """The face at rest with closed eyes and lips, and the rings that carry hair, ears, neck and shoulders.

    The photo's matte and borders cut off what is not the person.
    """
    size, head = avatar.size, avatar.head
    faces = sheet_faces()
    seen = ((head.uv >= 0) & (head.uv <= size)).all(1)
    faces = faces[seen[faces].any(1)]
    a, b, c = head.sheet[faces, :2].swapaxes(0, 1)
    # The sheet is a height field, so what is counter-clockwise from the front is so from outside.
    away = np.cross(b - a, c - a) < 0
    faces = np.where(away[:, None], faces[:, ::-1], faces)
    used = np.unique(faces)
    renamed = np.zeros(len(head.sheet), np.uint32)
    renamed[used] = np.arange(len(used))
    return TexturedMesh(
        vertices=head.sheet[used].astype(np.float32),
        faces=renamed[faces],
        uv=((head.uv[used] + _MARGIN) / (size + 2 * _MARGIN)).astype(np.float32),
        texture=np.pad(avatar.photo, ((_MARGIN, _MARGIN), (_MARGIN, _MARGIN), (0, 0))),
    )
