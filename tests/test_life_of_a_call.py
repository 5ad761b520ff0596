"""The five steps by themselves: each takes what the one before gave, in place of what that was made from."""

from __future__ import annotations

import inspect
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import real3d_portrait
from real3d_portrait import Avatar, Clip, Controls, Motion, Real3DPortrait, Rendering, controls
from real3d_portrait.errors import (
    ConflictingInputsError,
    MissingInputError,
    NotAnAvatarFileError,
    OutputFolderInUseError,
    ParameterChoiceError,
    PortraitModelError,
)
from real3d_portrait.media import audio
from real3d_portrait.media.audio import Recording, read_audio
from real3d_portrait.models.compact.avatar import CompactAvatar
from real3d_portrait.models.object_file import read_object, write_object
from real3d_portrait.motion.pose_presets import PRESETS
from tests.example_inputs import PORTRAIT, speech

pytestmark = pytest.mark.slow  # whole calls

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def portraits() -> Real3DPortrait:
    return Real3DPortrait.from_pretrained("compact")


@pytest.fixture(scope="module")
def voice(tmp_path_factory: pytest.TempPathFactory) -> str:
    return speech(tmp_path_factory.mktemp("voice") / "voice.wav", 0.4)


@pytest.fixture(scope="module")
def avatar(portraits: Real3DPortrait) -> Avatar:
    return portraits.reconstruct(portraits.prepare(PORTRAIT, size=256))


@pytest.fixture(scope="module")
def motion(portraits: Real3DPortrait, voice: str) -> Motion:
    return portraits.motion_from_audio(voice, seed=3)


def test_the_steps_give_what_the_call_gives(
    portraits: Real3DPortrait, avatar: Avatar, motion: Motion, voice: str, tmp_path: Path
) -> None:
    whole = list(portraits.audio_driven(PORTRAIT, voice, size=256, seed=3, background="teal").frames)
    steps = list(portraits.render(avatar, motion, Controls(background="teal")).frames)
    assert np.array_equal(whole, steps)
    clip = portraits.write(portraits.render(avatar, motion), tmp_path / "out.mp4", audio=voice)
    assert isinstance(clip, Clip)
    assert (clip.frames, clip.width, clip.model) == (len(motion), 256, "compact")


def test_what_is_given_is_not_computed_again(
    portraits: Real3DPortrait, avatar: Avatar, motion: Motion, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    avatar.save(tmp_path / "me.avatar")
    expected = list(portraits.render(avatar, motion).frames)
    for step in ("prepare", "motion_from_audio", "motion_from_video", "reconstruct"):
        monkeypatch.setattr(portraits.model, step, lambda *_, **__: pytest.fail("computed again"))
    for source in (avatar, tmp_path / "me.avatar", str(tmp_path / "me.avatar")):
        assert np.array_equal(list(portraits.audio_driven(source, motion).frames), expected)
        assert np.array_equal(list(portraits.video_driven(source, motion).frames), expected)


def test_without_an_output_frames_sound_and_warnings_come_back(
    portraits: Real3DPortrait, avatar: Avatar, voice: str, tmp_path: Path
) -> None:
    made = portraits.audio_driven(avatar, voice, yaw=60)
    assert isinstance(made, Rendering)
    assert (made.width, made.height, made.fps, len(made), made.transparent) == (256, 256, 25, 10, False)
    assert isinstance(made.audio, Recording)
    assert made.audio.seconds == pytest.approx(0.4, abs=0.01)
    assert any("turn" in warning for warning in made.warnings)
    clip = made.save(tmp_path / "out.mp4")
    assert clip.frames == 10
    assert clip.provenance.warnings == made.warnings


def test_a_recording_is_decoded_once(
    portraits: Real3DPortrait, avatar: Avatar, voice: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[Path] = []
    before = audio._decode

    def counted(container: Any, stream: Any, path: Path) -> Any:
        decoded.append(path)
        return before(container, stream, path)

    monkeypatch.setattr(audio, "_decode", counted)
    portraits.audio_driven(avatar, voice, output=tmp_path / "out.mp4")
    assert decoded == [Path(voice)]


def test_a_callback_sees_each_frame_and_can_stop(
    portraits: Real3DPortrait, avatar: Avatar, motion: Motion, tmp_path: Path
) -> None:
    seen: list[int] = []

    def until_third(index: int, frame: np.ndarray) -> bool:
        assert frame.shape == (256, 256, 3)
        seen.append(index)
        return index < 2

    clip = portraits.video_driven(avatar, motion, output=tmp_path / "out.mp4", on_frame=until_third)
    assert seen == [0, 1, 2]
    assert clip.frames == 3


def test_a_generator_draws_the_seed(portraits: Real3DPortrait, avatar: Avatar, voice: str) -> None:
    def first(generator: torch.Generator) -> np.ndarray:
        return list(portraits.audio_driven(avatar, voice, generator=generator).frames)[-1]

    generator = torch.Generator().manual_seed(5)
    one, other = first(generator), first(generator)
    assert np.array_equal(one, first(torch.Generator().manual_seed(5)))
    assert not np.array_equal(one, other)
    with pytest.raises(ConflictingInputsError, match="seed and generator"):
        portraits.audio_driven(avatar, voice, generator=generator, seed=1)


def test_any_frames_can_be_written(portraits: Real3DPortrait, voice: str, tmp_path: Path) -> None:
    grey = (np.full((64, 96, 3), level, np.uint8) for level in (10, 200, 90))
    clip = portraits.write(grey, tmp_path / "grey.mp4", audio=read_audio(voice))
    assert (clip.frames, clip.width, clip.height) == (3, 96, 64)
    with pytest.raises(MissingInputError):
        portraits.write([], tmp_path / "none.mp4")
    assert [path.name for path in tmp_path.iterdir()] == ["grey.mp4"]


def test_an_avatar_file_holds_all_and_runs_nothing(avatar: Avatar, tmp_path: Path) -> None:
    path = tmp_path / "me.avatar"
    avatar.save(path)
    loaded = Avatar.load(path)
    assert type(loaded) is CompactAvatar
    for name in ("plate", "turns", "rotation"):
        assert np.array_equal(getattr(loaded, name), getattr(avatar, name))
    assert np.array_equal(loaded.head.hair.texture, avatar.head.hair.texture)
    assert np.array_equal(loaded.head.skin.planes.texture, avatar.head.skin.planes.texture)
    assert (loaded.portrait.source == avatar.portrait.source).all()
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(NotAnAvatarFileError, match=r"me\.avatar"):
        Avatar.load(path)
    with pytest.raises(NotAnAvatarFileError):
        Avatar.load(tmp_path / "nobody.avatar")
    with pytest.raises(TypeError, match="Path"):
        write_object(Path("x"), tmp_path / "path.avatar")


@pytest.mark.parametrize("name", ["os:system", "real3d_portrait.models.network_file:load_network", "subprocess:Popen"])
def test_an_object_file_makes_no_other_class(name: str, tmp_path: Path) -> None:
    import json

    from safetensors.numpy import save

    tree = json.dumps({"class": name, "state": {}})
    (tmp_path / "evil.avatar").write_bytes(
        save({"0000": np.zeros(1)}, {"format": "real3d-portrait objects 1", "tree": tree})
    )
    with pytest.raises(NotAnAvatarFileError):
        read_object(tmp_path / "evil.avatar", NotAnAvatarFileError)


def test_a_saved_model_loads_and_gives_the_same_frames(
    portraits: Real3DPortrait, avatar: Avatar, motion: Motion, tmp_path: Path
) -> None:
    folder = portraits.save_pretrained(tmp_path / "mine")
    again = Real3DPortrait.from_pretrained(folder, device="cpu").to("cpu", "float32")
    assert np.array_equal(next(again.render(avatar, motion).frames), next(portraits.render(avatar, motion).frames))
    with pytest.raises(OutputFolderInUseError):
        portraits.save_pretrained(folder)
    with pytest.raises(ParameterChoiceError, match="float32"):
        again.to("cpu", "bfloat16")
    with pytest.raises(ParameterChoiceError, match="auto, cpu, cuda"):
        again.to("tpu")


def test_an_avatar_of_another_model_is_refused(portraits: Real3DPortrait, avatar: Avatar, motion: Motion) -> None:
    other = Avatar(model="other", size=256, plate=avatar.plate, portrait=avatar.portrait)
    with pytest.raises(PortraitModelError, match="compact"):
        portraits.render(other, motion)


def test_controls_are_one_table() -> None:
    assert list(controls.table()) == [field.name for field in fields(Controls)]
    assert set(controls.ControlKeywords.__annotations__) == set(controls.table())
    declared = {field.name: field.type for field in fields(Controls)}
    assert {name: hint.__forward_arg__ for name, hint in controls.ControlKeywords.__annotations__.items()} == declared
    assert tuple(PRESETS) == controls.PRESET_NAMES
    for name, control in controls.table().items():
        assert control.help.endswith("."), name
        assert control.choices or control.metavar or control.low is not None, name


def test_the_table_of_the_usage_page_is_that_of_the_controls() -> None:
    page = (ROOT / "docs" / "usage.md").read_text()
    assert controls.markdown() in page, f"docs/usage.md has to hold:\n{controls.markdown()}"


def test_public_names_are_documented_with_a_way_to_make_one() -> None:
    for name in real3d_portrait.__all__:
        assert inspect.getdoc(getattr(real3d_portrait, name)), name
    for step in ("prepare", "motion_from_audio", "motion_from_video", "reconstruct", "render", "write"):
        text = inspect.getdoc(getattr(Real3DPortrait, step)) or ""
        assert "Example:" in text, step


def test_no_signature_takes_anything(portraits: Real3DPortrait) -> None:
    for name, method in inspect.getmembers(Real3DPortrait, inspect.isfunction):
        for parameter in inspect.signature(method).parameters.values():
            if parameter.kind is parameter.VAR_KEYWORD:
                assert "Unpack[" in str(parameter.annotation), f"{name}(**{parameter.name})"
