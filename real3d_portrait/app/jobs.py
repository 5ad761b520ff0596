"""What the app makes of a request, put together from the pipeline's public steps."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from real3d_portrait.arrays import Frame
from real3d_portrait.controls import Controls
from real3d_portrait.media.audio import Audio, read_audio
from real3d_portrait.provenance.badge import add_badge
from real3d_portrait.resources import resource

if TYPE_CHECKING:
    from real3d_portrait.app.draft import Draft
    from real3d_portrait.media.clip import Clip
    from real3d_portrait.models.interface import Frames
    from real3d_portrait.motion.motion import Motion
    from real3d_portrait.pipeline import Real3DPortrait
    from real3d_portrait.rendering import Rendering

_SPOKEN = 2.0  # seconds of speech among which the widest open mouth is looked for


def finish(rendering: Rendering, output: Path, badge: bool, draft: Draft | None = None) -> Clip:
    """Write a rendering.

    Args:
        badge: whether every frame carries a visible label.
        draft: takes a small copy of the frames for somebody who watches.
    """
    if badge:
        rendering = rendering.through(with_badges)
    if draft is not None:
        rendering = rendering.through(
            lambda frames: draft.follow(frames, rendering.total, rendering.audio, rendering.fps)
        )
    return rendering.save(output)


def preview(pipeline: Real3DPortrait, portrait: str | None, audio: str | None, controls: Controls) -> Rendering:
    """One frame with the mouth at its widest in the first two seconds of speech.

    Args:
        audio: the speech; None: the bundled example.
    """
    motion = widest_mouth(pipeline, audio)
    return pipeline.video_driven(portrait, motion, **{**vars(controls), "pose": "static"})


def anatomy(
    pipeline: Real3DPortrait, portrait: str, audio: str | None, mesh: Path, controls: Controls
) -> list[tuple[Frame, str]]:
    """The inner stages of the same frame, with titles; the head at rest is written to `mesh` as GLB.

    Raises:
        StagesUnavailableError: another model than the compact one.
    """
    from real3d_portrait.media.glb import write_glb
    from real3d_portrait.models.compact.avatar import CompactAvatar
    from real3d_portrait.models.compact.head_mesh import head_mesh

    size = None if controls.size == "source" else controls.size
    avatar = pipeline.reconstruct(pipeline.prepare(portrait, size=size, face=controls.face))
    stages = pipeline.inner_stages(avatar, widest_mouth(pipeline, audio), controls)
    assert isinstance(avatar, CompactAvatar)  # no other has stages
    write_glb(head_mesh(avatar), mesh)
    return stages.captioned()


def widest_mouth(pipeline: Real3DPortrait, audio: str | None) -> Motion:
    """One frame of motion, that of the strongest expression in the first seconds of speech."""
    sound = read_audio(audio or resource("assets", "examples", "speech_1.wav"))
    spoken = Audio(sound.samples[: round(_SPOKEN * sound.rate)], sound.rate)
    motion = pipeline.motion_from_audio(spoken, temperature=0.0)
    blinks = "blink" in pipeline.model.unsupported_controls  # a personal avatar's expression has none of its own
    still = pipeline.apply_controls(motion, Controls(pose="static", blink="natural" if blinks else "none"))
    widest = int(np.argmax(np.linalg.norm(still.expression, axis=1)))
    return still[widest : widest + 1]


def with_badges(frames: Frames) -> Frames:
    """The same frames with a visible label."""
    with closing(frames):
        for frame in frames:
            yield add_badge(frame)
