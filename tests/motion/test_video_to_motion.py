from __future__ import annotations

from dataclasses import replace
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest

from real3d_portrait.errors import (
    AnotherPersonError,
    DrivingFaceError,
    FaceRarelySeenError,
    VideoWithoutFaceError,
)
from real3d_portrait.face import fitting
from real3d_portrait.face.camera import project
from real3d_portrait.face.face_model import FaceModel
from real3d_portrait.media.video import VideoWriter, read_frames
from real3d_portrait.motion.face_track import FaceTrack, absences, follow_face
from real3d_portrait.motion.neutral import closed_mouth, mouth_direction, neutral_expression
from real3d_portrait.motion.video_to_motion import (
    resting_where_absent,
    share_driven,
    track_to_motion,
    video_to_motion,
)
from real3d_portrait.resources import resource

SIZE = 400


def filmed(model: FaceModel, times: np.ndarray, identity: np.ndarray, seconds: float) -> FaceTrack:
    """A driver who talks at 2 Hz and turns the head at 0.25 Hz, seen at these times."""
    expression = np.outer(0.5 + 0.5 * np.sin(4 * np.pi * times), -8 * closed_mouth(model))
    rotation = np.stack([0.2 * np.sin(np.pi / 2 * times), 0 * times, 0 * times], 1)
    translation = np.zeros((len(times), 3))
    points = project(model.vertices(identity, expression), rotation, translation, SIZE)
    return FaceTrack(times, points, (SIZE, SIZE), seconds)


def talk(motion, model: FaceModel) -> np.ndarray:
    return motion.expression @ mouth_direction(model)


@pytest.fixture
def somebody(face_model: FaceModel) -> np.ndarray:
    return np.random.default_rng(1).normal(0, 0.5, face_model.n_identity)


@pytest.mark.parametrize("kind", ["25", "60", "variable"])
def test_any_frame_rate_comes_to_the_same_motion(face_model, somebody, kind) -> None:
    rng = np.random.default_rng(0)
    times = {
        "25": np.arange(100) / 25,
        "60": np.arange(240) / 60,
        "variable": np.cumsum(rng.uniform(0.01, 0.05, 140)),
    }[kind]
    times = times[times < 4.0]
    motion = track_to_motion(filmed(face_model, times, somebody, 4.0), face_model)
    assert len(motion) == 100
    at = np.arange(100) / 25
    inner = slice(6, 94)
    np.testing.assert_allclose(motion.rotation[inner, 0], 0.2 * np.sin(np.pi / 2 * at)[inner], atol=0.02)
    assert np.corrcoef(talk(motion, face_model)[inner], np.sin(4 * np.pi * at)[inner])[0, 1] > 0.98


def test_a_bridged_gap_leaves_no_jump(face_model, somebody) -> None:
    times = np.arange(100) / 25
    seen = np.r_[0:40, 60:100]  # 0.8 s without a face
    motion = track_to_motion(filmed(face_model, times[seen], somebody, 4.0), face_model)
    assert len(motion) == 100
    assert np.abs(np.diff(motion.rotation[:, 0])).max() < 0.04


def test_the_drivers_face_shape_stays_behind(face_model, somebody) -> None:
    times = np.arange(75) / 25
    one, other = (track_to_motion(filmed(face_model, times, i, 3.0), face_model) for i in (0 * somebody, somebody))
    moved = [face_model.displacement(m.expression) for m in (one, other)]
    assert np.abs(moved[0] - moved[1]).mean() < 0.1 * np.abs(moved[0]).max()


def test_a_driver_who_starts_turned_and_tilted_speaks_to_the_viewer_once_he_faces_the_camera(
    face_model, somebody
) -> None:
    times = np.arange(100) / 25
    track = filmed(face_model, times, somebody, 4.0)
    rotation = np.zeros((100, 3))
    rotation[:30] = np.radians([23.0, 0.0, 18.0])
    points = project(
        face_model.vertices(somebody, np.zeros((100, face_model.n_expression))), rotation, np.zeros((100, 3)), SIZE
    )
    motion = track_to_motion(replace(track, landmarks=np.asarray(points, np.float32)), face_model).relative()
    assert np.degrees(np.abs(motion.rotation[40:])).max() < 2
    assert np.degrees(motion.rotation[5:20]).mean(0) == pytest.approx([23, 0, 18], abs=2.5)


def test_a_cut_moves_neither_place_nor_size(face_model, somebody) -> None:
    times = np.arange(100) / 25
    track = filmed(face_model, times, somebody, 4.0)
    closer = track.landmarks.copy()
    closer[50:] = (closer[50:] - [200, 200, 0]) * 1.35 + [260, 170, 0]
    one, cut = (
        track_to_motion(replace(track, **more), face_model)
        for more in ({}, {"landmarks": closer, "shots": (50,), "people": (0, 0)})
    )
    assert np.ptp(cut.translation[:, 2]) < 0.1  # 30 % would be 1.5
    assert np.abs(np.diff(cut.translation, axis=0)).max() < 0.05
    assert np.corrcoef(talk(cut, face_model), talk(one, face_model))[0, 1] > 0.97


def test_a_shaken_camera_does_not_shake_the_head(face_model, somebody) -> None:
    times = np.arange(100) / 25
    track = filmed(face_model, times, somebody, 4.0)
    camera = np.stack([12 * np.sin(9 * times), 8 * np.sin(7 * times)], 1)
    shaken = track.landmarks.copy()
    shaken[..., :2] += camera[:, None]
    steady = track_to_motion(track, face_model).translation[:, :2]
    found = track_to_motion(replace(track, landmarks=shaken, camera=camera), face_model).translation[:, :2]
    assert (found - steady)[10:-10].std(0) == pytest.approx([0, 0], abs=0.012)  # 0.04 and 0.03 as filmed


def bundled_frames(name: str, count: int, start: int = 0) -> list[np.ndarray]:
    frames = islice(read_frames(resource("assets", "examples", name)), start, start + count)
    return [cv2.resize(frame.pixels, (256, 256), interpolation=cv2.INTER_AREA) for frame in frames]


def write_cut(path: Path, *parts: list[np.ndarray]) -> None:
    with VideoWriter(path, 256, 256, fps=25) as writer:
        for part in parts:
            for picture in part:
                writer.write(picture)


def test_a_cut_to_another_person_is_refused_with_its_time_or_allowed(tmp_path: Path, face_model: FaceModel) -> None:
    path = tmp_path / "cut.mp4"
    write_cut(path, bundled_frames("driving.mp4", 30), bundled_frames("talking_1.mp4", 30))
    with pytest.raises(AnotherPersonError, match=r"from 1\.2 s") as caught:
        follow_face(path, face_model)
    assert "--allow-cuts" in str(caught.value)
    track = follow_face(path, face_model, allow_cuts=True)
    assert track.shots == (30,)
    assert [len(person) for person in track.persons] == [30, 30]
    motion = track_to_motion(track, face_model).relative()
    assert np.abs(np.diff(motion.translation, axis=0)).max() < 0.06


def test_where_a_video_is_cut_away_to_somebody_else_the_photo_rests_or_he_drives_it(
    tmp_path: Path, face_model: FaceModel
) -> None:
    path = tmp_path / "interview.mp4"
    driver = bundled_frames("driving.mp4", 50)
    write_cut(path, driver[:25], bundled_frames("talking_1.mp4", 30), driver[25:])
    track = follow_face(path, face_model)
    np.testing.assert_allclose(track.absent, [(0.96, 2.2)], atol=0.01)
    assert set(track.people) == {0}
    assert ["--driving-face" in track.warnings[0], "--allow-cuts" in track.warnings[1]] == [True, True]
    everybody = follow_face(path, face_model, allow_cuts=True)
    assert (everybody.shots, everybody.people) == ((25, 55), (0, 1, 0))
    assert (everybody.absent, everybody.warnings) == ((), ())


def test_the_same_person_closer_after_a_cut_is_followed(tmp_path: Path, face_model: FaceModel) -> None:
    path = tmp_path / "vlog.mp4"
    closer = [cv2.resize(f[10:200, 33:223], (256, 256)) for f in bundled_frames("driving.mp4", 25, 60)]
    write_cut(path, bundled_frames("driving.mp4", 25), closer)
    track = follow_face(path, face_model)
    assert (track.shots, track.people) == ((25,), (0, 0))


def test_a_held_picture_of_an_open_mouth_before_a_clip_is_no_other_person(
    tmp_path: Path, face_model: FaceModel
) -> None:
    path = tmp_path / "held.mp4"
    frames = bundled_frames("driving.mp4", 40)
    turned = cv2.flip(frames[0], 1)
    write_cut(path, [turned] * 20, frames)
    assert set(follow_face(path, face_model).people) == {0}


def test_long_clips_are_fitted_in_chunks_with_the_same_result(face_model, somebody, monkeypatch) -> None:
    track = filmed(face_model, np.arange(120) / 25, somebody, 4.8)
    whole = track_to_motion(track, face_model)
    monkeypatch.setattr(fitting, "_CHUNK", 50)
    chunked = track_to_motion(track, face_model)
    np.testing.assert_allclose(chunked.rotation, whole.rotation, atol=0.02)
    np.testing.assert_allclose(talk(chunked, face_model), talk(whole, face_model), atol=0.015)


def test_the_neutral_keeps_how_far_the_mouth_is_open(face_model) -> None:
    rng = np.random.default_rng(0)
    habit = rng.normal(0, 1, face_model.n_expression)
    openings = np.outer(np.r_[np.full(30, 3.0), np.full(30, 6.0)], -closed_mouth(face_model))
    neutral = neutral_expression(habit + openings, face_model)
    towards = mouth_direction(face_model)
    assert neutral @ towards == pytest.approx(0, abs=1e-9)
    left = habit - towards * (habit @ towards) / (towards @ towards)
    np.testing.assert_allclose(neutral, left, atol=1e-6)


def write_video(path: Path, pictures: list[np.ndarray]) -> None:
    with VideoWriter(path, 160, 160, fps=25) as writer:
        for picture in pictures:
            writer.write(picture)


def test_a_video_without_a_face_is_refused(tmp_path: Path, face_model: FaceModel) -> None:
    grey = np.full((160, 160, 3), 90, np.uint8)
    write_video(tmp_path / "wall.mp4", [grey] * 10)
    done: list[int] = []
    with pytest.raises(VideoWithoutFaceError, match=r"wall\.mp4"):
        video_to_motion(tmp_path / "wall.mp4", face_model, progress=lambda n, total: done.append(n))
    assert done == list(range(1, 11))


def test_stretches_without_a_face_are_those_longer_than_a_second() -> None:
    assert absences(np.array([0.0, 0.04, 1.24]), 1.28) == ((0.04, 1.24),)
    assert absences(np.array([1.5, 1.54]), 3.0) == ((0.0, 1.5), (1.54, 3.0))
    assert absences(np.array([0.0, 0.9, 1.8]), 2.7) == ()


def test_a_photo_comes_to_rest_and_leaves_it_smoothly_where_the_driver_is_absent(face_model, somebody) -> None:
    times = np.arange(100) / 25
    seen = (times < 1) | (times >= 3)  # lost and found with the head turned by 0.2 rad
    track = replace(filmed(face_model, times[seen], somebody, 4.0), absent=((0.96, 3.0),), warnings=("Told.",))
    driven = track_to_motion(track, face_model)
    motion = resting_where_absent(driven, track)
    assert motion.warnings == ("Told.",)
    rest = slice(35, 64)
    assert np.abs(motion.expression[rest]).max() < 1e-6
    assert np.abs(motion.relative().rotation[rest]).max() < 1e-6
    assert np.abs(motion.relative().translation[rest]).max() < 1e-6
    for before, after in ((driven.expression, motion.expression), (driven.rotation, motion.rotation)):
        np.testing.assert_allclose(after[:24], before[:24], atol=1e-6)
        np.testing.assert_allclose(after[76:], before[76:], atol=1e-6)
    assert np.abs(np.diff(motion.rotation[20:80, 0])).max() < 0.25 * 0.2  # in one step it would be all


def test_the_share_that_is_driven_runs_from_one_to_nothing() -> None:
    share = share_driven(((0.0, 1.6), (4.0, 6.0)), np.arange(150) / 25)
    assert (share[:30] == 0).all()
    assert share[40] == 1
    assert (share[41:100] == 1).all()
    assert (np.diff(share[100:111]) <= 0).all()
    assert (share[111:139] == 0).all()
    assert share[149] > 0.9


@pytest.fixture(scope="module")
def talker() -> list[np.ndarray]:
    """Two seconds of a bundled talker, small."""
    film = islice(read_frames(resource("assets", "examples") / "driving.mp4"), 50)
    return [cv2.resize(frame.pixels, (160, 160), interpolation=cv2.INTER_AREA) for frame in film]


def test_titles_and_black_are_told_and_the_rest_is_driven(face_model, talker, tmp_path: Path) -> None:
    title = np.full((160, 160, 3), (20, 30, 70), np.uint8)
    cv2.putText(title, "MY SHOW", (10, 90), cv2.FONT_HERSHEY_SIMPLEX, 0.9, (255, 255, 255), 2)
    write_video(tmp_path / "show.mp4", [title] * 30 + talker[:25] + [np.zeros_like(title)] * 28 + talker)
    track = follow_face(tmp_path / "show.mp4", face_model)
    np.testing.assert_allclose(track.absent, [(0, 1.2), (2.16, 3.32)], atol=0.081)
    assert len(track.times) == pytest.approx(75, abs=3)
    assert len(track.warnings) == 1
    assert "from 0.0 s to 1.2 s and from 2." in track.warnings[0]


def test_a_video_that_mostly_shows_no_face_is_refused(face_model, talker, tmp_path: Path) -> None:
    write_video(tmp_path / "show.mp4", [np.zeros((160, 160, 3), np.uint8)] * 60 + talker)
    with pytest.raises(FaceRarelySeenError) as caught:
        follow_face(tmp_path / "show.mp4", face_model)
    assert caught.value.facts["seen"] == pytest.approx(2.0, abs=0.1)


def test_the_warning_names_the_choice_and_a_number_makes_it(face_model, talker, tmp_path: Path) -> None:
    small = [cv2.resize(picture, (88, 88), interpolation=cv2.INTER_AREA) for picture in talker[::-1]]
    wide = [np.full((160, 260, 3), 120, np.uint8) for _ in talker]
    for frame, near, far in zip(wide, talker, small, strict=True):
        frame[:, :160], frame[20:108, 166:254] = near, far
    with VideoWriter(tmp_path / "two.mp4", 260, 160, fps=25) as writer:
        for frame in wide[:30]:
            writer.write(frame)
    first, second = (follow_face(tmp_path / "two.mp4", face_model, face=face) for face in (None, 2))
    assert [np.median(track.landmarks[..., 0]) > 160 for track in (first, second)] == [False, True]
    assert "2 faces" in first.warnings[0]
    assert "--driving-face" in first.warnings[0]
    assert second.warnings == ()
    with pytest.raises(DrivingFaceError, match="Face 3 was asked for"):
        follow_face(tmp_path / "two.mp4", face_model, face=3)
