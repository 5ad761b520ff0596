"""Backgrounds from words, painted by a tiny diffusers pipeline with random weights."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from real3d_portrait import Motion, Real3DPortrait
from real3d_portrait.background.background import Background
from real3d_portrait.background.painter import PromptPainter
from real3d_portrait.background.prompt import MODEL_VARIABLE
from real3d_portrait.errors import (
    MissingInputError,
    ParameterRangeError,
    PromptExtraMissingError,
    PromptModelError,
    PromptModelUnsetError,
)
from tests.background.tiny_diffusion import write_tiny_diffusion

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Stable Diffusion of a few thousand weights that paints 64 x 64 pixels, saved as hub models are."""
    pytest.importorskip("diffusers", reason="the extra 'prompt' is not installed")
    return write_tiny_diffusion(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def painter(tiny: Path) -> PromptPainter:
    return PromptPainter(tiny, "cpu")


@pytest.mark.slow
def test_words_become_a_picture_of_the_size_asked_for(painter: PromptPainter) -> None:
    picture = painter.paint("a beach at dusk", 96, 48, steps=2)
    assert picture.shape == (48, 96, 3)
    assert picture.dtype == np.uint8
    assert picture.std() > 1
    frame = next(Background.parse(picture).frames(np.zeros((48, 96, 3), np.uint8)))
    assert (frame == picture).all()


@pytest.mark.slow
def test_seed_and_words_decide_the_picture(painter: PromptPainter) -> None:
    first = painter.paint("a beach", 64, 64, seed=1, steps=2)
    assert (painter.paint("  a\nbeach ", 64, 64, seed=1, steps=2) == first).all()
    assert (painter.paint("a beach", 64, 64, seed=2, steps=2) != first).any()
    assert (painter.paint("a forest", 64, 64, seed=1, steps=2) != first).any()


def test_the_environment_names_the_model(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MODEL_VARIABLE, str(tiny))
    assert PromptPainter(device="cpu").paint("a beach", 64, 64, steps=1).shape == (64, 64, 3)


@pytest.mark.slow
def test_a_spec_names_the_words_and_a_clip_is_painted_once(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MODEL_VARIABLE, str(tiny))
    background = Background.parse("Prompt: a Beach  at dusk", "contain", seed=3)
    assert (background.kind, background.prompt, background.transparent) == ("prompt", "a Beach at dusk", False)
    steps: list[tuple[int, int]] = []
    painted = background.painted(96, 48, "cpu", lambda done, total: steps.append((done, total)))
    assert (painted.kind, painted.fit) == ("image", "contain")
    assert steps == [(number, 50) for number in range(1, 51)]
    expected = PromptPainter(tiny, "cpu").paint("a Beach at dusk", 96, 48, seed=3)
    assert painted.image is not None
    assert (painted.image == expected).all()
    assert painted.painted(20, 20) is painted


@pytest.mark.slow
def test_words_stand_behind_a_portrait(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.example_inputs import PORTRAIT

    monkeypatch.setenv(MODEL_VARIABLE, str(tiny))
    portraits = Real3DPortrait.from_pretrained("compact", device="cpu")
    sizes = portraits.model.face_model.n_expression, 3, 3
    still = Motion(*(np.zeros((2, n), np.float32) for n in sizes), face_model=portraits.model.face_model.name)
    stages = []
    frames = list(
        portraits.stream_background_swap(
            portrait=PORTRAIT, driving=still, background="prompt:a beach", size=256, seed=2,
            progress=lambda now: stages.append(now.stage),
        )
    )  # fmt: skip
    painted = PromptPainter(tiny, "cpu").paint("a beach", 256, 256, seed=2)
    assert (frames[1][:8, :8] == painted[:8, :8]).all()
    assert stages.index("painting the background") < stages.index("rendering")


def test_what_cannot_be_painted_is_said_before_anything_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(MODEL_VARIABLE, raising=False)
    with pytest.raises(PromptModelUnsetError, match=MODEL_VARIABLE):
        Background.parse("prompt:a beach")
    with pytest.raises(MissingInputError, match="prompt"):
        Background.parse("prompt: ")
    monkeypatch.setenv(MODEL_VARIABLE, str(tmp_path))
    monkeypatch.setitem(sys.modules, "diffusers", None)
    with pytest.raises(PromptExtraMissingError):
        Background.parse("prompt:a beach")


def test_no_words_and_too_many_are_refused_before_anything_loads() -> None:
    painter = PromptPainter("no/such-model")
    with pytest.raises(MissingInputError, match="beach"):
        painter.paint(" \n", 64, 64)
    with pytest.raises(ParameterRangeError, match="301"):
        painter.paint("x" * 301, 64, 64)


def test_a_model_that_is_not_named_or_not_there_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("diffusers", reason="the extra 'prompt' is not installed")
    monkeypatch.delenv(MODEL_VARIABLE, raising=False)
    with pytest.raises(PromptModelUnsetError, match=MODEL_VARIABLE):
        PromptPainter().paint("a beach", 64, 64)
    with pytest.raises(PromptModelError, match="empty-folder"):
        PromptPainter(tmp_path / "empty-folder").paint("a beach", 64, 64)


def test_without_the_extra_the_message_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "diffusers", None)
    with pytest.raises(PromptExtraMissingError, match=r"real3d-portrait\[prompt\]"):
        PromptPainter("any/model").paint("a beach", 64, 64)


def test_importing_it_loads_neither_diffusers_nor_torch() -> None:
    code = "import sys, real3d_portrait.background.painter; print({'torch', 'diffusers'} & set(sys.modules))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert shown.stdout.strip() == "set()"
