"""What the Train page says about validation images."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

from app.pages.validation_view import image_scores, request
from app.validation_set import Standing
from data_io.store import ImageState
from data_io.types import ModelVersion

BLANK = ImageState("", 0, "", "barn/<north>", "val", False, 0, 0, "none", None, None, 0)
NONE = Standing((), (), taught=0, wanted=0, own=False, choice=True)


def image(name: str) -> ImageState:
    return replace(BLANK, id=f"id-{name}", path=f"/photos/{name}")


def version(id: str, **gate: Any) -> ModelVersion:
    moment = datetime.now(timezone.utc)
    return ModelVersion(id, None, "j", "", {}, (), "s", {"gate": gate}, "aside", moment)


def score(iou: float, animals: int = 2) -> dict[str, Any]:
    return {"iou": iou, "animals": animals, "truth": 3, "revision": 1}


def test_images_that_are_asked_for_open_at_a_click_and_names_are_text() -> None:
    shown = request(
        replace(NONE, judges=(image("a.png"),), asked=(image("<b>.png"), image("c.png"))), 20
    )
    assert shown.count('data-action="open"') == 2
    assert 'data-key="id-&lt;b&gt;.png"' in shown
    assert "&lt;north&gt;" in shown
    assert "<b>.png" not in shown
    assert "1 of 3 images verified whole" in shown
    assert "no version learns from them" in shown


def test_it_says_why_nothing_is_asked_for() -> None:
    for standing, most, told in (
        (NONE, 20, "From 5 images verified whole on, Herdmark asks for 3 more"),
        (NONE, 0, "The settings ask for none"),
        (replace(NONE, taught=9, wanted=3), 20, "The next training sets 3 images aside"),
        (replace(NONE, taught=9, choice=False), 20, "Every image is labeled already"),
        (replace(NONE, taught=9), 20, "too few images"),
        (replace(NONE, own=True), 20, "none is for validation"),
        (replace(NONE, own=True, judges=(image("a"),)), 20, "1 validation image of the split you"),
        (replace(NONE, judges=(image("a"),)), 20, "with every 5 further verified images, up to 20"),
    ):
        assert told in request(standing, most)


def test_each_image_tells_what_was_measured_last() -> None:
    images = {one.id: one for one in (image("a.png"), image("b.png"), image("c.png"))}
    first = version("v1", against=None, images={"id-a.png": score(0.5)})
    second = version(
        "v2",
        against="v1",
        images={"id-a.png": score(0.75, 3), "id-b.png": score(0.25)},
        against_images={"id-a.png": score(0.625), "id-b.png": score(0.125)},
    )
    shown = image_scores([second, first], images)
    for words in ("75.0 % · 3 of 3", "62.5 % · 2 of 3", "12.5 %", "a.png", "b.png"):
        assert words in shown
    assert "50.0 %" not in shown
    assert "c.png" not in shown
    assert image_scores([version("v1")], images) == ""
