"""Small sentences and escaped HTML pieces that the pages share."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timezone
from html import escape
from pathlib import PurePath

TAIL = 10  # characters of a file name that are never cut
STATUS_WORDS = {
    "unlabeled": "unlabeled",
    "draft": "draft",
    "partial": "partly verified",
    "verified": "verified",
    "excluded": "excluded",
}


def text(value: object) -> str:
    """Any value as HTML text: a name is never markup."""
    return escape(str(value), quote=True)


def plural(count: int, noun: str, many: str = "") -> str:
    """``1 image``, ``3 images``."""
    return f"{count:,} {noun if count == 1 else many or noun + 's'}"


def age(moment: datetime, now: datetime | None = None) -> str:
    """``just now``, ``5 min ago``, ``3 h ago``, ``2 days ago``; naive times are UTC."""
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=timezone.utc)
    seconds = ((now or datetime.now(timezone.utc)) - moment).total_seconds()
    if seconds < 60:
        return "just now"
    for limit, size, noun in ((3600, 60, "min"), (172800, 3600, "h")):
        if seconds < limit:
            return f"{int(seconds // size)} {noun} ago"
    return f"{int(seconds // 86400)} days ago"


def duration(seconds: float) -> str:
    """``40 s``, ``3 min 20 s``, ``2 h 5 min``."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s" if whole % 60 else f"{whole // 60} min"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def badge(status: str) -> str:
    """A colored word; the word carries the meaning, the color only repeats it."""
    return (
        f'<span class="hm-badge hm-{text(status)}">{text(STATUS_WORDS.get(status, status))}</span>'
    )


def button(action: str, key: str, caption: str, *, kind: str = "", title: str = "") -> str:
    """A button whose click reaches Python as the event `act` of an ActionHTML."""
    hint = f' title="{text(title)}"' if title else ""
    return (
        f'<button type="button" class="hm-button {kind}" data-action="{text(action)}"'
        f' data-key="{text(key)}"{hint}>{text(caption)}</button>'
    )


def empty(headline: str, advice: str) -> str:
    """What a page says when there is nothing to show yet, with the next step."""
    return f'<div class="hm-empty"><b>{text(headline)}</b><p>{text(advice)}</p></div>'


def table(heads: Iterable[str], rows: Iterable[Iterable[str]], caption: str, kind: str = "") -> str:
    """A table of ready HTML cells (escape with `text` first); `kind` is a further CSS class."""
    head = "".join(f'<th scope="col">{text(name)}</th>' for name in heads)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return (
        f'<div class="hm-scroll"><table class="hm-table {kind}" aria-label="{text(caption)}">'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def short(identifier: str) -> str:
    """The part of a long id that people compare."""
    return identifier if len(identifier) <= 14 else identifier[:12] + "…"


def name_of(path: str) -> str:
    """The file name of an image path."""
    return PurePath(path).name


def file_name(name: str) -> str:
    """A file name as HTML that is cut in its middle where it is too long: frames differ at the end.

    The whole name is its title.
    """
    parts = "".join(f"<span>{text(part)}</span>" for part in (name[:-TAIL], name[-TAIL:]))
    return f'<b class="hm-cut" title="{text(name)}">{parts}</b>'


def group_word(group: str) -> str:
    """The last folder of a group: what tells it apart on a small card."""
    return group.rstrip("/").rsplit("/", 1)[-1]


def percent(share: float | None) -> str:
    """``87.5 %``, or a dash."""
    return "–" if share is None else f"{100 * share:.1f} %"
