"""The app with the full model, reduced: it serves it where it is there, and says so where it is not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from gradio_client import Client, handle_file

from real3d_portrait import Motion
from real3d_portrait.app.blocks import build_app
from real3d_portrait.app.model_source import ModelSource
from real3d_portrait.media.video import probe
from real3d_portrait.motion.basel_motion import MOTION_NAME
from tests.example_inputs import PORTRAIT
from tests.full_release import write_weights

pytestmark = pytest.mark.slow  # networks of the full model


def test_the_app_serves_the_full_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REAL3D_WEIGHTS", str(write_weights(tmp_path)))
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "cache"))
    still = np.zeros((3, 3), np.float32)
    Motion(np.zeros((3, 65), np.float32), still, still, MOTION_NAME).save(tmp_path / "motion.npz")
    models = ModelSource()
    app = build_app(models)
    _, address, _ = app.launch(prevent_thread_lock=True, quiet=True, ssr_mode=False, server_name="127.0.0.1")
    try:
        answer = Client(address, download_files=tmp_path, verbose=False).predict(
            portrait=handle_file(PORTRAIT),
            motion=handle_file(str(tmp_path / "motion.npz")),
            size=256,
            consent=True,
            api_name="/video_driven",
        )
    finally:
        app.close()
    video = answer if isinstance(answer, str) else answer[0]
    assert probe(video).frames == 3
    assert (models.load().name, models.notice) == ("real3d-portrait", "")


def test_without_its_weights_the_compact_model_serves_and_the_page_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REAL3D_WEIGHTS", str(tmp_path / "nothing"))
    models = ModelSource()
    assert models.load().name == "compact"
    assert "compact model works instead" in models.notice
    assert str(tmp_path) not in models.notice
    assert models.notice in str(build_app(models).get_config_file())
