"""An avatar's video, and a released avatar taken over with its data."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from real3d_portrait.er_nerf.avatar import Avatar
from real3d_portrait.er_nerf.checkpoint import to_released
from real3d_portrait.er_nerf.config import ErNerfConfig
from real3d_portrait.er_nerf.model import ErNerf
from real3d_portrait.er_nerf.recipe import import_avatar, render_avatar, speech_of
from real3d_portrait.errors import MissingInputError, ParameterChoiceError
from real3d_portrait.media.audio import Audio
from real3d_portrait.media.video import read_frames
from tests.er_nerf.synthetic_head import small_config, synthetic_data


@pytest.fixture(scope="module")
def avatar() -> Avatar:
    torch.manual_seed(0)
    return Avatar.of(ErNerf(small_config()), synthetic_data(frames=6), "synthetic")


def test_a_video_has_a_frame_for_each_window_and_the_size_asked_for(avatar: Avatar, tmp_path: Path) -> None:
    speech = synthetic_data(frames=9).speech
    counted: list[tuple[int, int]] = []
    clip = render_avatar(
        avatar, None, tmp_path / "o.mp4", speech=speech, size=35, on_frame=lambda i, n: counted.append((i, n))
    )
    assert (clip.frames, clip.width, clip.height, clip.fps) == (9, 34, 34, 25)
    assert counted[-1] == (9, 9)


def test_a_picture_may_stand_in_for_the_plate(avatar: Avatar, tmp_path: Path) -> None:
    red = tmp_path / "red.png"
    cv2.imwrite(str(red), np.full((20, 30, 3), (0, 0, 255), np.uint8))
    speech = synthetic_data(frames=2).speech
    render_avatar(avatar, None, tmp_path / "o.mp4", speech=speech, background=red)
    # An untrained avatar's grids are empty: all that is seen is the background.
    first = next(iter(read_frames(tmp_path / "o.mp4"))).pixels
    assert np.abs(first.astype(int) - [255, 0, 0]).mean() < 12


def test_what_a_rendering_needs(avatar: Avatar, tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match="--audio"):
        render_avatar(avatar, None, tmp_path / "o.mp4")
    with pytest.raises(ParameterChoiceError, match="pose"):
        render_avatar(avatar, None, tmp_path / "o.mp4", speech=np.zeros((1, 16, 6)), pose="wild")  # type: ignore[arg-type]
    with pytest.raises(ParameterChoiceError, match="synthetic"):
        speech_of(avatar, Audio(np.zeros(16000, np.float32)))
    assert not list(tmp_path.iterdir())


def test_a_released_avatar_comes_with_its_camera_and_poses(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = ErNerf(ErNerfConfig(individual_codes=2))
    state = {to_released(name): value for name, value in model.state_dict().items()}
    torch.save({"model": state, "mean_density_torso": 0.0}, tmp_path / "ngp.pth")
    matrix = np.eye(4)
    matrix[2, 3] = 0.8
    frames = [{"img_id": 0, "aud_id": 0, "transform_matrix": matrix.tolist()}]
    facts = {"focal_len": 120.0, "cx": 20.0, "cy": 16.0, "frames": frames}
    (tmp_path / "transforms_val.json").write_text(json.dumps(facts))
    cv2.imwrite(str(tmp_path / "bc.png"), np.full((32, 40, 3), 77, np.uint8))
    sources = tmp_path / "ngp.pth", tmp_path / "transforms_val.json", tmp_path / "bc.png"
    import_avatar(*sources, tmp_path / "me")
    found = Avatar.load(tmp_path / "me")
    assert (found.camera.height, found.camera.width, found.camera.focal_x) == (32, 40, 120)
    np.testing.assert_allclose(found.poses[0, :3, 3], [0, 3.2, 0], atol=1e-6)
    assert found.speech_kind == "deepspeech"
    frame = next(found.frames(np.zeros((1, 16, 29), np.float32)))
    assert (frame == 77).all()
    with pytest.raises(MissingInputError, match="the poses"):
        import_avatar(sources[0], tmp_path / "none.json", sources[2], tmp_path / "me")
