"""One app for all tests of this folder that do not need one of their own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from gradio_client import Client, handle_file

from tests.app.server import Server, serving
from tests.example_inputs import PORTRAIT, speech


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("app")) as running:
        yield running


@pytest.fixture(scope="session")
def client(server: Server) -> Client:
    return server.client()


@pytest.fixture(scope="session")
def voice(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return handle_file(speech(tmp_path_factory.mktemp("voice") / "voice.wav", 0.6))


@pytest.fixture(scope="session")
def talking(client: Client, voice: Any) -> tuple[str, dict[str, Any], Any]:
    """A video that the app made, its facts and its manifest file."""
    return client.predict(portrait=handle_file(PORTRAIT), audio=voice, consent=True, size=256, api_name="/audio_driven")
