"""The inputs of the page: which a single frame shows, and what their values become."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from real3d_portrait.app import controls
from real3d_portrait.app.limits import Limits
from real3d_portrait.app.model_source import ModelSource
from real3d_portrait.background.prompt import MODEL_VARIABLE
from real3d_portrait.controls import defaults, table
from real3d_portrait.errors import ConflictingInputsError, UnknownBackgroundError


def arguments(**values: Any) -> dict[str, Any]:
    return controls.pipeline_arguments({"background": "keep", "face": 0, **values})


def test_a_frame_shows_what_does_not_move() -> None:
    with gr.Blocks():
        shown = controls.still(controls.settings(ModelSource()))
    assert set(shown) == {
        "mouth_amplitude", "expression_scale", "yaw", "pitch", "roll", "zoom", "background_fit", "size", "face", "seed",
        "badge",
    }  # fmt: skip


def test_words_a_file_and_a_choice_become_one_background() -> None:
    assert arguments(background="teal")["background"] == "#008080"
    assert arguments(background="blur", background_file="/uploads/a.png")["background"] == "/uploads/a.png"
    assert arguments(background_prompt=" a beach ")["background"] == "prompt:a beach"
    assert arguments(background="prompt:a beach", background_prompt="")["background"] == "prompt:a beach"
    assert arguments(background_prompt="/etc/passwd")["background"] == "prompt:/etc/passwd"
    with pytest.raises(ConflictingInputsError, match="background_file and background_prompt"):
        arguments(background_prompt="a beach", background_file="/uploads/a.png")
    with pytest.raises(UnknownBackgroundError):
        arguments(background="/etc/passwd")


def test_the_file_is_what_was_asked_for_unless_it_cannot_be_seen_through() -> None:
    assert [controls.suffix("keep", kind) for kind in ("mp4", "gif")] == [".mp4", ".gif"]
    assert controls.suffix("transparent", "mp4") == ".webm"
    with pytest.raises(ConflictingInputsError):
        controls.suffix("transparent", "gif")


def test_words_are_asked_for_only_where_something_can_paint(monkeypatch: pytest.MonkeyPatch) -> None:
    def seen() -> bool:
        with gr.Blocks():
            return controls.background(Limits())["background_prompt"].visible

    monkeypatch.delenv(MODEL_VARIABLE, raising=False)
    assert seen() is False
    monkeypatch.setenv(MODEL_VARIABLE, "some/model")
    assert seen() is (find_spec("diffusers") is not None)
    monkeypatch.setenv("SPACES_ZERO_GPU", "true")
    assert seen() is False


def test_the_endpoints_take_the_controls_of_the_table() -> None:
    """Names and defaults; the recorded contract is compared with the running app in test_endpoints."""
    contract = json.loads(Path(__file__).with_name("contract.json").read_text())
    for endpoint in ("/audio_driven", "/video_driven", "/background_swap"):
        given = {p["parameter_name"]: p["parameter_default"] for p in contract[endpoint]["parameters"]}
        own = {"temperature": ModelSource().temperature, "background": given["background"]}
        assert {name: given[name] for name in table()} == defaults() | own
