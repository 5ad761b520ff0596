"""The command line: arguments, exit codes, one line for an error, nothing left behind."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from real3d_portrait import cli, console
from real3d_portrait.controls import Controls
from real3d_portrait.progress import Progress
from real3d_portrait.resources import resource
from tests.example_inputs import PORTRAIT, speech

COMMAND = [sys.executable, "-m", "real3d_portrait"]


def run(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *arguments], cwd=cwd, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize(
    "arguments", [["--help"], ["animate", "--help"], ["swap-background", "--help"], ["avatar", "train", "--help"]]
)
def test_help_needs_no_heavy_library(arguments: list[str]) -> None:
    code = (
        "import sys; from real3d_portrait.cli import main\n"
        f"try: main({arguments!r})\n"
        "except SystemExit as end: assert end.code == 0\n"
        "assert not {'torch', 'cv2', 'mediapipe', 'gradio', 'numba', 'av'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["animate"],
        ["animate", "--portrait", "p.jpg", "--output", "o.mp4"],
        ["animate", "--portrait", "p.jpg", "--output", "o.mp4", "--audio", "a.wav", "--driving", "v.mp4"],
        ["animate", "--portrait", "p.jpg", "--output", "o.mp4", "--audio", "a.wav", "--size", "300"],
        ["animate", "--portrait", "p.jpg", "--output", "o.mp4", "--audio", "a.wav", "--seed", "x"],
        ["animate", "--portrait", "p.jpg", "--output", "o.mp4", "--audio", "a.wav", "--camera", "dolly"],
        ["animate", "--portrait", "p.jpg", "--output", "o.mp4", "--audio", "a.wav", "--colour", "red"],
        ["swap-background", "--video", "v.mp4", "--output", "o.mp4"],
        ["dance"],
    ],
)
def test_arguments_that_do_not_parse_exit_2_with_one_line(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main(arguments)
    assert stop.value.code == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("real3d-portrait: error: ")
    assert shown.err.count("\n") == 1


@pytest.mark.parametrize("command", ["animate", "swap-background"])
def test_names_and_defaults_are_those_of_python(command: str) -> None:
    required = {
        "animate": ["--portrait", "p", "--audio", "a", "--output", "o"],
        "swap-background": ["--video", "v", "--background", "blur", "--output", "o"],
    }
    parsed = vars(cli.build_parser().parse_args([command, *required[command]]))
    for field in dataclasses.fields(Controls):
        if field.name == "background" and command == "swap-background":
            continue
        assert parsed[field.name] == field.default, field.name


@pytest.mark.parametrize(
    ("options", "part"),
    [
        (["--portrait", "nobody.jpg", "--audio", "voice.wav"], "nobody.jpg"),
        (["--portrait", "text.jpg", "--audio", "voice.wav"], "text.jpg"),
        (["--portrait", "wall.png", "--audio", "voice.wav"], "No face"),
        (["--portrait", PORTRAIT, "--audio", "nothing.wav"], "nothing.wav"),
        (["--portrait", PORTRAIT, "--audio", "text.jpg"], "text.jpg"),
        (["--portrait", PORTRAIT, "--driving", "nothing.mp4"], "nothing.mp4"),
        (["--portrait", PORTRAIT, "--driving", "nothing.npz"], "nothing.npz"),
        (["--portrait", PORTRAIT, "--audio", "voice.wav", "--face", "7"], "7"),
        (["--portrait", PORTRAIT, "--audio", "voice.wav", "--background", "plaid"], "plaid"),
        (["--portrait", PORTRAIT, "--audio", "voice.wav", "--mouth-amplitude", "3"], "mouth_amplitude"),
        (["--portrait", PORTRAIT, "--audio", "voice.wav", "--yaw", "nan"], "yaw"),
        (["--portrait", PORTRAIT, "--audio", "voice.wav", "--model", "no/such"], "no/such"),
        (["--portrait", PORTRAIT, "--audio", "voice.wav", "--pose", "excited"], "presenter"),
        (["--portrait", PORTRAIT, "--audio", "voice.wav", "--zoom", "9"], "zoom"),
        (["--portrait", PORTRAIT, "--audio", "voice.wav", "--camera", "push-in", "--size", "source"], "push-in"),
        (["--portrait", PORTRAIT, "--audio", "voice.wav", "--background", "prompt:a beach"], "REAL3D_PROMPT_MODEL"),
        (["--portrait", PORTRAIT, "--audio", "voice.wav", "--background", "transparent"], "out.mp4"),
    ],
)
def test_input_at_fault_exits_2_says_so_in_one_line_and_leaves_nothing(
    options: list[str],
    part: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("REAL3D_PROMPT_MODEL", raising=False)
    speech(tmp_path / "voice.wav", 0.5)
    (tmp_path / "text.jpg").write_text("this is no picture and no sound")
    Image.new("RGB", (300, 300), "grey").save(tmp_path / "wall.png")
    before = sorted(tmp_path.iterdir())
    code = cli.main(["animate", *options, "--output", "out.mp4", "--quiet"])
    error = capsys.readouterr().err
    assert code == 2
    assert part in error
    assert error.startswith("real3d-portrait: error: ")
    assert error.count("\n") == 1
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.slow
def test_a_fresh_process_writes_nothing_but_the_one_line(tmp_path: Path) -> None:
    Image.new("RGB", (300, 300), "grey").save(tmp_path / "wall.png")
    voice = speech(tmp_path / "voice.wav", 0.5)
    done = run("animate", "--portrait", "wall.png", "--audio", voice, "--output", "out.mp4", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("real3d-portrait: error: No face")
    assert done.stderr.count("\n") == 1


@pytest.mark.slow
def test_speech_becomes_a_video_of_its_length(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    voice, out = speech(tmp_path / "voice.wav", 0.8), tmp_path / "out.mp4"
    code = cli.main(["animate", "--portrait", PORTRAIT, "--audio", voice, "--size", "256", "--output", str(out)])
    shown = capsys.readouterr()
    assert code == 0
    assert shown.out.startswith(f"{out}: 0.80 s of video, 20 frames of 256x256")
    with av.open(str(out)) as video:
        assert (video.streams.video[0].codec_context.name, video.streams.audio[0].codec_context.name) == (
            "h264",
            "aac",
        )
        assert sum(1 for _ in video.decode(video=0)) == 20
    assert sorted(tmp_path.iterdir()) == [out, tmp_path / "voice.wav"]

    swapped = tmp_path / "swapped.mp4"
    swap = [
        "swap-background",
        "--video",
        str(out),
        "--background",
        "#00ff00",
        "--output",
        str(swapped),
        "--quiet",
    ]
    assert cli.main(swap) == 0
    with av.open(str(swapped)) as video:
        corner = next(video.decode(video=0)).to_ndarray(format="rgb24")[2, 2].astype(int)
    assert np.abs(corner - (0, 255, 0)).max() < 12


def test_the_bar_names_the_stage_and_reaches_its_end(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(console, "_LOG_FILE_SECONDS", 0.0)
    with console.ProgressBar() as bar:
        bar(Progress("preparing", 0, None))
        for done in range(4):
            bar(Progress("rendering", done, 3))
    shown = capsys.readouterr().err
    assert "preparing" in shown
    assert "rendering: 100%" in shown
    assert "3/3" in shown


def test_swap_background_needs_something_to_stand_before_it(capsys: pytest.CaptureFixture[str]) -> None:
    voiceless = ["swap-background", "--audio", "voice.wav", "--background", "blur", "--output", "o.mp4"]
    assert cli.main(voiceless) == 2
    assert "portrait" in capsys.readouterr().err


@pytest.mark.slow
def test_a_stopped_run_leaves_nothing(tmp_path: Path) -> None:
    voice = speech(tmp_path / "voice.wav", 20)
    runs = {}
    for number in (signal.SIGINT, signal.SIGTERM):
        folder = tmp_path / number.name
        folder.mkdir()
        arguments = ["--portrait", PORTRAIT, "--audio", voice, "--output", str(folder / "o.mp4"), "--quiet"]
        environment = {**os.environ, "TMPDIR": str(folder)}
        runs[number] = folder, subprocess.Popen([*COMMAND, "animate", *arguments], env=environment)
    waiting, deadline = dict(runs), time.monotonic() + 100
    while waiting and time.monotonic() < deadline:
        for number, (folder, process) in list(waiting.items()):
            assert process.poll() is None
            if any(folder.glob(".o*.mp4")):
                process.send_signal(number)
                del waiting[number]
        time.sleep(0.05)
    for number, (folder, process) in runs.items():
        assert process.wait(60) == 128 + number
        assert list(folder.iterdir()) == []


def test_a_failure_of_ours_exits_1(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(cli, "resource", lambda *parts: (_ for _ in ()).throw(FileNotFoundError("gone\nfor good")))
    assert cli.main(["info"]) == 1
    assert (
        capsys.readouterr().err == "real3d-portrait: error: FileNotFoundError: gone for good (--verbose shows where)\n"
    )


def test_info_names_versions_device_and_where_the_weights_lie(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["info"]) == 0
    shown = capsys.readouterr().out
    assert f"python {sys.version.split()[0]}" in shown
    assert "device: " in shown
    assert str(resource("assets", "weights", "compact")) in shown
