"""Values as programs and language models send them."""

from __future__ import annotations

from typing import Any

import gradio as gr
import pytest
from gradio.components import Component

from real3d_portrait.app.values import understood
from real3d_portrait.errors import InputError

SIZE = gr.Radio([("256", 256), ("512", 512), ("Whole photo", "source")], value=512)
FORMAT = gr.Radio([("MP4", "mp4"), ("GIF", "gif")], value="mp4")
BACKGROUND = gr.Dropdown(["keep", "blur"], value="keep", allow_custom_value=True)
AVATAR = gr.Dropdown([("The photo", "")], value=None)
YAW = gr.Slider(-45, 45, value=0, step=1)
SEED = gr.Number(value=0, precision=0, minimum=0)
CONSENT = gr.Checkbox(value=False)
WORDS = gr.Textbox(value="")


@pytest.mark.parametrize(
    ("name", "component", "value", "meant"),
    [
        ("size", SIZE, 256, 256),
        ("size", SIZE, "256", 256),
        ("size", SIZE, 256.0, 256),
        ("size", SIZE, "source", "source"),
        ("size", SIZE, None, 512),
        ("format", FORMAT, "GIF", "gif"),
        ("background", BACKGROUND, "white", "white"),
        ("background", BACKGROUND, None, "keep"),
        ("avatar", AVATAR, "", None),
        ("avatar", AVATAR, None, None),
        ("yaw", YAW, "-15", -15),
        ("yaw", YAW, 12.5, 12.5),
        ("seed", SEED, "7", 7),
        ("seed", SEED, 7.0, 7),
        ("consent", CONSENT, True, True),
        ("consent", CONSENT, "True", True),
        ("consent", CONSENT, "false", False),
        ("consent", CONSENT, None, False),
        ("background_prompt", WORDS, "a beach", "a beach"),
    ],
)
def test_what_is_meant_is_understood(name: str, component: Component, value: Any, meant: Any) -> None:
    got = understood(name, component, value)
    assert got == meant
    assert type(got) is type(meant)


@pytest.mark.parametrize(
    ("name", "component", "value", "reason"),
    [
        ("size", SIZE, 300, "size is '300' but must be one of 256, 512, source"),
        ("size", SIZE, True, "size is 'True'"),
        ("format", FORMAT, "avi", "one of mp4, gif"),
        ("background", BACKGROUND, 7, "background is '7' but must be text"),
        ("avatar", AVATAR, "bob", "avatar is 'bob' but must be left out"),
        ("yaw", YAW, 90, "yaw is 90 but must lie between -45 and 45"),
        ("yaw", YAW, "far", "yaw is 'far' but must be a number"),
        ("yaw", YAW, "nan", "must be a number"),
        ("yaw", YAW, True, "must be a number"),
        ("yaw", YAW, [1], "must be a number"),
        ("seed", SEED, 1.5, "must be a whole number"),
        ("seed", SEED, -1, "seed is -1 but must lie between 0"),
        ("seed", SEED, 2**63, "must lie between"),
        ("consent", CONSENT, "yes", "consent is 'yes' but must be true or false"),
        ("consent", CONSENT, 1, "true or false"),
        ("background_prompt", WORDS, {"a": 1}, "must be text"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_name(name: str, component: Component, value: Any, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        understood(name, component, value)
