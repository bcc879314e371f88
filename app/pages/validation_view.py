"""What the Train page says about validation images: which are asked for and why, and how the
versions did on each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from app.pages.words import file_name, group_word, name_of, plural, short, table, text
from app.validation_set import EVERY, FIRST, START, Standing
from data_io.store import ImageState
from data_io.types import ModelVersion

SHOWN = 12  # images asked for at once
VERSIONS = 5  # newest ones that are shown
PURPOSE = (
    "They tell whether a new version is better than the one in use, so no version learns from them."
)
Scores = Mapping[str, Any]


def request(standing: Standing, most: int) -> str:
    """Which images are asked for, and why; a click on one opens it on the Label page.

    Args:
        most: the setting `validation`.
    """
    if standing.asked:
        return _asked(standing)
    done = plural(len(standing.judges), "validation image")
    if standing.own:
        body = (
            f"{done} of the split you made. {PURPOSE}"
            if standing.judges
            else "You divided the images yourself and none is for validation, so new versions are"
            " used without a check. Draw a split with a share for val to change that."
        )
    elif standing.judges:
        body = f"All {done} are verified. {_rule(most)}"
    else:
        body = _none(standing, most)
    return f'<p class="hm-hint">{text(body)}</p>'


def image_scores(versions: Sequence[ModelVersion], images: Mapping[str, ImageState]) -> str:
    """A folded table: IoU and number of animals of the newest versions on each validation image."""
    scores = known_scores(versions)
    newest = [one for one in versions if scores.get(one.id)][:VERSIONS]
    rows = [id for id in images if any(id in scores[one.id] for one in newest)]
    if not rows:
        return ""
    heads = ("Validation image", *(short(one.id) for one in newest))
    body = [
        (text(name_of(images[id].path)), *(_cell(scores[one.id].get(id)) for one in newest))
        for id in rows
    ]
    return (
        "<details><summary>Scores on each validation image</summary>"
        f"{table(heads, body, 'scores of each version on each validation image')}"
        '<p class="hm-hint">IoU of animal pixels; animals found of those there are.</p></details>'
    )


def known_scores(versions: Sequence[ModelVersion]) -> dict[str, dict[str, Scores]]:
    """Version -> image -> its newest score, also those made when a later version was judged."""
    found: dict[str, dict[str, Scores]] = {}
    for version in reversed(versions):  # oldest first: what was measured last counts
        gate = version.metrics.get("gate")
        if isinstance(gate, Mapping):
            found.setdefault(version.id, {}).update(gate.get("images") or {})
            if gate.get("against"):
                before = found.setdefault(str(gate["against"]), {})
                before.update(gate.get("against_images") or {})
    return found


def _asked(standing: Standing) -> str:
    count = len(standing.judges) + len(standing.asked)
    state = f"{len(standing.judges):,} of {plural(count, 'image')} verified whole."
    rows = "".join(_button(one) for one in standing.asked[:SHOWN])
    return (
        f'<p class="hm-hint"><b>Please label these and accept each whole.</b> {text(PURPOSE)}'
        f' {text(state)}</p><div class="hm-asked">{rows}</div>'
    )


def _button(one: ImageState) -> str:
    key, name = text(one.id), text(name_of(one.path))
    where = f"<i>{text(group_word(one.group))}</i>" if one.group else ""
    return (
        f'<button type="button" class="hm-row" data-action="open" data-key="{key}"'
        f' title="open {name}"><img loading="lazy" alt="" src="api/images/{key}/thumbnail">'
        f"<span>{file_name(name_of(one.path))}{where}</span></button>"
    )


def _none(standing: Standing, most: int) -> str:
    if not most:
        return "The settings ask for none, so new versions are used without a check."
    if standing.taught < START:
        return (
            f"From {START} images verified whole on, Herdmark asks for {FIRST} more. {PURPOSE}"
            " Until then a new version is used unless it finds nothing."
        )
    if not standing.choice:
        return (
            "Every image is labeled already, so none was set aside and new versions are used"
            " without a check. Draw a split with a share for val to change that."
        )
    if not standing.wanted:
        return "The project has too few images to set any aside."
    return f"The next training sets {plural(standing.wanted, 'image')} aside. {PURPOSE}"


def _rule(most: int) -> str:
    return f"One more is asked for with every {EVERY} further verified images, up to {most}."


def _cell(score: Scores | None) -> str:
    if score is None:
        return "–"
    return f"{100 * score['iou']:.1f} % · {score['animals']} of {score['truth']}"
