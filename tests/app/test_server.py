"""What the server cleans up by itself."""

from __future__ import annotations

import time
from pathlib import Path

import gradio as gr
import pytest
from gradio.route_utils import delete_files_created_by_app

from real3d_portrait.app.server import _Files

pytestmark = pytest.mark.slow


def test_old_files_of_the_cache_are_deleted_whoever_made_them(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "old.mp4").write_bytes(b"1")
    time.sleep(4.2)
    (tmp_path / "new.mp4").write_bytes(b"2")
    with gr.Blocks(analytics_enabled=False) as app:
        pass
    app.temp_file_sets.append(_Files(tmp_path))
    delete_files_created_by_app(app, 4)
    assert [path.name for path in tmp_path.rglob("*.mp4")] == ["new.mp4"]
    delete_files_created_by_app(app, None)
    assert list(tmp_path.rglob("*.mp4")) == []
