"""The photo comes back in its own pose, and a head that turns stays whole."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import cv2
import numpy as np
import pytest

from real3d_portrait.face.camera import project
from real3d_portrait.face.landmarks import CHIN, N_LANDMARKS, NOSE_TIP
from real3d_portrait.face.rasterizer import FAR
from real3d_portrait.models.compact.avatar import CompactAvatar
from real3d_portrait.models.compact.canvas import Canvas
from real3d_portrait.models.compact.image_to_plane import LayeredHead, lift
from real3d_portrait.models.compact.model import CompactModel
from real3d_portrait.models.compact.volume_renderer import (
    CAMERA,
    Pose,
    at_own_pose,
    placed,
    project_perspective,
    render,
    render_skin,
)
from real3d_portrait.portrait.compact import CompactPortrait

from .drawn_head import BACKGROUND, DrawnHead, drawn_head, head_models
from .drawn_head import SIZE as DRAWN

SIZE = 256
YAWS = np.linspace(-30, 30, 13)


def pose(avatar: CompactAvatar, yaw: float = 0.0, pitch: float = 0.0) -> Pose:
    """The photo's, turned further by degrees."""
    return Pose.of(avatar.rotation + np.radians([yaw, pitch, 0]), avatar.translation, np.zeros(2), SIZE)


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / np.square(a.astype(float) - b).mean()))


@pytest.fixture(scope="module")
def turned(avatar: CompactAvatar) -> list[np.ndarray]:
    """The person at each of YAWS."""
    return [render(avatar.head, avatar.head.skin.vertices, pose(avatar, yaw)) for yaw in YAWS]


@pytest.fixture(scope="module")
def drawn() -> DrawnHead:
    return drawn_head()


@pytest.fixture(scope="module")
def drawn_layers(drawn: DrawnHead) -> LayeredHead:
    return lift(*head_models(), drawn.fit, DRAWN, drawn.canvas)


def test_the_photo_comes_back_in_its_own_pose(avatar: CompactAvatar, person: CompactPortrait) -> None:
    head = avatar.head
    frame = render(head, head.skin.vertices + head.shown, pose(avatar))
    inside = person.matte > 0.99
    assert psnr(frame[inside, :3], person.image[inside]) > 36  # 40.5 measured
    assert np.abs(frame[..., 3] / 255.0 - person.matte).mean() < 0.006  # 0.003
    assert (frame[inside, 3] > 180).all()


def test_a_head_that_turns_is_one_piece_without_holes(turned: list[np.ndarray]) -> None:
    for yaw, frame in zip(YAWS, turned, strict=True):
        person = (frame[..., 3] > 127).astype(np.uint8)
        parts = np.sort(cv2.connectedComponentsWithStats(person)[2][1:, cv2.CC_STAT_AREA])
        assert parts[:-1].sum() < 0.002 * parts[-1], yaw
        _, _, boxes, _ = cv2.connectedComponentsWithStats(1 - person)
        left, top, width, height, area = boxes[1:].T
        holes = area[(left > 0) & (top > 0) & (left + width < SIZE) & (top + height < SIZE)]
        assert holes.sum() < 0.003 * parts[-1], yaw  # 41 of 38,000 pixels at 30 degrees, elsewhere 2 at most


def test_frames_of_a_slow_turn_differ_evenly(turned: list[np.ndarray]) -> None:
    """No jump where one source of colour gives way to another."""
    for channels in (slice(0, 3), slice(3, 4)):
        steps = [
            np.abs(after[..., channels].astype(float) - before[..., channels]).mean()
            for before, after in zip(turned, turned[1:], strict=False)
        ]
        assert max(steps) < 2 * np.median(steps)
        assert min(steps) > 0.3 * np.median(steps)


@pytest.mark.parametrize(("yaw", "pitch"), [(0, 0), (20, 0), (-20, 0), (0, 12), (0, -12)])
def test_the_nose_goes_where_the_camera_says(avatar: CompactAvatar, yaw: float, pitch: float) -> None:
    vertices = avatar.head.skin.vertices
    at = pose(avatar, yaw, pitch)
    points, depth = placed(avatar.head.skin, vertices, at)
    before = avatar.head.skin.still[:N_LANDMARKS, 2]
    perspective = project_perspective(vertices[:N_LANDMARKS], before, at)
    assert points[NOSE_TIP] == pytest.approx(perspective[NOSE_TIP, :2], abs=0.05)
    flat = project(vertices, avatar.rotation + np.radians([yaw, pitch, 0]), avatar.translation, SIZE)
    assert points[NOSE_TIP] == pytest.approx(flat[NOSE_TIP, :2], abs=12)  # perspective adds to the turn
    skin = render_skin(avatar.head, vertices, at)
    column, row = points[NOSE_TIP].astype(int)
    assert skin.depth[row, column] == pytest.approx(depth[NOSE_TIP], abs=0.02)
    assert skin.depth.max() < depth[NOSE_TIP] + 0.1


def test_what_comes_nearer_grows(avatar: CompactAvatar) -> None:
    """Turned to one side, the cheek that comes forwards is larger than under the weak-perspective camera."""
    vertices = avatar.head.skin.vertices[:N_LANDMARKS]
    before = avatar.head.skin.still[:N_LANDMARKS, 2]
    near = project_perspective(vertices, before, pose(avatar, 25))
    flat = project(vertices, avatar.rotation + np.radians([25, 0, 0]), avatar.translation, SIZE)
    cheek = np.argsort(flat[:, 0])[:20]  # to the left: the nose points to the right
    assert np.ptp(near[cheek, 1]) > 1.02 * np.ptp(flat[cheek, 1])
    unmoved = project_perspective(vertices, before, pose(avatar))
    own = project(vertices, avatar.rotation, avatar.translation, SIZE)
    closed = np.linalg.norm(avatar.head.shown[:N_LANDMARKS], axis=1) < 1e-3
    assert unmoved[closed, :2] == pytest.approx(own[closed, :2], abs=1)


def test_hair_far_behind_the_face_is_hidden_and_before_it_is_not(avatar: CompactAvatar) -> None:
    head, at = avatar.head, pose(avatar, 15)
    skin = render_skin(head, head.skin.vertices, at)
    solid = cv2.erode((skin.colour[..., 3] == 255).astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    green = np.zeros_like(head.hair.texture) + np.array([0, 255, 0, 255], np.uint8)

    def moved(z: float) -> np.ndarray:
        """Hair that is a green curtain, nearer to the viewer or farther."""
        away = np.float32([0, 0, z]) @ at.rotation
        still = head.hair.still + np.float32([0, 0, z])
        hair = replace(head.hair, vertices=head.hair.vertices + away, still=still, texture=green)
        return render(replace(head, hair=hair, behind=None), head.skin.vertices, at)

    behind, before = moved(-1.5), moved(1.0)
    assert (behind[solid, :3] == skin.colour[solid, :3]).all()
    assert (before[..., 1] == 255).sum() > 5000
    assert (before[solid, 1] == 255).any()


def test_the_hair_behind_shows_only_once_the_head_turns(avatar: CompactAvatar) -> None:
    assert avatar.head.behind is not None
    bare = replace(avatar.head, behind=None)
    for yaw, shows in ((0, False), (25, True)):
        with_it, without = (render(h, h.skin.vertices, pose(avatar, yaw)) for h in (avatar.head, bare))
        assert ((with_it[..., 3] > without[..., 3].astype(int) + 60).sum() > 100) == shows


def test_own_pose_fades_as_the_head_turns_away(avatar: CompactAvatar) -> None:
    near = [at_own_pose(avatar.head, pose(avatar, yaw)) for yaw in (0, 3, 6, 30)]
    assert near[0] == pytest.approx(1, abs=1e-4)
    assert near[0] > near[1] > near[2] > near[3] == 0


def test_shoulders_move_with_their_own_shift(avatar: CompactAvatar) -> None:
    head, there = avatar.head, pose(avatar)
    shifted = replace(there, shoulders=np.float32([6, 0]))
    plain, moved = (render(head, head.skin.vertices, p)[..., :3].astype(float) for p in (there, shifted))
    low, face = np.s_[-20:, 40:200], np.s_[70:120, 90:160]
    assert np.abs(moved[low][:, 6:] - plain[low][:, :-6]).mean() < 2
    assert moved[face] == pytest.approx(plain[face])


def test_threads_draw_the_same_frames(model: CompactModel, avatar: CompactAvatar) -> None:
    generator = np.random.default_rng(0)
    motions = [
        (
            0.5 * generator.standard_normal(model.face_model.n_expression),
            avatar.rotation + 0.3 * generator.standard_normal(3),
            avatar.translation,
            np.zeros(2),
        )
        for _ in range(8)
    ]
    alone = [model.renderer.frame(avatar, *motion) for motion in motions]
    with ThreadPoolExecutor(4) as threads:
        together = list(threads.map(lambda motion: model.renderer.frame(avatar, *motion), motions))
    assert all((a == b).all() for a, b in zip(alone, together, strict=True))


def test_paint_sees_the_skin_and_is_drawn_under_the_hair(avatar: CompactAvatar) -> None:
    head, at = avatar.head, pose(avatar)

    def red(colour: np.ndarray) -> np.ndarray:
        assert colour.shape == (SIZE, SIZE, 3)
        return np.full_like(colour, (255, 0, 0))

    frame = render(head, head.skin.vertices, at, red)
    points, _ = placed(head.skin, head.skin.vertices, at)
    column, row = points[NOSE_TIP].astype(int)
    assert frame[row, column].tolist() == [255, 0, 0, 255]
    hair = cv2.erode(head.hair.texture[..., 3], np.ones((9, 9), np.uint8)) == 255
    margin = (len(hair) - SIZE) // 2
    hair = hair[margin : margin + SIZE, margin : margin + SIZE]
    assert hair.sum() > 1000
    assert (np.abs(frame[..., :3].astype(int) - [255, 0, 0]).max(-1)[hair] > 60).mean() > 0.95


@pytest.mark.parametrize("yaw", [0.0, 20.0, -25.0])
def test_a_drawn_head_turns_as_it_is(drawn_layers: LayeredHead, drawn: DrawnHead, yaw: float) -> None:
    """Against the picture of the same head drawn in that pose: outline and colours, without background."""
    rotation = drawn.fit.rotation + np.radians([yaw, 0, 0])
    frame = render(
        drawn_layers, drawn_layers.skin.vertices, Pose.of(rotation, drawn.fit.translation, np.zeros(2), DRAWN)
    )
    true = drawn_head(np.radians(yaw), distance=CAMERA)
    inner = np.s_[true.canvas.margin : -true.canvas.margin, true.canvas.margin : -true.canvas.margin]
    above = np.arange(DRAWN)[:, None] < true.camera.pixels(true.vertices @ true.camera.rotation.T)[CHIN, 1] - 8
    own, shown = frame[..., 3] > 127, true.shown[inner]
    # Fitted sides, and ears as thin as their pictures: 0.05.
    assert ((own != shown) & above).sum() < 0.06 * (shown & above).sum()
    both = cv2.erode((own & shown & above).astype(np.uint8), np.ones((7, 7), np.uint8)) > 0
    assert np.abs(frame[..., :3].astype(float) - true.canvas.colours[inner])[both].mean() < 9
    assert (np.abs(frame[..., :3].astype(int) - BACKGROUND).max(-1)[both] > 60).all()


def test_a_person_without_hair_has_no_hair_behind(drawn_layers: LayeredHead, drawn: DrawnHead) -> None:
    assert drawn_layers.behind is None
    assert isinstance(drawn.canvas, Canvas)
    skin = render_skin(drawn_layers, drawn_layers.skin.vertices, Pose.of(np.zeros(3), np.zeros(3), np.zeros(2), DRAWN))
    assert (skin.depth > FAR).sum() > 5000
