"""The pipeline as the app runs it: a visible label where one is asked for, and single frames."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from real3d_portrait.app.draft import Draft
from real3d_portrait.arrays import Frame
from real3d_portrait.errors import StagesUnavailableError
from real3d_portrait.media.audio import Audio, read_audio
from real3d_portrait.media.clip import Clip
from real3d_portrait.models.interface import AnyModel
from real3d_portrait.motion.motion import Motion
from real3d_portrait.pipeline import Real3DPortrait, _background, _controls, _placement
from real3d_portrait.provenance.badge import add_badge
from real3d_portrait.resources import resource

_SPOKEN = 2.0  # seconds of speech among which the widest open mouth is looked for


class Rendering(Real3DPortrait):
    """One job on a loaded model.

    Args:
        model: of a loaded `Real3DPortrait`.
        badge: whether every frame carries a visible label.
        draft: takes a small copy of the frames for somebody who watches.
    """

    def __init__(self, model: AnyModel, badge: bool = False, draft: Draft | None = None) -> None:
        super().__init__(model)
        self._badge, self._draft = badge, draft

    def preview(self, portrait: str, audio: str | None = None, *, folder: Path, **controls: Any) -> Clip:
        """One frame with the mouth at its widest in the first two seconds of speech, as a signed PNG in `folder`.

        Args:
            audio: the speech; None = the bundled example.
            controls: as of `audio_driven`.
        """
        return self.video_driven(portrait, self._widest(audio), output=folder, **{**controls, "pose": "static"})

    def anatomy(self, portrait: str, audio: str | None, mesh: Path, **controls: Any) -> list[tuple[Frame, str]]:
        """The inner stages of the same frame, with titles; the head at rest is written to `mesh` as GLB.

        Raises:
            StagesUnavailableError: another model than the compact one.
        """
        from real3d_portrait.media.glb import write_glb
        from real3d_portrait.models.compact.head_mesh import head_mesh
        from real3d_portrait.models.compact.inner_stages import inner_stages
        from real3d_portrait.models.compact.model import CompactModel

        if not isinstance(self.model, CompactModel):
            raise StagesUnavailableError(model=self.name)
        settings = _controls({**controls, "pose": "static"})
        background = _background(settings)
        prepared = self._portrait(portrait, settings)
        avatar = self.model.reconstruct(prepared)
        motion = self.model.adjust(self._widest(audio), settings.mouth_amplitude, settings.blink)
        placed, _ = self.model.place(avatar, motion, _placement(settings))
        write_glb(head_mesh(avatar), mesh)
        behind = avatar.plate if background.transparent else next(background.frames(avatar.plate))
        return inner_stages(self.model, prepared, avatar, placed, 0, behind).captioned()

    def _widest(self, audio: str | None) -> Motion:
        """One frame of motion, the one with the widest open mouth in the first seconds of speech."""
        sound = read_audio(audio or resource("assets", "examples", "speech_1.wav"))
        spoken = Audio(sound.samples[: round(_SPOKEN * sound.rate)], sound.rate)
        motion = self.model.motion_from_audio(
            spoken, pose="static", mouth_amplitude=1.0, blink="none", temperature=0.0, seed=0
        )
        widest = int(np.argmax(np.linalg.norm(motion.expression, axis=1)))
        still = np.zeros((1, 3), np.float32)
        expression = motion.expression[widest : widest + 1]
        return replace(motion, expression=expression, rotation=still, translation=still)

    def _write(self, job: Any, output: Any, settings: Any) -> Clip:
        if self._badge:
            job = replace(job, frames=labelled(job.frames))
        if self._draft:
            job = replace(job, frames=self._draft.follow(job.frames, job.total, job.audio))
        return super()._write(job, output, settings)


def labelled(frames: Iterator[Frame]) -> Iterator[Frame]:
    """The same frames with a visible label."""
    with closing(frames):  # type: ignore[type-var]
        for frame in frames:
            yield add_badge(frame)
