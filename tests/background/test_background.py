from __future__ import annotations

import itertools
import tracemalloc
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from real3d_portrait import errors
from real3d_portrait.background.background import Background
from real3d_portrait.background.fit import cover
from real3d_portrait.media.video import VideoWriter

PLATE = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)


def shown(background: Background, count: int, plate: np.ndarray = PLATE) -> list[np.ndarray]:
    return list(itertools.islice(background.frames(plate), count))


def video_of(path: Path, shades: Sequence[int], fps: float) -> Path:
    with VideoWriter(path, 32, 32, fps=fps) as writer:
        for shade in shades:
            writer.write(np.full((32, 32, 3), shade, np.uint8))
    return path


def shades_of(frames: list[np.ndarray], step: int) -> list[int]:
    """Number of the source frame that each output frame shows, from its brightness."""
    return [round((frame.mean() - 40) / step) for frame in frames]


@pytest.mark.parametrize("spec", ["keep", "transparent", "blur", "#123", "teal"])
def test_a_still_background_is_one_and_the_same_array(spec: str) -> None:
    frames = shown(Background.parse(spec), 5)
    assert all(frame is frames[0] for frame in frames)
    assert frames[0].shape == PLATE.shape
    assert frames[0].dtype == np.uint8


def test_keep_is_the_plate_itself_and_only_transparent_is_transparent() -> None:
    assert shown(Background.parse(" Keep "), 1)[0] is PLATE
    assert [Background.parse(spec).transparent for spec in ("keep", "transparent", "blur", "red")] == [
        False,
        True,
        False,
        False,
    ]


@pytest.mark.parametrize(
    ("spec", "rgb"),
    [
        ("#f80", (255, 136, 0)),
        ("#2A6F97", (42, 111, 151)),
        ("RebeccaPurple", (102, 51, 153)),
        ("rgb(1, 2, 3)", (1, 2, 3)),
        ("rgba(41.6, 110.9, 151.2, 1)", (42, 111, 151)),
        ("hsl(120, 100%, 50%)", (0, 255, 0)),
    ],
)
def test_colours(spec: str, rgb: tuple[int, int, int]) -> None:
    background = Background.parse(spec)
    assert background.kind == "colour"
    assert (shown(background, 1)[0] == rgb).all()


def test_blur_keeps_the_light_and_loses_the_shapes() -> None:
    still = shown(Background.parse("blur"), 1)[0].astype(float)
    assert np.abs(still.mean(axis=(0, 1)) - PLATE.mean(axis=(0, 1))).max() < 2
    assert still.std() < PLATE.std() / 5


@given(
    source=st.tuples(st.integers(1, 60), st.integers(1, 60)),
    target=st.tuples(st.integers(1, 60), st.integers(1, 60)),
)
def test_cover_fills_the_frame_and_stays_centred(source: tuple[int, int], target: tuple[int, int]) -> None:
    # A picture that rises linearly in x and y tells where each of its points went.
    y, x = np.mgrid[: source[0], : source[1]]
    picture = np.stack([x * 4, y * 4, np.full_like(x, 9)], axis=-1).astype(np.uint8)
    result = cover(picture, target[1], target[0])
    assert result.shape == (*target, 3)
    assert np.abs(result[..., 2].astype(int) - 9).max() <= 1  # filled to every edge
    assert result[..., 0].mean() == pytest.approx(2 * (source[1] - 1), abs=2.5)
    assert result[..., 1].mean() == pytest.approx(2 * (source[0] - 1), abs=2.5)


def test_an_image_file_an_array_and_a_pillow_image_are_the_same(tmp_path: Path) -> None:
    picture = np.random.default_rng(1).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    Image.fromarray(picture).save(tmp_path / "a.png")
    for spec in (tmp_path / "a.png", str(tmp_path / "a.png"), picture, Image.fromarray(picture)):
        background = Background.parse(spec)
        assert background.kind == "image"
        np.testing.assert_array_equal(shown(background, 1)[0], picture)


def test_a_file_may_have_the_name_of_a_colour(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (4, 4), "blue").save("red", format="PNG")
    assert Background.parse("red").colour == (255, 0, 0)
    assert (shown(Background.parse(Path("red")), 1)[0] == (0, 0, 255)).all()


@settings(max_examples=12, deadline=None)
@given(fps=st.sampled_from([10, 12.5, 24, 25, 30, 50, 60]), count=st.integers(1, 12))
def test_a_video_is_shown_at_its_own_speed_and_loops(
    tmp_path_factory: pytest.TempPathFactory, fps: float, count: int
) -> None:
    path = video_of(tmp_path_factory.getbasetemp() / "loop.mp4", [40 + 16 * n for n in range(count)], fps)
    background = Background.parse(path)
    assert background.kind == "video"
    length = count / fps if count > 1 else 1 / 25
    # A tenth of a frame later than the instant itself, so that exact ties do not decide.
    expected = [int((n / 25 + 0.001) % length * fps) for n in range(40)]
    found = shades_of(shown(background, 40), 16)
    near_a_change = [abs((n / 25 * fps + 0.5) % 1 - 0.5) < 0.05 for n in range(40)]
    for index, (is_shown, should) in enumerate(zip(found, expected, strict=True)):
        before = (should - 1) % count
        assert is_shown == should or (near_a_change[index] and is_shown == before), index


def test_a_video_streams(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "a.mp4", 320, 240) as writer:
        for shade in range(100):
            writer.write(np.full((240, 320, 3), shade, np.uint8))
    frames = Background.parse(tmp_path / "a.mp4").frames(PLATE)
    tracemalloc.start()
    try:
        for _ in range(150):
            next(frames)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 10 * 240 * 320 * 3  # a few frames, not a hundred


def test_an_animated_gif_plays(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (32, 32), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:], duration=200, loop=0)
    background = Background.parse(tmp_path / "a.gif")
    assert background.kind == "video"
    reds = [frame[0, 0, 0] > 128 for frame in shown(background, 20)]
    assert reds == [True] * 5 + [False] * 5 + [True] * 5 + [False] * 5


def test_an_animated_webp_shows_its_first_frame_or_plays(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (32, 32), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "a.webp", save_all=True, append_images=frames[1:], duration=200, lossless=True)
    background = Background.parse(tmp_path / "a.webp")
    assert (shown(background, 1)[0] == (255, 0, 0)).all()
    assert background.kind == "video" or "first frame" in background.warnings[0]


def test_what_cannot_be_a_background_is_named(tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("words")
    (tmp_path / "empty.png").touch()
    cases = {
        "nonsense": errors.UnknownBackgroundError,
        "": errors.UnknownBackgroundError,
        "#12345g": errors.UnknownBackgroundError,
        "rgba(0, 0, 0, 0.5)": errors.UnknownBackgroundError,
        str(tmp_path / "absent.png"): errors.FileMissingError,
        "absent.mp4": errors.FileMissingError,
        str(tmp_path / "words.txt"): errors.FileFormatError,
        str(tmp_path / "empty.png"): errors.FileDamagedError,
        str(tmp_path): errors.FileUnreadableError,
    }
    for spec, error in cases.items():
        with pytest.raises(error):
            Background.parse(spec)
