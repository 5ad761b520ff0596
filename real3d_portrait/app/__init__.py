"""The browser interface: one Gradio app with a tab for each job."""

from real3d_portrait.app.stubs import without_stubs

with without_stubs():
    from real3d_portrait.app.blocks import build_app
    from real3d_portrait.app.server import launch

__all__ = ["build_app", "launch"]
