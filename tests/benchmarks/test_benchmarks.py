"""Every benchmark runs on made data and prints its figures; what these are worth, larger data say."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import cv2
import pytest

from benchmarks import angles, stages, yardstick
from benchmarks.walls import WALLS
from real3d_portrait.resources import resource
from tests.made_data import CLIPS
from tests.running import run_module
from training.a2m import hear

EXAMPLES = resource("assets", "examples")
# A scoring tool of the form that benchmarks.yardstick calls: one figure, and the names of what it was given.
SCORE = """
import argparse, json, pathlib
parser = argparse.ArgumentParser()
for name in ("out", "source", "driving", "gt", "audio", "json"):
    parser.add_argument(f"--{name}", type=pathlib.Path)
args = parser.parse_args()
assert all(path.stat().st_size > 0 for name, path in vars(args).items() if path and name != "json")
args.json.write_text(json.dumps({"photo": {"psnr": 31.25, "csim_mean": 0.5}}))
"""
# The same for benchmarks.turned: it names a photo among the frames, and measures a clip.
TURNED = """
import argparse, json, pathlib
parser = argparse.ArgumentParser()
parser.add_argument("--gt", type=pathlib.Path, required=True)
parser.add_argument("--list", action="store_true")
parser.add_argument("--photo-frame", type=int)
parser.add_argument("--out", type=pathlib.Path)
args = parser.parse_args()
assert args.gt.is_file()
if args.list:
    print("some words")
    print(json.dumps({"photo_frame": 2}))
else:
    assert args.photo_frame == 2 and args.out.stat().st_size > 0
    names = "csim lpips lmd still_csim still_lpips still_lmd largest_turn frames".split()
    print(json.dumps({name: 0.75 for name in names}))
"""


@pytest.fixture
def printed(capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture):
    caplog.set_level("INFO")
    return lambda: capsys.readouterr().out + "\n".join(record.getMessage() for record in caplog.records)


def figures(line: str) -> list[float]:
    return [float(number) for number in re.findall(r"[-+]?\d+(?:\.\d+)?", line)]


def line_of(text: str, start: str) -> str:
    return next(line for line in text.splitlines() if line.startswith(start))


@pytest.mark.slow
def test_angles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, printed) -> None:
    monkeypatch.setattr(angles, "SIZE", 256)
    sheet = tmp_path / "sheet.jpg"
    run_module("benchmarks.angles", EXAMPLES / "portrait_1.jpg", "--steps", 7, "--sheet", sheet)
    text = printed()
    yaw, _, jump, found = figures(line_of(text, "portrait_1.jpg").removeprefix("portrait_1.jpg"))
    assert 0 < yaw < 10
    assert jump >= 1
    assert found == 1
    assert text.count("1 photos: yaw error median") == 1
    assert cv2.imread(str(sheet)).shape == (angles.TILE, 7 * angles.TILE, 3)


@pytest.mark.slow
def test_audio_to_motion(made_data: Path, made_work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, printed):
    monkeypatch.setattr(hear, "COPIES", 2)
    for name in ("tracks", "fits"):
        shutil.copytree(made_work / name, tmp_path / name)
    (tmp_path / "a2m" / "heard").mkdir(parents=True)
    for name in CLIPS:
        hear.hear(made_data / "talking" / f"{name}.mp4", tmp_path / "a2m" / "heard" / f"{name}.npz")
    run_module("benchmarks.a2m", "--data", made_data, "--work", tmp_path)
    text = printed()
    assert "1 clips of 1 held-out identities" in text
    # The bundled clip's lips were made by this network.
    assert figures(line_of(text, "A2M, temperature 0.0").partition("median")[2])[0] > 0.5


@pytest.mark.slow
def test_shading(made_data: Path, made_work: Path, tmp_path: Path, printed) -> None:
    sheet = tmp_path / "sheet.png"
    run_module("benchmarks.shading", "--data", made_data, "--work", made_work, "--frames", 4, "--sheet", sheet)
    text = printed()
    without, refined, *_ = figures(line_of(text, "mouth PSNR dB").removeprefix("mouth PSNR dB"))
    assert 15 < without < 60
    assert 15 < refined < 60
    assert cv2.imread(str(sheet)) is not None


@pytest.mark.slow
def test_turned(made_data: Path, tmp_path: Path, printed) -> None:
    (tmp_path / "turned.py").write_text(TURNED)
    made = ("--data", made_data, "--yardstick", tmp_path, "--output", tmp_path / "out")
    run_module("benchmarks.turned", "heldout", *made)
    text = printed()
    assert figures(line_of(text, "mean")) == [0.75] * 8
    assert cv2.imread(str(tmp_path / "out" / "heldout.png")).shape == (240, 240, 3)
    assert (tmp_path / "out" / "heldout.mp4").stat().st_size > 0


@pytest.mark.slow
def test_identity(made_data: Path, tmp_path: Path, printed) -> None:
    run_module("benchmarks.identity", "--data", made_data / "faces", "--most", 1)
    people, median, *_ = figures(line_of(printed(), "all").removeprefix("all"))
    assert people == 1
    assert 25 < median < 60


@pytest.mark.slow
def test_inspection(made_data: Path, printed) -> None:
    run_module("benchmarks.inspection", "--faces", made_data / "faces", "--pictures", 1)
    text = printed()
    assert "100.0 % of 1" in line_of(text, "dark")
    assert {"blurred", "mouth_open", "small"} <= {line.split(" ")[0] for line in text.splitlines()}


@pytest.mark.slow
def test_parsing(made_data: Path, tmp_path: Path, printed) -> None:
    sheet = tmp_path / "sheet.png"
    run_module("benchmarks.parsing", "--data", made_data, "--sheet", sheet)
    text = printed()
    for source in ("celebamask", "facesynthetics"):
        line = line_of(text, source)
        assert "1 pictures" in line
        # The drawn labels are coarse: an ellipse for the face.
        assert figures(line.partition(" face ")[2])[0] > 0.5
    assert 0 < figures(line_of(text, "milliseconds"))[0] < 5000
    assert cv2.imread(str(sheet)) is not None


@pytest.mark.slow
def test_memory(printed) -> None:
    run_module("benchmarks.memory", "--seconds", 0.4, "--size", 256)
    text = printed()
    assert "10 frames at 256" in text
    assert 100 < float(text.split("peak ")[1].split(" MiB")[0]) < 10_000


@pytest.mark.slow
def test_plate(made_data: Path, tmp_path: Path, printed) -> None:
    sheet = tmp_path / "sheet.png"
    run_module("benchmarks.plate", "--faces", made_data / "faces", "--pictures", 1, "--size", 192, "--sheet", sheet)
    text = printed()
    for wall in WALLS:
        assert 5 < float(line_of(text, wall).split("psnr ")[1].split()[0]) < 50
    assert "far_changed 0" in line_of(text, "portraits")
    assert sheet.exists()


@pytest.mark.slow
def test_speed(printed) -> None:
    run_module("benchmarks.speed", "--seconds", 0.4, "--size", 256)
    text = printed()
    for stage in ("load the model", "prepare the photo", "reconstruct", "audio to motion", "render", "encode"):
        assert figures(line_of(text, stage))[0] >= 0
    assert "end to end" in text


@pytest.mark.slow
def test_stages(printed) -> None:
    run_module("benchmarks.stages", "--device", "cpu", "--size", "small", "--repeat", 1, "--frames-only")
    text = printed()
    stages_in_text = [line.split("  ")[0] for line in text.splitlines()]
    assert {"motion adapter", "volume renderer", "super-resolution", "a frame"} <= set(stages_in_text)
    assert set(stages.PARTS) <= {line.strip().split("  ")[0] for line in text.splitlines()}
    assert "frames/s" in text


@pytest.mark.slow
def test_start(printed) -> None:
    run_module("benchmarks.start", "--runs", 1)
    page, config, computing = figures(printed())[1:4]
    assert 0 < page <= config
    assert computing > 0


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["cross", "audio"])
def test_yardstick(mode: str, made_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, printed) -> None:
    (tmp_path / "score.py").write_text(SCORE)
    monkeypatch.setitem(yardstick.MEASURES, mode, ["psnr", "csim_mean"])
    folders = ("--data", made_data, "--yardstick", tmp_path, "--output", tmp_path / "out")
    run_module("benchmarks.yardstick", mode, *folders, "--seconds", 0.4, "--cases", 1)
    text = printed()
    assert figures(line_of(text, "psnr")) == [31.25, 31.25]
    assert (tmp_path / "out" / f"{mode}_id002.mp4").stat().st_size > 0


@pytest.mark.slow
def test_sound_is_compared_with_what_the_clip_shows(made_data: Path, made_work: Path, printed) -> None:
    run_module("benchmarks.sound", "--data", made_data, "--work", made_work, "--sounds", 1)
    text = printed()
    assert figures(line_of(text, "as recorded").split("of clean")[1])[:2] == [100, 1]
    assert figures(line_of(text, "silence"))[-2:] == [0, 100]
