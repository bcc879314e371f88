"""What the Data page does with images: exclude, include, follow a moved folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from app.context import Context
from app.pages import data
from app.pages.data import DataPage
from app.pages.data_view import ANY, EXCLUDED
from app.workflow import proposals
from data_io.errors import DataError
from data_io.store import Store


@pytest.fixture
def page(context: Context) -> Iterator[DataPage]:
    with gr.Blocks():
        yield data.build(context)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Store]:
    """The stores for which missing proposals were asked for."""
    calls: list[Store] = []
    monkeypatch.setattr(proposals, "ensure", calls.append)
    return calls


def cards(page: DataPage, status: str = ANY) -> str:
    shown: Any = page.browse(status, ANY, "", 0)[1]
    return str(shown)


def test_an_excluded_image_leaves_the_gallery_and_comes_back(
    page: DataPage, store: Store, asked: list[Store]
) -> None:
    image = store.images()[0].id
    page.exclude(image, True)
    assert image not in cards(page)
    assert f'data-action="include" data-key="{image}"' in cards(page, EXCLUDED)
    assert asked == []
    page.exclude(image, False)
    assert f'data-action="exclude" data-key="{image}"' in cards(page)
    assert image not in cards(page, EXCLUDED)
    assert asked == [store]


def test_moved_photos_are_found_again(
    page: DataPage, store: Store, photos: Path, tmp_path: Path, asked: list[Store]
) -> None:
    moved = photos.rename(tmp_path / "archive")
    page.relink(str(photos), f" {moved} ")
    assert {Path(record.path).parent for record in store.images()} == {moved}
    assert asked == [store]


def test_a_wrong_folder_is_a_sentence(page: DataPage, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for old, new, told in (
        ("", str(tmp_path), "no path"),
        (str(photos), "", "type the path"),
        (str(photos), str(tmp_path / "empty"), "none of the project's images"),
        (str(photos), "/etc", "may not read"),
    ):
        with pytest.raises(DataError, match=told):
            page.relink(old, new)


def test_links_that_leave_the_allowed_folders_are_not_followed(
    context: Context, page: DataPage, photos: Path, tmp_path: Path
) -> None:
    inside = context.store.project / "images" / "again"
    inside.mkdir(parents=True)
    inside.joinpath("0.png").symlink_to("/etc/passwd")
    with pytest.raises(DataError, match="holds none"):  # other bytes than the picture's
        page.relink(str(photos), str(inside))
