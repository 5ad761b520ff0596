"""How the app looks. System fonts, so that a page is drawn without asking any other server."""

from __future__ import annotations

import gradio as gr

TITLE = "Real3D-Portrait"
INTRODUCTION = f"""# {TITLE}
One photo and a voice in, a talking portrait out. Everything is computed on the machine that serves this page;
uploads and results are deleted from it within two hours.
"""
RESPONSIBLE = """
Animate yourself, or people who agreed to this very video, and say that it is synthetic wherever you show it. No
impersonation, no fraud, no harassment, no fooling of identity checks. Every result carries a signed, machine-readable
mark as AI-generated; re-encoding and most social networks remove it, so a missing mark proves nothing. The people
in the examples do not exist.
"""
CSS = """
.gradio-container { max-width: 1280px !important; width: 100%; min-width: 0 !important; margin: 0 auto !important; }
.gradio-container { overflow: clip !important; } /* hidden, as it was, nothing inside could stick */
.gradio-container > .main { min-width: 0 !important; padding: clamp(8px, 2vw, 28px) !important; }
.table-wrap { overflow-x: auto !important; }
.consent, .notice { border-left: 4px solid var(--color-accent) !important; }
.notice { padding-left: 12px !important; }
.hint { padding: 0 2px !important; }
.hint, .hint p, .hint li { font-size: var(--text-sm) !important; color: var(--body-text-color-subdued) !important; }
.hint ul { list-style: none; padding: 0; margin: 0; }
.wrap:has(> .validation-error) { position: static !important; padding: 0 !important; pointer-events: auto !important; }
.wrap > .validation-error { position: static !important; width: 100%; margin-bottom: 6px; }
.place { position: relative; height: 400px; flex: none !important; }
.place > * { position: absolute !important; inset: 0; margin: 0 !important; height: 100% !important; }
.place > .frame, .place[data-shows=frame] > :not(.frame, .draft) { visibility: hidden; }
.place[data-shows=frame] > .frame { visibility: visible; }
.place > .draft { z-index: 2; pointer-events: none; }
.place.running > :not(.draft) { visibility: hidden !important; }
.place.running > .draft { background: var(--block-background-fill); pointer-events: auto; }
.place.running > .draft { padding-top: 12px !important; }
.place > .draft > .wrap { visibility: hidden; }
.place > .draft, .place > .draft * { opacity: 1 !important; } /* not faded while it is told news */
.cancel { visibility: hidden; }
.place.running ~ .cancel, .place.running ~ * .cancel { visibility: visible; }
.start { white-space: pre-line !important; min-height: 56px; line-height: 1.3 !important; }
.start.wanting, .start.wanting:hover {
  background: var(--neutral-200) !important; color: var(--neutral-600) !important;
}
.dark .start.wanting, .dark .start.wanting:hover {
  background: var(--neutral-700) !important; color: var(--neutral-200) !important;
}
.asked { outline: 3px solid var(--color-accent) !important; outline-offset: 2px; }
.real3d-toast { position: fixed; z-index: 9999; top: 12px; left: 50%; transform: translateX(-50%);
  width: max-content; max-width: min(92vw, 480px); padding: 12px 18px; border-radius: var(--radius-lg);
  background: var(--neutral-800); color: white; box-shadow: var(--shadow-drop-lg); }
.row > button { align-self: stretch; }
.answer p { font-size: var(--text-md); }
button[role=tab][aria-selected=true] { color: var(--primary-700) !important; }
.dark button[role=tab][aria-selected=true] { color: var(--primary-300) !important; }
:focus-visible { outline: 3px solid var(--color-accent) !important; outline-offset: 2px; }
@media (min-width: 800px) { .results { position: sticky; top: 12px; align-self: flex-start; } }
@media (max-width: 480px) {
  .table-wrap { max-width: calc(100vw - 40px); }
  .tab-container button { padding: 0 6px !important; font-size: 13px !important; }
}
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
        button_primary_background_fill_dark="*primary_700",
        block_label_text_color="*neutral_700",
        block_title_text_color="*neutral_700",
        block_info_text_color="*neutral_600",
        body_text_color_subdued="*neutral_600",
        block_label_background_fill_dark="*primary_800",
        block_title_background_fill_dark="*primary_800",
        checkbox_border_color="*neutral_500",
        checkbox_label_background_fill_selected="*primary_700",
        checkbox_label_background_fill_selected_dark="*primary_700",
    )
