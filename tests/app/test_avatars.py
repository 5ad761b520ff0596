"""Personal avatars in the app: offered by name, rendered in place of a photo, damaged ones told of."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gradio_client import Client
from gradio_client.exceptions import AppError, ValidationError
from PIL import Image

from real3d_portrait.app.avatars import VARIABLE, Avatars
from real3d_portrait.er_nerf.rendering.avatar import AvatarCorruptError
from real3d_portrait.er_nerf.rendering.model import ErNerf
from real3d_portrait.er_nerf.rendering.speech_features import HIDDEN_LAYER_KIND
from real3d_portrait.er_nerf.training.recipe import trained_avatar
from real3d_portrait.errors import ParameterChoiceError
from real3d_portrait.provenance.keys import FOLDER as KEY_FOLDER
from real3d_portrait.provenance.verify import Marking, verify
from tests.app.pages import page
from tests.app.server import Server, frames, serving
from tests.er_nerf.synthetic_head import small_config, synthetic_data

pytestmark = pytest.mark.slow  # a running app


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two avatars, one of them damaged, and something else."""
    folder = tmp_path_factory.mktemp("avatars")
    torch.manual_seed(0)
    avatar = trained_avatar(
        ErNerf(replace(small_config(), audio_channels=80)), synthetic_data(frames=6), HIDDEN_LAYER_KIND
    )
    avatar.save(folder / "Anna")
    avatar.save(folder / "Bert")
    (folder / "Bert" / "weights.safetensors").write_bytes(b"half")
    (folder / "holiday").mkdir()
    return folder


@pytest.fixture(scope="module")
def server(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("app"), **{VARIABLE: str(folder)}) as running:
        yield running


@pytest.fixture(scope="module")
def client(server: Server) -> Client:
    return server.client()


def test_only_listed_names_lead_to_folders(folder: Path) -> None:
    avatars = Avatars(folder)
    assert avatars.names == ["Anna", "Bert"]
    assert avatars.load("Anna") is avatars.load("Anna")
    for name in ("holiday", "../Anna", str(folder / "Anna"), ""):
        with pytest.raises(ParameterChoiceError, match="Anna, Bert"):
            avatars.load(name)
    with pytest.raises(AvatarCorruptError, match="'Bert' is damaged") as told:
        avatars.load("Bert")
    assert str(folder) not in str(told.value)
    assert Avatars(None).names == Avatars(folder / "none").names == []


def test_an_avatar_speaks_without_a_photo(
    server: Server, client: Client, voice: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    video, facts, _ = client.predict(
        avatar="Anna", audio=voice, background="lime", badge=True, consent=True, api_name="/audio_driven"
    )
    shown = frames(video)
    assert shown.shape == (15, 48, 48, 3)
    assert (facts["frames"], facts["model"], facts["warnings"]) == (15, "er-nerf", [])
    # An untrained avatar shows nothing but what is behind it.
    assert np.abs(shown[7, 2, 2].astype(int) - (0, 255, 0)).max() < 12
    monkeypatch.setenv(KEY_FOLDER, str(server.log.with_name("keys")))
    assert verify(video).marking is Marking.OURS


def test_its_background_is_swapped_and_one_frame_previewed(client: Client, voice: Any) -> None:
    video, _, manifest = client.predict(
        avatar="Anna", audio=voice, background="transparent", pose="static", consent=True, api_name="/background_swap"
    )
    assert video.endswith(".webm")
    assert manifest is not None
    picture, facts = client.predict(avatar="Anna", audio=voice, consent=True, api_name="/preview_frame")
    assert Image.open(picture).size == (48, 48)
    assert facts["frames"] == 1


def test_what_an_avatar_cannot_do_is_told(client: Client, voice: Any) -> None:
    for wrong, error, part in (
        ({"avatar": "Bert"}, AppError, "'Bert' is damaged"),
        ({"avatar": "Anna", "yaw": 10}, AppError, "cannot follow yaw"),
        ({"avatar": "Anna", "pose": "lively"}, AppError, "cannot follow pose"),
        ({"avatar": "holiday"}, ValidationError, "avatar is 'holiday' but must be one of Anna, Bert"),
        ({"avatar": ""}, ValidationError, "Nothing was given for portrait"),
        ({"avatar": "Anna", "consent": False}, ValidationError, "Consent"),
    ):
        with pytest.raises(error, match=part):
            client.predict(**{"audio": voice, "consent": True, **wrong, "api_name": "/audio_driven"})


def test_the_page_asks_who_speaks(server: Server) -> None:
    with page(server.url) as opened:
        who = opened.get_by_label("Who speaks").locator("visible=true")
        assert who.input_value() == "The photo"
        who.click()
        opened.get_by_role("option", name="Anna").click()
        assert who.input_value() == "Anna"
        opened.get_by_role("button", name="A personal avatar").click()
        opened.get_by_text("avatar train --video", exact=False).wait_for()
