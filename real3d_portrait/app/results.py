"""The panel at the right: what came out of any of the tabs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr
from gradio.components import Component

from real3d_portrait.app.draft_player import draft_player
from real3d_portrait.app.head_viewer import head_viewer
from real3d_portrait.app.uploads import FinishedVideo

PLACE = 400  # pixels, the height of the one place where draft, progress and result stand


@dataclass(frozen=True)
class Results:
    """The shared outputs; laid out by `build`, used by every tab.

    Attributes:
        draft: plays the video in small while it is made.
        video, facts, manifest: of a finished job; the manifest is a file for WebM only, which cannot hold it.
        gif: stands in the video's place where that is a GIF, which no video player shows.
        frame: a single frame to look at first.
        cancel: stops what runs.
        stages, mesh: what the model holds between photo and frame, and the head at rest.
        anatomy: the section that holds both.
    """

    draft: gr.HTML
    video: FinishedVideo
    gif: gr.Image
    facts: gr.JSON
    manifest: gr.File
    frame: gr.Image
    cancel: gr.Button
    stages: gr.Gallery
    mesh: gr.HTML
    anatomy: gr.Accordion

    @classmethod
    def create(cls, fields: dict[str, str]) -> Results:
        """The components, not yet on the page; fields as in `draft_player`."""
        return cls(
            draft=draft_player("result", fields),
            video=FinishedVideo(
                label="Result",
                interactive=False,
                height=PLACE,
                autoplay=True,
                buttons=["download"],
                elem_id="result",
                render=False,
            ),
            gif=gr.Image(
                label="Result (GIF)",
                interactive=False,
                height=PLACE,
                buttons=["download"],
                visible="hidden",
                render=False,
            ),
            facts=gr.JSON(label="Facts", render=False),
            manifest=gr.File(label="Content Credentials of the WebM", interactive=False, height=90, render=False),
            frame=gr.Image(
                label="Preview of one frame",
                interactive=False,
                height=PLACE,
                buttons=["fullscreen"],
                elem_classes="frame",
                render=False,
            ),
            cancel=gr.Button("Cancel", variant="stop", size="sm", elem_classes="cancel", render=False),
            stages=gr.Gallery(label="From photo to frame", columns=3, height=320, interactive=False, render=False),
            mesh=head_viewer(),
            anatomy=gr.Accordion("How the frame is made", open=False, elem_classes="anatomy", render=False),
        )

    def forget(self, photo: gr.Image) -> None:
        """Take the preview of a photo away when another one comes."""
        photo.change(
            None,
            None,
            self.frame,
            js="() => { document.getElementById('place').dataset.shows = 'result'; return null; }",
            api_visibility="private",
        )

    def build(self) -> None:
        """Lay them out inside the current Blocks."""
        with gr.Column(elem_classes="place", elem_id="place"):
            self.video.render()
            self.gif.render()
            self.frame.render()
            self.draft.render()
        self.video.change(
            _in_its_place,
            self.video,
            [self.video, self.gif],
            queue=False,
            show_progress="hidden",
            api_visibility="private",
        )
        self.cancel.render()
        gr.Markdown("Rendered here and deleted within two hours: download what you want to keep.", elem_classes="hint")
        self.anatomy.render()
        with self.anatomy:
            gr.Markdown("“Show how it is made” fills this from the photo of the first tab.", elem_classes="hint")
            self.stages.render()
            self.mesh.render()
        with gr.Accordion("Facts for the curious", open=False):
            self.facts.render()
            self.manifest.render()
            gr.Markdown("A WebM's credentials are a file of their own; keep the two together.", elem_classes="hint")


@dataclass(frozen=True)
class Tab:
    """What a tab brought: its events, for cancelling, and its inputs by parameter name."""

    events: list[Any]
    inputs: dict[str, Component]


def _in_its_place(made: str | None) -> tuple[Any, Any]:
    """Updates of video and picture: the one is seen, the other is not."""
    if made and made.endswith(".gif"):
        return gr.update(visible="hidden"), gr.update(visible=True, value=made)
    return gr.update(visible=True), gr.update(visible="hidden", value=None)
