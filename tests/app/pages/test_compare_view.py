"""Model versions side by side."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

from app.pages import compare_view, train_view
from data_io.types import Job, ModelVersion

NOW = datetime.now(timezone.utc)


def version(number: int, metrics: dict[str, Any], **config: Any) -> ModelVersion:
    made = NOW + timedelta(minutes=number)
    parent, job = f"v{number - 1}", f"j{number}"
    return ModelVersion(
        f"v{number}", parent, job, "", config, ("c",), f"s{number}", metrics, "aside", made
    )


OLD = version(1, {"iou": 0.5, "on": "validation"}, method="u2pl", start="scratch", crop=256)
NEW = version(2, {"iou": 0.625, "on": "training"}, method="u2pl", start="warm", crop=256)


def test_figures_come_with_their_difference_and_the_oldest_first() -> None:
    shown = compare_view.comparison([NEW, OLD])
    assert shown.index('<th scope="col">v1') < shown.index('<th scope="col">v2')
    assert "<td>50.0 %</td><td>62.5 % (+12.5)</td>" in shown


def test_only_what_differs_is_marked_and_equal_settings_are_left_out() -> None:
    shown = compare_view.comparison([OLD, NEW])
    assert 'setting start <span class="hm-badge hm-differs">differs</span>' in shown
    assert "<td>setting method</td><td>u2pl</td><td>u2pl</td>" in shown
    assert "setting crop" not in shown
    assert 'judged on <span class="hm-badge hm-differs">' in shown


def test_the_data_comes_from_the_jobs() -> None:
    labels = {"images": 7, "regions": 12, "edits": 9}
    job = Job("j2", "train", "done", {"labels": labels}, NOW, NOW)
    shown = compare_view.comparison([OLD, NEW], [job])
    assert "<td>–</td><td>7</td>" in shown
    assert "<td>–</td><td>12</td>" in shown


def test_fewer_than_two_say_what_to_do() -> None:
    assert "Choose two versions" in compare_view.comparison([])
    assert "Choose one more version" in compare_view.comparison([OLD])


def test_a_click_adds_a_version_and_another_click_removes_it() -> None:
    chosen = compare_view.toggled(("a",), "b")
    assert chosen == ("a", "b")
    assert compare_view.toggled(chosen, "a") == ("b",)
    assert compare_view.toggled(("a", "b", "c", "d"), "e") == ("b", "c", "d", "e")
    assert "Compared ✓" in train_view.versions_table([OLD, NEW], (), ("v1",))


def test_names_are_text() -> None:
    odd = version(3, {"on": "<b>"}, method="<i>")
    shown = compare_view.comparison([OLD, odd])
    assert "<b>" not in shown
    assert "&lt;i&gt;" in shown
