"""Import of released avatars."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from real3d_portrait.er_nerf.config import ErNerfConfig
from real3d_portrait.er_nerf.rendering.avatar import Avatar, AvatarFolderError
from real3d_portrait.er_nerf.rendering.model import ErNerf
from real3d_portrait.er_nerf.rendering.released_avatar import TransformsError, import_avatar
from real3d_portrait.er_nerf.rendering.released_checkpoint import to_released
from real3d_portrait.errors import MissingInputError

Sources = tuple[Path, Path, Path]


def facts() -> dict[str, object]:
    matrix = np.eye(4)
    matrix[2, 3] = 0.8
    frames = [{"img_id": 0, "aud_id": 0, "transform_matrix": matrix.tolist()}]
    return {"focal_len": 120.0, "cx": 20.0, "cy": 16.0, "frames": frames}


@pytest.fixture
def sources(tmp_path: Path) -> Sources:
    torch.manual_seed(0)
    model = ErNerf(ErNerfConfig(individual_codes=2))
    state = {to_released(name): value for name, value in model.state_dict().items()}
    torch.save({"model": state, "mean_density_torso": 0.0}, tmp_path / "ngp.pth")
    (tmp_path / "transforms_val.json").write_text(json.dumps(facts()))
    cv2.imwrite(str(tmp_path / "bc.png"), np.full((32, 40, 3), 77, np.uint8))
    return tmp_path / "ngp.pth", tmp_path / "transforms_val.json", tmp_path / "bc.png"


def test_a_released_avatar_comes_with_its_camera_and_poses(sources: Sources, tmp_path: Path) -> None:
    import_avatar(*sources, tmp_path / "me")
    found = Avatar.load(tmp_path / "me")
    assert (found.camera.height, found.camera.width, found.camera.focal_x) == (32, 40, 120)
    np.testing.assert_allclose(found.poses[0, :3, 3], [0, 3.2, 0], atol=1e-6)
    assert found.speech_kind == "deepspeech"
    frame = next(found.frames(np.zeros((1, 16, 29), np.float32)))
    assert (frame == 77).all()
    with pytest.raises(AvatarFolderError, match="finished avatar"):
        import_avatar(*sources, tmp_path / "me")


def test_what_is_missing_or_wrong_is_named(sources: Sources, tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match="the poses"):
        import_avatar(sources[0], tmp_path / "none.json", sources[2], tmp_path / "me")
    for wrong, part in (
        ("no json", "does not say"),
        (json.dumps({**facts(), "frames": []}), "4 x 4"),
        (json.dumps({name: value for name, value in facts().items() if name != "cx"}), "cx"),
        (json.dumps({**facts(), "focal_len": 0}), "focal"),
        (json.dumps([1]), "does not say"),
    ):
        sources[1].write_text(wrong)
        with pytest.raises(TransformsError, match=part):
            import_avatar(*sources, tmp_path / "me")
    assert not (tmp_path / "me").exists()
