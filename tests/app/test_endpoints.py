"""The endpoints as a script meets them: a real server, called with Gradio's own client."""

from __future__ import annotations

import json
import re
import time
import urllib.request
from dataclasses import fields
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import numpy as np
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError, ValidationError
from PIL import Image

from real3d_portrait.controls import Controls, table
from real3d_portrait.motion.motion import Motion
from real3d_portrait.provenance.keys import FOLDER as KEY_FOLDER
from real3d_portrait.provenance.verify import Marking, verify
from real3d_portrait.resources import resource
from tests.app.server import ENDPOINTS, Server, frames, uploaded
from tests.example_inputs import PORTRAIT

pytestmark = pytest.mark.slow  # a running app

VIDEOS = ("/audio_driven", "/video_driven", "/background_swap")
CONTRACT = Path(__file__).with_name("contract.json")


def test_the_recorded_contract_holds(client: Client) -> None:
    """Names, types and defaults that programs rely on; a wanted change is recorded in contract.json."""
    endpoints = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
    assert tuple(sorted(endpoints)) == ENDPOINTS
    now = {name: _contract(endpoint) for name, endpoint in sorted(endpoints.items())}
    assert now == json.loads(CONTRACT.read_text())


def test_the_defaults_are_those_of_python(client: Client) -> None:
    endpoints = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
    for name in VIDEOS:
        defaults = {p["parameter_name"]: p["parameter_default"] for p in endpoints[name]["parameters"]}
        assert defaults["consent"] is None  # it has none
        assert 0 < defaults["temperature"] < 2
        for field in fields(Controls):
            differs = ("progress", "temperature", *(["background"] if name == "/background_swap" else []))
            if field.name in defaults and field.name not in differs:
                assert defaults[field.name] == field.default, (name, field.name)


@pytest.mark.parametrize("endpoint", [*VIDEOS, "/preview_frame"])
def test_nothing_is_made_without_consent(client: Client, endpoint: str) -> None:
    asked = {"portrait": handle_file(PORTRAIT), "api_name": endpoint}
    if endpoint == "/audio_driven":
        asked["audio"] = None
    with pytest.raises(ValidationError, match="Consent is missing"):
        client.predict(**asked, consent=False)
    with pytest.raises(TypeError, match="required argument: consent"):
        client.predict(**asked)


@pytest.mark.parametrize(
    ("endpoint", "needed"),
    [
        ("/audio_driven", {"portrait", "audio", "consent"}),
        ("/video_driven", {"portrait", "consent"}),
        ("/background_swap", {"consent"}),
        ("/preview_frame", {"portrait", "consent"}),
        ("/inspect_portrait", {"portrait"}),
    ],
)
def test_the_api_says_what_is_required_in_the_products_own_words(
    client: Client, endpoint: str, needed: set[str]
) -> None:
    parameters = client.view_api(return_format="dict", print_info=False)["named_endpoints"][endpoint]["parameters"]
    assert {p["parameter_name"] for p in parameters if not p["parameter_has_default"]} == needed
    for parameter in parameters:
        told = parameter["python_type"]["description"]
        assert told
        assert "FileData" not in told
        assert "gradio-app" not in str(parameter["example_input"])
        if parameter["parameter_name"] in ("yaw", "expression_scale", "background_fit"):
            assert told.startswith(table()[parameter["parameter_name"]].help)
    printed = client.view_api(return_format="str", print_info=False)
    assert "Gradio" not in printed
    assert "Literal[256, 512, 'source']" in printed


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"size": 300}, "size is '300' but must be one of 256, 512, source"),
        ({"yaw": 90}, "yaw is 90 but must lie between -45 and 45"),
        ({"avatar": "bob"}, "avatar is 'bob' but must be left out"),
        ({"zoom": "near"}, "zoom is 'near' but must be a number"),
        ({"background_fit": "stretch"}, "background_fit is 'stretch' but must be one of cover, contain"),
        ({"seed": -3}, "seed is -3 but must lie between 0"),
        ({"face": "left"}, "face is 'left' but must be a whole number"),
        ({"consent": "yes"}, "consent is 'yes' but must be true or false"),
        ({"portrait": "/etc/passwd"}, "portrait is '/etc/passwd' but must be a file"),
        ({"size": 300, "yaw": 90}, r"yaw: yaw is 90 .*\n- size: size is"),
    ],
)
def test_each_refusal_reaches_the_caller_as_text(client: Client, changes: dict[str, Any], reason: str) -> None:
    asked = {"portrait": handle_file(PORTRAIT), "consent": True, "api_name": "/preview_frame", **changes}
    with pytest.raises(ValidationError, match=reason):
        client.predict(**asked)


@pytest.mark.parametrize(
    ("path", "body", "status", "reason"),
    [
        ("call/v2/preview_frame", {"consent": True, "colour": "red"}, 422, "There is no parameter 'colour'"),
        ("call/v2/preview_frame", {"consent": True, "size": 300}, 422, "size is '300'"),
        ("call/v2/preview_frame", {"portrait": PORTRAIT}, 422, "portrait is"),
        ("call/v2/preview_frame", {}, 422, "Consent is missing"),
        ("call/preview_frame", {"data": [None]}, 422, "takes 18 values"),
        ("call/preview_frame", {"data": [None] * 60}, 422, "takes 18 values"),
        ("call/preview_frame", {"data": None}, 422, "takes 18 values"),
        ("call/v2/nothing", {}, 404, "There is no endpoint '/nothing'"),
        ("call/nothing", {"data": []}, 404, "There is no endpoint '/nothing'"),
    ],
)
def test_a_plain_request_is_told_what_is_wrong(
    server: Server, path: str, body: dict[str, Any], status: int, reason: str
) -> None:
    address = f"{server.url}/gradio_api/{path}"
    request = urllib.request.Request(address, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with pytest.raises(HTTPError) as answer:
        urllib.request.urlopen(request)
    assert answer.value.code == status
    wrong = [entry["message"] for entry in json.load(answer.value)["detail"] if not entry["is_valid"]]
    assert any(message.startswith(reason) or reason in message for message in wrong), wrong


def test_a_photo_from_an_address_of_this_app(client: Client, server: Server) -> None:
    crop, _, _ = client.predict(portrait=handle_file(PORTRAIT), api_name="/inspect_portrait")
    address = handle_file(uploaded(server, PORTRAIT))
    again, _, _ = client.predict(portrait=address, api_name="/inspect_portrait")
    assert Path(again).read_bytes() == Path(crop).read_bytes()


def test_speech_makes_the_photo_talk(talking: tuple[str, dict[str, Any], Any]) -> None:
    path, facts, manifest = talking
    assert frames(path).shape == (15, 256, 256, 3)
    assert (facts["frames"], facts["width"], facts["height"], facts["model"]) == (15, 256, 256, "compact")
    assert manifest is None
    assert re.fullmatch(r"audio_driven-[0-9a-f]{32}\.mp4", Path(path).name)


def test_every_result_is_marked_by_this_installation(
    server: Server, talking: tuple[str, dict[str, Any], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY_FOLDER, str(server.log.with_name("keys")))
    verdict = verify(talking[0])
    assert verdict.marking is Marking.OURS
    assert verdict.ai_generated


def test_progress_tells_the_speed_and_the_time_that_is_left(client: Client, voice: Any) -> None:
    job = client.submit(portrait=handle_file(PORTRAIT), audio=voice, consent=True, size=256, api_name="/audio_driven")
    seen = set()
    while not job.done():
        for unit in job.status().progress_data or ():
            seen.add(unit.desc)
        time.sleep(0.02)
    assert Path(job.result()[0]).is_file()
    assert any(re.fullmatch(r"rendering · [\d.]+ frames/s · \d+ s left", text or "") for text in seen)


def test_one_frame_shows_what_the_video_will(client: Client, voice: Any) -> None:
    shown = {}
    for name, changes in {"plain": {}, "turned": {"yaw": 20}, "near": {"zoom": 2}, "labelled": {"badge": True}}.items():
        path, facts = client.predict(
            portrait=handle_file(PORTRAIT), audio=voice, consent=True, size=256, background="white", **changes,
            api_name="/preview_frame",
        )  # fmt: skip
        assert facts["frames"] == 1
        shown[name] = np.asarray(Image.open(path).convert("RGB")).astype(int)
    assert shown["plain"].shape == (256, 256, 3)
    assert np.abs(shown["plain"][2, 2] - 255).max() <= 1
    assert np.abs(shown["plain"] - shown["turned"]).mean() > 2
    part = Image.fromarray(shown["plain"].astype(np.uint8)).crop((64, 59, 192, 187)).resize((256, 256))
    assert np.abs(shown["near"] - np.asarray(part)).mean() < 3
    differs = np.abs(shown["plain"] - shown["labelled"]).max(-1) > 8
    assert differs[230:, :100].any()
    assert not differs[:200].any()


def test_a_photo_is_inspected_without_consent(client: Client, tmp_path: Path) -> None:
    crop, faces, facts = client.predict(portrait=handle_file(PORTRAIT), api_name="/inspect_portrait")
    assert Image.open(crop).size == (256, 256)
    assert len(faces) == len(facts["faces"]) == 1
    assert facts["usable"]
    Image.new("RGB", (300, 300), "gray").save(tmp_path / "grey.png")
    with pytest.raises(AppError, match="No face was found"):
        client.predict(portrait=handle_file(str(tmp_path / "grey.png")), api_name="/inspect_portrait")


def test_saved_motion_drives_a_photo_and_alpha_comes_back_with_its_manifest(client: Client, tmp_path: Path) -> None:
    from real3d_portrait.face.face_model import FaceModel

    model = FaceModel.load(resource("assets", "weights", "compact", "face_model.safetensors"))
    still = np.zeros((5, 3), np.float32)
    motion = Motion(np.zeros((5, model.n_expression), np.float32), still, still, face_model=model.name)
    motion.save(tmp_path / "still.npz")
    video, facts, manifest = client.predict(
        portrait=handle_file(PORTRAIT),
        motion=handle_file(str(tmp_path / "still.npz")),
        background="transparent",
        size=256,
        consent=True,
        api_name="/video_driven",
    )
    assert video.endswith(".webm")
    assert len(frames(video)) == facts["frames"] == 5
    assert manifest.endswith(".webm.c2pa")
    assert verify(video, manifest=manifest).marking in (Marking.OURS, Marking.OTHER_KEY)


def test_a_finished_video_gets_another_background(client: Client, talking: tuple[str, dict[str, Any], Any]) -> None:
    video, _, _ = client.predict(
        video=handle_file(talking[0]), background="lime", consent=True, api_name="/background_swap"
    )
    assert np.abs(frames(video)[0, 2, 2].astype(int) - (0, 255, 0)).max() < 12


def test_a_gif_is_handed_out_with_its_mark(
    client: Client, server: Server, talking: tuple[str, dict[str, Any], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY_FOLDER, str(server.log.with_name("keys")))
    asked = {
        "portrait": handle_file(PORTRAIT), "driving": handle_file(talking[0]), "consent": True, "size": 256,
        "format": "gif", "api_name": "/video_driven",
    }  # fmt: skip
    path, facts, manifest = client.predict(**asked)
    assert path.endswith(".gif")
    assert len(frames(path)) == facts["frames"] == 15
    assert "no sound" in facts["warnings"][0]
    assert manifest is None
    assert verify(path).marking is Marking.OURS
    with pytest.raises(AppError, match="format 'gif' and a transparent background"):
        client.predict(**asked, background="transparent")


def test_words_are_refused_before_the_queue_where_nothing_paints_or_they_are_too_many(client: Client) -> None:
    asked = {"portrait": handle_file(PORTRAIT), "consent": True, "api_name": "/preview_frame"}
    with pytest.raises(ValidationError, match="REAL3D_PROMPT_MODEL is not set"):
        client.predict(**asked, background_prompt="a beach")
    with pytest.raises(ValidationError, match="length of the prompt is 301"):
        client.predict(**asked, background_prompt="x" * 301)


def test_what_a_finished_video_cannot_follow_is_said(client: Client, talking: tuple[str, dict[str, Any], Any]) -> None:
    with pytest.raises(AppError, match="video and zoom exclude each other"):
        client.predict(
            video=handle_file(talking[0]), background="lime", zoom=1.5, consent=True, api_name="/background_swap"
        )


def test_missing_inputs_are_named(client: Client) -> None:
    with pytest.raises(TypeError, match="required argument: audio"):
        client.predict(portrait=handle_file(PORTRAIT), consent=True, api_name="/audio_driven")
    with pytest.raises(ValidationError, match="Nothing was given for audio"):
        client.predict(portrait=handle_file(PORTRAIT), audio=None, consent=True, api_name="/audio_driven")
    with pytest.raises(ValidationError, match="Nothing was given for driving or motion"):
        client.predict(portrait=handle_file(PORTRAIT), consent=True, api_name="/video_driven")
    with pytest.raises(AppError, match="a finished video, or a portrait"):
        client.predict(consent=True, api_name="/background_swap")


def _contract(endpoint: dict[str, Any]) -> dict[str, Any]:
    """What a caller depends on; not the words of explanations."""
    kept = ("parameter_name", "parameter_has_default", "parameter_default", "component")
    return {
        "parameters": [
            {**{key: parameter.get(key) for key in kept}, "type": parameter["python_type"]["type"]}
            for parameter in endpoint["parameters"]
        ],
        "returns": [{"component": r["component"], "type": r["python_type"]["type"]} for r in endpoint["returns"]],
    }


if __name__ == "__main__":
    # Records the contract anew: python -m tests.app.test_endpoints http://127.0.0.1:7860
    import sys

    recorded = Client(sys.argv[1], verbose=False).view_api(return_format="dict", print_info=False)["named_endpoints"]
    CONTRACT.write_text(json.dumps({n: _contract(e) for n, e in sorted(recorded.items())}, indent=1) + "\n")
