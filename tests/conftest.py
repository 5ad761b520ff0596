"""Tests sign with a key of their own, never with the user's."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="session", autouse=True)
def _signing_keys(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("keys")
    before = os.environ.get("REAL3D_KEY_FOLDER")
    os.environ["REAL3D_KEY_FOLDER"] = str(folder)
    yield folder
    if before is None:
        del os.environ["REAL3D_KEY_FOLDER"]
    else:
        os.environ["REAL3D_KEY_FOLDER"] = before
