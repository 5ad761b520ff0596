"""The app as a language model meets it: the official client of the Model Context Protocol."""

from __future__ import annotations

import asyncio
import base64
import json
import urllib.request
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest

from tests.app.server import Server, frames, uploaded
from tests.example_inputs import PORTRAIT, speech

pytest.importorskip("mcp")
pytestmark = pytest.mark.slow  # a running app

T = TypeVar("T")


def spoken_to(server: Server, talk: Callable[[Any], Coroutine[Any, Any, T]]) -> T:
    """What a conversation with the server gives."""
    from mcp import ClientSession
    from mcp.client.streamable_http import streamablehttp_client

    async def session() -> T:
        async with (
            streamablehttp_client(f"{server.url}/gradio_api/mcp/") as (reader, writer, _),
            ClientSession(reader, writer) as opened,
        ):
            await opened.initialize()
            return await talk(opened)

    return asyncio.run(session())


def call(server: Server, tool: str, heard: list[str] | None = None, **arguments: Any) -> Any:
    async def progress(done: float, total: float | None, message: str | None) -> None:
        assert heard is not None
        heard.append(message or "")

    following: dict[str, Any] = {} if heard is None else {"progress_callback": progress}
    return spoken_to(server, lambda session: session.call_tool(tool, arguments, **following))


def refusal(server: Server, tool: str, **arguments: Any) -> str:
    answer = call(server, tool, **arguments)
    assert answer.isError
    return " ".join(content.text for content in answer.content)


def data_url(path: str, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(Path(path).read_bytes()).decode()}"


PHOTO = data_url(PORTRAIT, "image/jpeg")


def test_the_tools_say_what_they_need_in_the_products_own_words(server: Server) -> None:
    async def listed(session: Any) -> dict[str, Any]:
        return {tool.name: tool for tool in (await session.list_tools()).tools}

    tools = spoken_to(server, listed)
    schema = tools["audio_driven"].inputSchema
    assert set(schema["required"]) == {"portrait", "audio", "consent"}
    assert schema["properties"]["size"]["enum"] == [256, 512, "source"]
    assert "enum" not in schema["properties"]["background"]
    assert (schema["properties"]["yaw"]["minimum"], schema["properties"]["yaw"]["maximum"]) == (-45, 45)
    assert "data URL" in schema["properties"]["portrait"]["description"]
    assert "upload_file_to_gradio" not in tools["audio_driven"].description


def test_a_video_is_made_end_to_end(server: Server, tmp_path: Path) -> None:
    # A file of this app, a data URL, and values as models write them.
    said: list[str] = []
    voice = data_url(speech(tmp_path / "voice.wav", 0.4), "audio/wav")
    answer = call(
        server, "audio_driven", said, portrait=uploaded(server, PORTRAIT), audio=voice, consent=True, size=256,
        background="white", yaw="5",
    )  # fmt: skip
    assert not answer.isError, answer.content
    address, facts = (content.text for content in answer.content)
    assert (json.loads(facts)["frames"], json.loads(facts)["width"]) == (10, 256)
    assert any("frames/s" in text or "queue" in text for text in said)
    urllib.request.urlretrieve(address, tmp_path / "talking.mp4")
    shown = frames(str(tmp_path / "talking.mp4"))
    assert shown.shape == (10, 256, 256, 3)
    assert np.abs(shown[5, 2, 2].astype(int) - 255).max() < 8


def test_pictures_come_as_pictures(server: Server) -> None:
    seen = call(server, "preview_frame", portrait=PHOTO, consent=True, size="256", badge="true")
    assert [content.type for content in seen.content] == ["image", "text", "text"]
    assert json.loads(seen.content[2].text)["width"] == 256
    looked = call(server, "inspect_portrait", portrait=PHOTO, face="1")
    assert json.loads(looked.content[-1].text)["usable"]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"consent": None}, "Consent is missing: confirm that the person shown agreed"),
        ({"consent": "false"}, "Consent is missing"),
        ({"consent": "maybe"}, "consent is 'maybe' but must be true or false"),
        ({"portrait": None}, "Nothing was given for portrait"),
        ({"size": 300}, "size is '300' but must be one of 256, 512, source"),
        ({"colour": "red"}, "There is no parameter 'colour' at /preview_frame"),
        ({"background": "whit"}, "The background 'whit' is not known"),
        ({"portrait": "/etc/passwd"}, "portrait is '/etc/passwd' but must be a file"),
        ({"portrait": "http://127.0.0.1:9/me.jpg"}, "which does not lie on the public web"),
    ],
)
def test_a_refusal_is_an_answer_that_can_be_read(server: Server, changes: dict[str, Any], reason: str) -> None:
    asked = {"portrait": PHOTO, "consent": True, "size": 256, **changes}
    given = {name: value for name, value in asked.items() if value is not None}
    assert reason in refusal(server, "preview_frame", **given)


def test_an_unknown_tool_is_answered_with_the_known_ones(server: Server) -> None:
    assert "inspect_portrait" in refusal(server, "make_video")
