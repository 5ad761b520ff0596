"""Whole runs of the full model: reduced sizes of the same classes, rule-filled weights, a made-up face model."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch.nn import functional as F

from real3d_portrait import Motion, Real3DPortrait, cli
from real3d_portrait.compute import Compute
from real3d_portrait.config import FullConfig, read_config
from real3d_portrait.controls import Controls
from real3d_portrait.errors import (
    ControlUnavailableError,
    MotionFaceModelError,
    OutOfMemoryError,
    ParameterChoiceError,
    PortraitModelError,
    WeightsFileMissingError,
)
from real3d_portrait.face.eg3d_camera import eg3d_cameras
from real3d_portrait.face.secc import SeccRenderer
from real3d_portrait.hub import Weights
from real3d_portrait.media.images import read_photo
from real3d_portrait.media.video import probe, read_frames
from real3d_portrait.media.writer import VideoWriter
from real3d_portrait.models.full.model import FullModel
from real3d_portrait.models.interface import Placement
from real3d_portrait.motion.basel_motion import MOTION_NAME
from real3d_portrait.motion.camera_path import CameraPath
from real3d_portrait.portrait.full import FullPortrait
from tests.example_inputs import PORTRAIT, speech
from tests.full_release import IMAGE, write_weights

pytestmark = pytest.mark.slow  # networks of the full model

FRAMES = 3


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_weights(tmp_path_factory.mktemp("full"))


@pytest.fixture(scope="module")
def portraits(weights: Path) -> Real3DPortrait:
    return Real3DPortrait.from_pretrained(weights, device="cpu")


@pytest.fixture(scope="module")
def model(portraits: Real3DPortrait) -> FullModel:
    assert isinstance(portraits.model, FullModel)
    return portraits.model


@pytest.fixture(scope="module")
def person(model: FullModel) -> FullPortrait:
    return model.prepare(read_photo(PORTRAIT), None, None)


@pytest.fixture(scope="module")
def voice(tmp_path_factory: pytest.TempPathFactory) -> str:
    return speech(tmp_path_factory.mktemp("voice") / "voice.wav", 1.0)


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video of the example photo, which drifts sideways."""
    photo = cv2.resize(read_photo(PORTRAIT).pixels, (256, 256))
    path = tmp_path_factory.mktemp("driver") / "driver.mp4"
    with VideoWriter(path, 256, 256) as writer:
        for t in range(FRAMES):
            writer.write(np.roll(photo, 4 * t, axis=1))
    return path


def swaying(frames: int = FRAMES) -> Motion:
    """A face that opens and turns, in the full model's terms."""
    generator = np.random.default_rng(3)
    wave = np.sin(np.arange(frames))[:, None]
    expression = np.concatenate([wave * generator.normal(size=64), np.abs(wave)], 1)
    return Motion(
        expression.astype(np.float32),
        (0.1 * wave * [1, 0.5, 0.2]).astype(np.float32),
        (0.05 * wave * [1, 1, 1]).astype(np.float32),
        MOTION_NAME,
    )


def test_a_photo_speaks(portraits: Real3DPortrait, tmp_path: Path) -> None:
    sound = tmp_path / "voice.wav"
    speech(sound, 0.2)
    clip = portraits.audio_driven(PORTRAIT, sound, output=tmp_path / "o.mp4", size=256)
    info = probe(clip.path)
    assert (clip.frames, info.width, info.height, info.has_audio) == (5, 256, 256, True)
    assert clip.model == "real3d-portrait"
    pictures = [frame.pixels for frame in read_frames(clip.path)]
    assert np.std(pictures[0]) > 5


def test_a_video_drives_the_photo_through_the_command_line(
    weights: Path, driver: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "o.mp4"
    arguments = ["--model", str(weights), "--device", "cpu", "--portrait", PORTRAIT, "--driving", str(driver)]
    assert cli.main(["animate", *arguments, "--output", str(out), "--size", "256", "--quiet"]) == 0
    assert f"{FRAMES} frames of 256x256" in capsys.readouterr().out
    assert probe(out).frames == FRAMES


def test_another_background_shows_where_the_person_is_not(
    portraits: Real3DPortrait, person: FullPortrait, tmp_path: Path
) -> None:
    clips = {
        colour: portraits.background_swap(
            portrait=person, driving=swaying(), background=colour, output=tmp_path / f"{colour}.mp4"
        )
        for colour in ("red", "blue")
    }
    red, blue = (next(read_frames(clip.path)).pixels.astype(int) for clip in clips.values())
    cut = next(portraits.stream_video_driven(person, swaying(), background="transparent"))
    assert cut.shape == (128, 128, 4)
    behind = cut[..., 3] < np.quantile(cut[..., 3], 0.02)
    assert (red - blue)[behind][:, 0].mean() > (red - blue)[~behind][:, 0].mean() + 1


def test_frames_are_what_the_networks_make_of_a_face_that_moves(
    portraits: Real3DPortrait, model: FullModel, person: FullPortrait
) -> None:
    """Put together here from the description of the release alone: a still pose, so that smoothing changes nothing."""
    network, fit, move = model.image_network, person.fit, swaying()
    found = list(portraits.stream_video_driven(person, move, pose="static", blink="none"))

    def picture(image: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(image).permute(2, 0, 1)[None] / 127.5 - 1

    classes = F.one_hot(torch.from_numpy(person.classes).long(), 6).permute(2, 0, 1)[None].float()
    avatar = model.reconstruct(person)
    draw = SeccRenderer(model.face_model, avatar.fit.identity, model.side)
    codes = [torch.from_numpy(draw(e[:64]))[None] for e in move.expression]
    rest = torch.from_numpy(draw(np.zeros(64)))[None]
    camera = torch.from_numpy(eg3d_cameras(fit.euler, fit.translation))
    with torch.inference_mode():
        torso = network.torso_source(picture(person.torso), classes)
        background = network.background_source(picture(person.background))
        canonical = network.canonical_planes(picture(person.head))
        rendered = network.render(canonical + network.diff_planes(rest, codes[0], codes[1]), camera)
        # Key points of frames 0, 1, 1, 2, 2, 1, 0 are averaged for frame 1 of three, ends mirrored.
        points = [_key_points(model, fit, e[:64]) for e in move.expression]
        driven = torch.stack([points[i] for i in (1, 0, 0, 1, 2, 2, 1)]).mean(0)
        source = _key_points(model, fit, fit.expression[0])
        image = network.compose(rendered, torso, background, source[None], driven[None]).image[0]
    expected = ((image + 1) / 2 * 255).permute(1, 2, 0).numpy()
    assert np.abs(found[1] - expected).max() <= 1.01  # truncated to whole numbers


def _key_points(model: FullModel, fit: object, expression: np.ndarray) -> torch.Tensor:
    from scipy.spatial.transform import Rotation

    shape = model.face_model.surface
    marks = model.face_model.keypoints
    points = (shape.mean + shape.identity @ fit.identity + shape.expression @ expression)[marks]
    x, y, z = fit.euler[0]
    seen = points @ Rotation.from_euler("xyz", [x, y, z]).as_matrix().T + fit.translation[0]
    u, v = (1015 * seen[:, :2] / (10 - seen[:, 2:]) + 112).T
    flat = np.clip(np.stack([2 * u / 224 - 1, 1 - 2 * v / 224], -1), -1, 1)
    return torch.from_numpy(np.concatenate([flat, np.zeros((68, 1))], 1)).float()


@pytest.mark.parametrize(
    "changed",
    [
        {"yaw": 15},
        {"expression_scale": 0.2},
        {"mouth_amplitude": 0.0},
        {"blink": "none"},
        {"pose": "static"},
        {"pose": "lively"},
        {"background": "#00ff00"},
        {"background": "blur"},
    ],
    ids=str,
)
def test_each_control_changes_a_driven_frame(
    portraits: Real3DPortrait, person: FullPortrait, changed: dict[str, object]
) -> None:
    def second(**controls: object) -> np.ndarray:
        return list(portraits.stream_video_driven(person, swaying(), **controls))[1].astype(int)

    assert np.abs(second(**changed) - second()).max() > 0


def test_a_camera_turns_a_head_that_is_held(model: FullModel, person: FullPortrait) -> None:
    sizes = 65, 3, 3
    held = Motion(*(np.zeros((30, size), np.float32) for size in sizes), face_model=MOTION_NAME)
    seen = CameraPath("orbit").seen(held)
    placed, _ = model.place(model.reconstruct(person), seen, Placement("static"))
    assert placed.rotation - placed.rotation[0] == pytest.approx(seen.rotation, abs=1e-6)
    assert np.degrees(placed.rotation[25, 0] - placed.rotation[0, 0]) > 5


def test_smoothing_leaves_the_blinks_and_brows_are_no_control(
    portraits: Real3DPortrait, model: FullModel, person: FullPortrait
) -> None:
    move = swaying(30)
    smooth = portraits.apply_controls(move, Controls(smoothing=1))
    assert np.abs(np.diff(smooth.rotation, axis=0)).max() < 0.7 * np.abs(np.diff(move.rotation, axis=0)).max()
    assert np.array_equal(smooth.expression[:, 64], move.expression[:, 64])
    for name in ("brow", "gaze"):
        with pytest.raises(ControlUnavailableError, match=name):
            portraits.stream_video_driven(person, move, **{name: 0.5})


def test_speech_is_heard_and_varied(model: FullModel, voice: str) -> None:
    from real3d_portrait.media.audio import read_audio

    sound = read_audio(voice)

    def motion(seed: int = 0, temperature: float = 0.2, **controls: object) -> Motion:
        spoken = model.motion_from_audio(sound, temperature=temperature, seed=seed)
        return Real3DPortrait(model).apply_controls(spoken, Controls(**controls))

    first = motion()
    assert (len(first), first.expression.shape[1]) == (25, 65)
    assert np.array_equal(motion().expression, first.expression)
    for changed in ({"seed": 1}, {"temperature": 0.0}, {"mouth_amplitude": 2.0}):
        assert np.abs(motion(**changed).expression - first.expression)[:, :64].max() > 1e-3
    assert first.expression[:, 64].max() > 0.9  # a blink
    assert motion(blink="none").expression[:, 64].max() == 0
    assert np.abs(first.rotation).max() > 0
    assert np.abs(motion(pose="static").rotation).max() == 0
    given = motion(pose=swaying(4))
    assert np.allclose(given.rotation[3:6], swaying(4).rotation[[3, 3, 2]])


def test_a_driver_s_closed_lids_close_the_portrait_s(model: FullModel, driver: Path) -> None:
    motion = model.motion_from_video(driver)
    assert len(motion) == FRAMES
    assert motion.expression[:, 64].max() < 0.3  # the photo's eyes are open all the time
    assert motion.translation[2, 0] - motion.translation[0, 0] > 0.01  # it drifts to the right


@pytest.mark.parametrize(
    "device",
    ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"))],
)
def test_batches_in_half_precision_give_the_same_pictures(
    portraits: Real3DPortrait, person: FullPortrait, weights: Path, device: str
) -> None:
    model = FullModel(read_config(Weights(weights).config(), FullConfig), Weights(weights), device)
    model.compute = Compute(torch.device(device), batch=2, half=True)
    half = np.stack(list(Real3DPortrait(model).stream_video_driven(person, swaying()))).astype(int)
    exact = np.stack(list(portraits.stream_video_driven(person, swaying()))).astype(int)
    difference = np.abs(half - exact)
    assert 0 < difference.mean() < 1
    assert difference.max() < 20


@pytest.mark.parametrize("room", [2, 1], ids=["half fits", "nothing fits"])
def test_without_enough_memory_half_a_batch_is_made_at_once(
    portraits: Real3DPortrait, person: FullPortrait, weights: Path, room: int
) -> None:
    model = FullModel(read_config(Weights(weights).config(), FullConfig), Weights(weights), "cpu")
    model.compute = Compute(torch.device("cpu"), batch=4, half=False)
    sizes = []

    def crowded(module: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        sizes.append(len(inputs[0]))
        if len(inputs[0]) > room:
            torch.empty(2**60)  # torch's own allocator finds no room for it

    model.image_network.super_resolution.register_forward_pre_hook(crowded)
    frames = Real3DPortrait(model).stream_video_driven(person, swaying(5))
    if room == 1:
        with pytest.raises(OutOfMemoryError, match="smaller size"):
            next(frames)
        assert sizes == [4, 2]
        return
    made = np.stack(list(frames)).astype(int)
    one_by_one = np.stack(list(portraits.stream_video_driven(person, swaying(5)))).astype(int)
    assert np.abs(made - one_by_one).max() <= 1
    assert sizes == [4, 2, 2, 1]


def test_sizes_and_the_way_back_into_the_photo(portraits: Real3DPortrait) -> None:
    photo = read_photo(PORTRAIT).pixels
    wide = np.full((600, 1000, 3), 90, np.uint8)
    wide[50:550, 100:600] = cv2.resize(photo, (500, 500))
    frame = next(portraits.stream_video_driven(wide, swaying(1), size="source"))
    assert frame.shape == wide.shape
    assert (frame[:, 800:] == 90).all()
    assert next(portraits.stream_video_driven(wide, swaying(1), size=512)).shape == (512, 512, 3)


def test_what_does_not_fit_is_refused(portraits: Real3DPortrait, person: FullPortrait, tmp_path: Path) -> None:
    compact = Real3DPortrait.from_pretrained("compact")
    with pytest.raises(PortraitModelError):
        next(compact.stream_video_driven(person, swaying()))
    other = compact.model.prepare(read_photo(PORTRAIT), 256, None)
    with pytest.raises(PortraitModelError):
        next(portraits.stream_video_driven(other, swaying()))
    still = np.zeros((2, 3), np.float32)
    Motion(np.zeros((2, 5), np.float32), still, still, compact.model.face_model.name).save(tmp_path / "m.npz")
    with pytest.raises(MotionFaceModelError):
        portraits.video_driven(person, tmp_path / "m.npz", output=tmp_path / "o.mp4")
    with pytest.raises(ParameterChoiceError):
        Real3DPortrait.from_pretrained("compact", device="tpu")


def test_nothing_is_read_before_the_stage_that_needs_it(weights: Path) -> None:
    fresh = Real3DPortrait.from_pretrained(weights, device="cpu").model
    loaded = {"face_model", "image_network", "audio_network", "segmenter"}
    assert not loaded & set(vars(fresh))
    fresh.expression_space.with_mouth(swaying(), 0.5)
    assert loaded & set(vars(fresh)) == {"face_model"}
    fresh.prepare(read_photo(PORTRAIT), None, None)
    assert "image_network" not in vars(fresh)


def test_a_missing_file_is_named_at_once(weights: Path, tmp_path: Path) -> None:
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(weights, copy)
    (copy / "face_model.safetensors").unlink()
    with pytest.raises(WeightsFileMissingError, match="REAL3D_BFM"):
        Real3DPortrait.from_pretrained(copy)
    (copy / "image.safetensors").unlink()
    with pytest.raises(WeightsFileMissingError):
        Real3DPortrait.from_pretrained(copy)


def test_info_tells_what_is_here(
    weights: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("REAL3D_WEIGHTS", str(weights))
    assert cli.main(["info"]) == 0
    shown = capsys.readouterr().out
    assert f"image.safetensors: {weights / 'image.safetensors'}" in shown
    assert "speech features of real3d-portrait: " in shown
    assert "hubert, here" in shown
    assert "segmenter of real3d-portrait: the bundled parsing network" in shown


def test_the_reduced_model_has_the_sizes_it_should(model: FullModel) -> None:
    assert model.image_network.config == IMAGE
    assert (IMAGE.image_size, IMAGE.render.coarse, IMAGE.render.fine) == (128, 8, 8)
