"""The page: four tabs, one look, no request to another host."""

from __future__ import annotations

from pathlib import Path

import gradio as gr
from fastapi import FastAPI

from app.context import Context
from app.pages import data, insight, label, train
from app.pages.told import told
from app.pages.words import text
from app.security import MAX_UPLOAD_BYTES

STYLE = Path(__file__).parent / "static" / "pages.css"
SANS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "DejaVu Sans", "sans-serif")
MONO = ("ui-monospace", "SFMono-Regular", "Menlo", "DejaVu Sans Mono", "monospace")
# Pasture green: one accent, dark enough for white text on it (contrast 6:1).
ACCENT = gr.themes.Color(
    name="pasture",
    c50="#eef7f2",
    c100="#d6ebdf",
    c200="#aed7c1",
    c300="#7fbd9e",
    c400="#4f9f7c",
    c500="#2b8262",
    c600="#1f6f54",
    c700="#1a5a45",
    c800="#164838",
    c900="#123b2f",
    c950="#0a241d",
)


def theme() -> gr.themes.Base:
    """Dense, flat, with the system's own fonts."""
    return gr.themes.Base(
        primary_hue=ACCENT,
        secondary_hue=ACCENT,
        neutral_hue=gr.themes.colors.gray,
        font=SANS,
        font_mono=MONO,
        text_size=gr.themes.sizes.text_sm,
        spacing_size=gr.themes.sizes.spacing_sm,
        radius_size=gr.themes.sizes.radius_sm,
    ).set(
        body_background_fill="#f4f6f5",
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_hover="*primary_700",
        button_primary_text_color="white",
        button_large_text_size="*text_md",
        button_large_text_weight="600",
        button_large_padding="6px 12px",
        body_text_color_subdued="#55605b",
        block_label_text_size="*text_sm",
        block_shadow="none",
        block_border_color="#d9e0dc",
        layout_gap="8px",
    )


def build(context: Context) -> gr.Blocks:
    """All pages, wired."""
    with gr.Blocks(
        title="Herdmark",
        fill_width=True,
        analytics_enabled=False,
        delete_cache=(3600, 3600),  # uploads that were never added to the project
    ) as demo:
        name = text(context.store.project.name)
        gr.HTML(
            f'<span class="hm-mark">Herdmark</span><span class="hm-project">{name}</span>',
            elem_id="hm-brand",
            js_on_load=None,
        )
        with gr.Tabs(selected="label", elem_id="hm-tabs") as tabs:
            with gr.Tab("Label", id="label") as label_tab:
                label_page = label.build(context)
            with gr.Tab("Train", id="train", render_children=True) as train_tab:
                train_page = train.build(context)
            with gr.Tab("Insight", id="insight", render_children=True) as insight_tab:
                insight_page = insight.build(context)
            with gr.Tab("Data", id="data", render_children=True) as data_tab:
                data_page = data.build(context)
        label.wire(label_page, demo, tabs)
        train.wire(train_page, demo, train_tab, tabs, label_page)
        insight.wire(insight_page, insight_tab, (label_tab, train_tab, data_tab))
        data.wire(data_page, demo, data_tab, tabs, label_page)
        label_tab.select(
            told(label_page.again),
            label_page.image,
            label_page.outputs,
            show_progress="hidden",
            api_visibility="private",
        )
    return demo


def mount(app: FastAPI, context: Context) -> FastAPI:
    """Put the page on every path that `app` does not serve itself."""
    demo = build(context)
    # Several people and a canvas share one process: the default of one call at a time is a queue.
    demo.queue(default_concurrency_limit=8, api_open=False)
    return gr.mount_gradio_app(
        app,
        demo,
        path="/",
        theme=theme(),
        css_paths=[STYLE],
        show_error=False,
        run_history=False,
        footer_links=[],
        max_file_size=MAX_UPLOAD_BYTES,
        enable_monitoring=False,
        ssr_mode=False,
        pwa=False,
        blocked_paths=[str(context.store.project)],
    )
