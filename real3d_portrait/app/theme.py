"""How the app looks. System fonts, so that a page is drawn without asking any other server."""

from __future__ import annotations

import gradio as gr

TITLE = "Real3D-Portrait"
INTRODUCTION = f"""# {TITLE}
One photo and a voice in, a talking portrait out. Everything is computed on the machine that serves
this page, and uploads and results are deleted from it within two hours.
"""
CSS = """
.gradio-container { max-width: 1200px !important; margin: 0 auto !important; }
.consent, .notice { border-left: 4px solid var(--color-accent); padding-left: 12px; }
@media (max-width: 480px) { .tab-container button { padding: 0 6px !important; font-size: 13px !important; } }
"""


def theme() -> gr.themes.Base:
    return gr.themes.Soft(
        primary_hue="teal",
        neutral_hue="slate",
        font=["system-ui", "sans-serif"],
        font_mono=["ui-monospace", "monospace"],
    ).set(
        body_background_fill="*neutral_50",
        block_border_width="1px",
        block_border_color="*neutral_200",
        button_primary_background_fill="*primary_700",
        button_primary_background_fill_hover="*primary_800",
        block_label_text_color="*neutral_700",
        block_title_text_color="*neutral_700",
        checkbox_border_color="*neutral_500",
    )
