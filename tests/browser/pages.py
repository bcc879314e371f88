"""Ways around the app's pages that several browser tests take."""

from __future__ import annotations

from typing import Any


def open_tab(page: Any, name: str) -> None:
    """Press a page's tab."""
    page.get_by_role("tab", name=name, exact=True).click()


def wait_image(page: Any, but: str = "") -> str:
    """The id of the image on the canvas once it is one other than `but` and drawn."""
    found = page.wait_for_function(
        "(but) => { const id = document.querySelector('.hm-root')?.dataset.ready;"
        " return id && id !== but && id; }",
        arg=but,
    )
    return str(found.json_value())
