"""The part of the Train page that says when trainings start by themselves, and changes it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from app import settings

STARTS = (("published weights (from scratch)", "scratch"), ("the version in use", "warm"))
NAMES = ("retrain_images", "retrain_regions", "retrain_idle", "retrain_start", "scratch_every")


@dataclass(frozen=True)
class Automatic:
    """Components, by the name of the setting each changes, and the button that stores them."""

    form: dict[str, Any]
    store: gr.Button

    @property
    def inputs(self) -> list[Any]:
        """The components in the order of `NAMES`."""
        return [self.form[name] for name in NAMES]


def build(project: Path) -> Automatic:
    """Lay it out with the project's settings."""
    chosen = settings.load(project)
    with gr.Accordion("By itself", open=False, elem_id="automatic"):
        form: dict[str, Any] = {
            "retrain_images": gr.Number(
                chosen.retrain_images, label="After accepted images", info="0 = off", precision=0
            ),
            "retrain_regions": gr.Number(
                chosen.retrain_regions, label="After answered regions", info="0 = off", precision=0
            ),
            "retrain_idle": gr.Number(
                chosen.retrain_idle, label="After minutes without work", info="0 = off"
            ),
            "retrain_start": gr.Dropdown(
                STARTS, value=chosen.retrain_start, label="Trainings begin with"
            ),
            "scratch_every": gr.Number(
                chosen.scratch_every,
                label="From scratch every Nth training",
                info="N, of those that may begin with the version in use",
                precision=0,
            ),
        }
        button = gr.Button("Store", elem_id="store-automatic")
    return Automatic(form, button)


def change(project: Path, *values: Any) -> None:
    """Store the form's values, in the order of `NAMES`.

    Raises:
        DataError: a value does not fit; nothing was stored.
    """
    told = dict(zip(NAMES, values, strict=True))
    for name in ("retrain_images", "retrain_regions", "scratch_every"):
        told[name] = int(told[name] or 0)
    settings.change(project, **{**told, "retrain_idle": float(told["retrain_idle"] or 0)})
