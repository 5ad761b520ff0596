"""Personal avatars in the app: which ones there are, and their rendering in place of a photo's."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import gradio as gr

from real3d_portrait.app.draft import Draft
from real3d_portrait.arrays import Frame
from real3d_portrait.errors import (
    ConflictingInputsError,
    InputError,
    MissingInputError,
    ParameterChoiceError,
    Real3DError,
)

if TYPE_CHECKING:
    from real3d_portrait.er_nerf.rendering.avatar import Avatar
    from real3d_portrait.media.clip import Clip

VARIABLE = "REAL3D_AVATARS"
HOW_TO = f"""
A personal avatar is learned from one to five minutes of video of one person, who has to agree to it. It takes half an
hour or more on this machine's own command line:

```sh
real3d-portrait avatar train --video me.mp4 --output avatars/me
{VARIABLE}=avatars python app.py
```

From then on the first and the last tab ask who speaks. `real3d-portrait avatar render` makes videos without the page.
"""
_FACTS = "avatar.json"
_OFFERED = ("natural", "static")  # head motion that an avatar knows, besides a video's
_SPOKEN = 2.0  # seconds of speech whose loudest moment is previewed
_LOGGER = logging.getLogger(__name__)


class AvatarControlError(InputError):
    message = "An avatar moves as it was filmed and cannot follow {name}; leave that as it was, or choose the photo."


class Avatars:
    """The trained avatars in a folder, by the names of their own folders.

    Args:
        folder: holds one folder an avatar; None = none are offered.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folders: dict[str, Path] = {}
        if folder is not None:
            found = sorted(folder.iterdir()) if folder.is_dir() else []
            self._folders = {path.name: path for path in found if (path / _FACTS).is_file()}
            if not self._folders:
                _LOGGER.warning("%s names no folder with trained avatars", VARIABLE)
        self._lock = Lock()
        self._loaded: tuple[str, Avatar] | None = None

    @classmethod
    def from_environment(cls) -> Avatars:
        folder = os.environ.get(VARIABLE)
        return cls(Path(folder) if folder else None)

    @property
    def names(self) -> list[str]:
        return list(self._folders)

    def load(self, name: str) -> Avatar:
        """One of `names`; the last one stays loaded.

        Raises:
            ParameterChoiceError: another name. What `Avatar.load` raises, such as AvatarCorruptError.
        """
        from real3d_portrait.er_nerf.rendering.avatar import Avatar
        from real3d_portrait.models.compute import Compute

        if name not in self._folders:
            raise ParameterChoiceError(name="avatar", value=name, choices=", ".join(self._folders) or "none")
        with self._lock:
            if self._loaded is None or self._loaded[0] != name:
                folder = self._folders[name]
                try:
                    self._loaded = name, Avatar.load(folder, Compute.on("auto").device)
                except Real3DError as error:
                    # Where it lies on this machine is nobody's business.
                    facts = {key: str(value).replace(str(folder), name) for key, value in error.facts.items()}
                    raise type(error)(**facts) from None
            return self._loaded[1]


def choice(avatars: Avatars) -> gr.Dropdown:
    """Who speaks: a name, or nothing for the photo; not on the page where there are no avatars."""
    offered = bool(avatars.names)
    return gr.Dropdown(
        label="Who speaks",
        info="An avatar needs no photo. Of the settings it follows background, size, label, and head motion: "
        "natural (as it was filmed), static, or a video's.",
        choices=[("The photo", ""), *((name, name) for name in avatars.names)],
        value="" if offered else None,
        visible=offered,
    )


class AvatarRendering:
    """One job on a trained avatar; its methods take what the pipeline's take.

    Args:
        badge: whether every frame carries a visible label.
        draft: takes a small copy of the frames for somebody who watches.
    """

    def __init__(self, avatar: Avatar, badge: bool = False, draft: Draft | None = None) -> None:
        self._avatar, self._badge, self._draft = avatar, badge, draft
        self._side = min(avatar.camera.height, avatar.camera.width)  # larger pictures would show no more

    def audio_driven(self, *, audio: str | None, output: Path, portrait: str | None = None, **controls: Any) -> Clip:
        """The avatar speaks; a photo that is there as well is not looked at."""
        if audio is None:
            raise MissingInputError(name="audio", cure="a file")
        return self._render(Path(audio), output, controls)

    def background_swap(self, *, video: str | None = None, driving: str | None = None, **named: Any) -> Clip:
        """The same with another background."""
        for name, given in (("video", video), ("driving", driving)):
            if given is not None:
                raise ConflictingInputsError(first=name, second="avatar")
        return self.audio_driven(**named)

    def preview(self, *, audio: str | None, folder: Path, portrait: str | None = None, **controls: Any) -> Clip:
        """The loudest moment of the first two seconds as a signed PNG in `folder`."""
        from real3d_portrait.er_nerf.rendering.speaking import speech_features
        from real3d_portrait.media.audio import Audio, read_audio
        from real3d_portrait.resources import resource
        from real3d_portrait.timing import FPS

        sound = read_audio(audio or resource("assets", "examples", "speech_1.wav"))
        spoken = Audio(sound.samples[: round(_SPOKEN * sound.rate)], sound.rate)
        features = speech_features(self._avatar, spoken)
        each = spoken.rate // FPS
        loudness = [float(abs(spoken.samples[i * each : (i + 1) * each]).sum()) for i in range(len(features))]
        loudest = loudness.index(max(loudness))
        return self._render(None, folder, {**controls, "pose": "static"}, features[loudest : loudest + 1])

    def _render(self, audio: Path | None, output: Path, controls: dict[str, Any], features: Any = None) -> Clip:
        from real3d_portrait.app.rendering import labelled
        from real3d_portrait.background.background import Background
        from real3d_portrait.controls import Controls
        from real3d_portrait.er_nerf.rendering.speaking import render_avatar

        settings = Controls(**controls)
        for name in settings.rendered:
            if name != "pose" or (settings.pose not in _OFFERED and settings.pose_video is None):
                raise AvatarControlError(name=name)

        def through(frames: Iterator[Frame], total: int) -> Iterator[Frame]:
            if self._badge:
                frames = labelled(frames)
            return frames if self._draft is None else self._draft.follow(frames, total, audio)

        return render_avatar(
            self._avatar,
            audio,
            output,
            features=features,
            pose=settings.pose_video or {"natural": "original"}.get(settings.pose, settings.pose),
            background=Background.parse(settings.background, settings.background_fit, settings.seed),
            size=None if settings.size == "source" or settings.size >= self._side else settings.size,
            through=through,
            on_progress=settings.progress,
        )
