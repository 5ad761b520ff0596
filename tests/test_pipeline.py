"""The main job through the Python door, whole runs on a second of speech."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from real3d_portrait import Motion, Progress, Real3DPortrait
from real3d_portrait.controls import Controls
from real3d_portrait.errors import (
    ConflictingInputsError,
    InputError,
    MissingInputError,
    ModelMissingError,
    MotionFaceModelError,
    ParameterChoiceError,
    ParameterRangeError,
)
from real3d_portrait.media.images import read_photo
from real3d_portrait.media.video import probe
from real3d_portrait.motion.pose_presets import PRESETS
from real3d_portrait.portrait.compact import CompactPortrait, prepare_compact_portrait
from tests.example_inputs import PORTRAIT, speech

pytestmark = pytest.mark.slow  # whole calls


@pytest.fixture(scope="module")
def portraits() -> Real3DPortrait:
    return Real3DPortrait.from_pretrained("compact")


@pytest.fixture(scope="module")
def voice(tmp_path_factory: pytest.TempPathFactory) -> str:
    return speech(tmp_path_factory.mktemp("voice") / "voice.wav", 1.0)


@pytest.fixture(scope="module")
def talking(portraits: Real3DPortrait, voice: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("talking") / "talking.mp4"
    portraits.audio_driven(PORTRAIT, voice, output=path, size=256)
    return path


@pytest.fixture(scope="module")
def person(portraits: Real3DPortrait) -> CompactPortrait:
    """The example photo, prepared once for all tests at 256 pixels."""
    return prepare_compact_portrait(read_photo(PORTRAIT), portraits.model.face_model, size=256)


def motion(frames: int, portraits: Real3DPortrait) -> Motion:
    generator = np.random.default_rng(1)
    wave = np.sin(np.arange(frames) / 2)[:, None]
    return Motion(
        (0.5 * wave * generator.normal(size=portraits.model.face_model.n_expression)).astype(np.float32),
        (0.1 * wave * [1, 0.5, 0.3]).astype(np.float32),
        (0.02 * wave * [1, 1, 1]).astype(np.float32),
        portraits.model.face_model.name,
    )


def still(portraits: Real3DPortrait) -> Motion:
    sizes = portraits.model.face_model.n_expression, 3, 3
    return Motion(*(np.zeros((2, n), np.float32) for n in sizes), face_model=portraits.model.face_model.name)


def test_speech_gives_a_video_of_its_length(talking: Path) -> None:
    info = probe(talking)
    assert (info.width, info.height, info.fps, info.has_audio) == (256, 256, 25, True)
    assert abs(info.seconds - 1.0) <= 0.04


def test_the_head_lives_and_the_rest_of_a_kept_background_stands_still(
    portraits: Real3DPortrait, person: CompactPortrait, voice: str
) -> None:
    frames = np.stack(list(portraits.stream_audio_driven(person, voice)))
    assert frames.shape == (25, 256, 256, 3)
    assert frames.std(0)[60:180, 80:180].mean() > 0.5
    assert (frames[:, :12, :12] == frames[:1, :12, :12]).all()
    photo = np.asarray(Image.open(PORTRAIT).convert("RGB").resize((256, 256), Image.Resampling.LANCZOS))
    assert np.abs(frames[0].astype(float) - photo).mean() < 6  # it starts at the photo


def test_the_same_seed_gives_the_same_frames(portraits: Real3DPortrait, person: CompactPortrait, voice: str) -> None:
    def tenth(seed: int) -> np.ndarray:
        return next(islice(portraits.stream_audio_driven(person, voice, seed=seed), 10, None))

    first = tenth(1)
    assert (first == tenth(1)).all()
    assert (first != tenth(2)).any()


def test_a_video_drives_another_photo_with_its_sound(portraits: Real3DPortrait, talking: Path, tmp_path: Path) -> None:
    seen: list[Progress] = []
    clip = portraits.video_driven(PORTRAIT, talking, output=tmp_path / "o.mp4", size=256, progress=seen.append)
    assert clip.frames == 25
    assert probe(clip.path).has_audio
    stages = [p.stage for p in seen]
    assert stages.index("preparing the photo") < stages.index("tracking") < stages.index("rendering")
    assert (seen[-1].done, seen[-1].total) == (25, 25)
    assert [p.name for p in tmp_path.iterdir()] == ["o.mp4"]


def test_saved_motion_drives_like_the_motion_itself(
    portraits: Real3DPortrait, person: CompactPortrait, tmp_path: Path
) -> None:
    move = motion(6, portraits)
    move.save(tmp_path / "m.npz")
    direct = list(portraits.stream_video_driven(person, move))
    loaded = list(portraits.stream_video_driven(person, tmp_path / "m.npz"))
    assert np.array_equal(direct, loaded)


def test_motion_of_another_face_model_is_refused(
    portraits: Real3DPortrait, person: CompactPortrait, tmp_path: Path
) -> None:
    move = motion(3, portraits)
    Motion(move.expression, move.rotation, move.translation, "other").save(tmp_path / "m.npz")
    with pytest.raises(MotionFaceModelError):
        portraits.video_driven(person, tmp_path / "m.npz", output=tmp_path / "o.mp4")
    assert not (tmp_path / "o.mp4").exists()


def test_outside_the_person_a_new_still_background_is_exact(portraits: Real3DPortrait, person: CompactPortrait) -> None:
    move = motion(6, portraits)
    people = list(portraits.stream_video_driven(person, move, background="transparent"))
    frames = list(portraits.stream_background_swap(portrait=person, driving=move, background="#204060"))
    assert people[0].shape == (256, 256, 4)
    outside = np.max([p[..., 3] for p in people], 0) == 0
    assert 0.1 < outside.mean() < 0.9
    for frame in frames:
        assert (frame[outside] == [32, 64, 96]).all()


def test_source_size_pastes_the_crop_back(portraits: Real3DPortrait, tmp_path: Path) -> None:
    photo = np.asarray(Image.open(PORTRAIT).convert("RGB").resize((300, 300)))
    wide = np.full((360, 900, 3), 90, np.uint8)
    wide[30:330, 50:350] = photo
    frame = next(portraits.stream_video_driven(wide, still(portraits), size="source"))
    assert frame.shape == wide.shape
    assert (frame[:, 820:] == 90).all()
    assert np.abs(frame[100:200, 150:250].astype(float) - wide[100:200, 150:250]).mean() < 12


def test_added_turn_shows_and_static_pose_stands(portraits: Real3DPortrait, person: CompactPortrait) -> None:
    straight = next(portraits.stream_video_driven(person, still(portraits)))
    turned = next(portraits.stream_video_driven(person, still(portraits), yaw=15))
    assert np.abs(straight.astype(int) - turned)[60:180, 80:180].mean() > 5
    held = list(portraits.stream_video_driven(person, motion(4, portraits), pose="static"))
    assert (held[0][-20:] == held[3][-20:]).all()


def test_each_control_of_motion_and_camera_shows(portraits: Real3DPortrait, person: CompactPortrait) -> None:
    move = motion(6, portraits)

    def fourth(**controls: object) -> np.ndarray:
        return next(islice(portraits.stream_video_driven(person, move, **controls), 3, None)).astype(int)

    plain = fourth()
    for name, value in {"pose": "calm", "brow": 0, "gaze": 2, "smoothing": 1, "zoom": 1.2, "camera": "orbit"}.items():
        assert np.abs(fourth(**{name: value}) - plain).max() > 2, name


def test_a_lively_speaker_moves_more_than_a_calm_one(portraits: Real3DPortrait) -> None:
    move = motion(50, portraits)
    swing = {
        name: np.abs(np.diff(portraits.apply_controls(move, Controls(pose=name)).rotation, axis=0)).mean()
        for name in PRESETS
    }
    assert swing["calm"] < swing["presenter"] < swing["lively"]
    unchanged = portraits.apply_controls(move, Controls())
    for name in ("expression", "rotation", "translation"):
        assert np.array_equal(getattr(unchanged, name), getattr(move, name))


def test_zoom_shows_the_face_larger_with_all_that_is_behind_it(
    portraits: Real3DPortrait, person: CompactPortrait
) -> None:
    plain = next(portraits.stream_video_driven(person, still(portraits), background="transparent"))
    near = next(portraits.stream_video_driven(person, still(portraits), background="transparent", zoom=2))
    assert near.shape == plain.shape
    # Twice as near, about the face's centre, which stays where it is: half the frame is seen.
    part = Image.fromarray(plain).crop((64, 59, 192, 187)).resize((256, 256), Image.Resampling.BICUBIC)
    assert np.abs(near.astype(int) - np.asarray(part))[..., 3].mean() < 3


def test_an_orbit_turns_the_head_and_comes_back(portraits: Real3DPortrait, person: CompactPortrait) -> None:
    orbit = Controls(camera="orbit").camera_path
    yaw = np.degrees(orbit.at(25, 30)[0] - orbit.at(2, 30)[0])  # the motion counts from its first frames
    held = replace(motion(30, portraits), expression=np.repeat(still(portraits).expression[:1], 30, 0))
    turned = next(islice(portraits.stream_video_driven(person, held, pose="static", camera="orbit"), 25, None))
    straight, expected = (
        next(portraits.stream_video_driven(person, still(portraits), yaw=angle)).astype(int) for angle in (0, yaw)
    )
    assert np.abs(turned - expected).mean() < 0.3 * np.abs(turned - straight).mean()


def test_a_finished_video_cannot_be_moved(portraits: Real3DPortrait, talking: Path, tmp_path: Path) -> None:
    for controls in ({"zoom": 1.5}, {"pose": "calm"}, {"yaw": 5}):
        with pytest.raises(ConflictingInputsError, match=f"video and {next(iter(controls))}"):
            portraits.background_swap(video=talking, background="red", output=tmp_path / "o.mp4", **controls)


def test_a_picture_that_is_wider_than_the_frame_is_shown_whole(
    portraits: Real3DPortrait, person: CompactPortrait
) -> None:
    wide = np.repeat(np.repeat(np.eye(3, dtype=np.uint8)[None] * 255, 80, 0), 80, 1)  # red, green, blue
    corner = {
        fit: next(portraits.stream_video_driven(person, still(portraits), background=wide, background_fit=fit))[100, 2]
        for fit in ("cover", "contain")
    }
    assert corner["cover"].argmax() == 1
    assert corner["contain"].argmax() == 0


@pytest.mark.parametrize(
    ("error", "controls"),
    [
        (ParameterRangeError, {"mouth_amplitude": 3}),
        (ParameterRangeError, {"yaw": 100}),
        (ParameterChoiceError, {"size": 300}),
        (ParameterChoiceError, {"blink": "often"}),
        (ParameterChoiceError, {"pose": "no-such-video.mp4"}),
        (ParameterChoiceError, {"colour": "red"}),
        (ConflictingInputsError, {"size": "source", "background": "red"}),
        (ConflictingInputsError, {"size": "source", "zoom": 1.5}),
        (ParameterChoiceError, {"camera": "dolly"}),
        (MissingInputError, {"background": "prompt: "}),
    ],
)
def test_wrong_controls_are_named(
    portraits: Real3DPortrait,
    person: CompactPortrait,
    error: type[InputError],
    controls: dict[str, object],
    tmp_path: Path,
) -> None:
    with pytest.raises(error):
        portraits.video_driven(person, motion(2, portraits), output=tmp_path / "o.mp4", **controls)
    assert not list(tmp_path.iterdir())


def test_swap_wants_one_source(portraits: Real3DPortrait, voice: str, tmp_path: Path) -> None:
    out = tmp_path / "o.mp4"
    with pytest.raises(MissingInputError):
        portraits.background_swap(background="red", output=out)
    with pytest.raises(MissingInputError):
        portraits.background_swap(background="red", output=out, audio=voice)
    with pytest.raises(ConflictingInputsError):
        portraits.background_swap(background="red", output=out, audio=voice, video="v.mp4")


def test_unknown_model_says_where_it_looked(tmp_path: Path) -> None:
    with pytest.raises(ModelMissingError, match="no-such"):
        Real3DPortrait.from_pretrained(tmp_path / "no-such")


def test_a_reader_that_stops_early_leaves_no_thread(portraits: Real3DPortrait, person: CompactPortrait) -> None:
    import threading

    stream = portraits.stream_video_driven(person, motion(12, portraits))
    next(stream)
    stream.close()
    assert not [t for t in threading.enumerate() if t.name.startswith("render")]
