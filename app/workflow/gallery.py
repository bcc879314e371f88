"""The gallery's pages: listings kept in memory while people scroll through them."""

from __future__ import annotations

import secrets
import threading
from array import array
from collections import OrderedDict
from pathlib import PurePath
from typing import Any

from app.workflow.views import status_of
from data_io.store import GalleryFilter, GalleryRow, Store

MOST_ROWS = 500  # of one page
_KEPT = 16  # listings; 100,000 images are 0.8 MB each


class Gallery:
    """Pages of one project's images; thread-safe."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._listings: OrderedDict[str, array[int]] = OrderedDict()
        self._lock = threading.Lock()

    def page(
        self,
        wanted: GalleryFilter,
        order: str,
        listing: str = "",
        offset: int = 0,
        limit: int = 100,
        find: str | None = None,
    ) -> dict[str, Any]:
        """A slice of a listing as JSON.

        Args:
            wanted: what to keep.
            order: see `Store.gallery_order`.
            listing: token of the listing to go on with; an unknown one (the server was started
                anew) begins another, whose token the answer tells.
            offset: first row.
            limit: rows, at most `MOST_ROWS`.
            find: an image whose place in the listing the answer tells, None where it has none.

        Raises:
            DataError: an unknown status, order or image.
        """
        numbers = self._kept(listing)
        if numbers is None:
            numbers = array("q", self._store.gallery_order(wanted, order))
            listing = self._keep(numbers)
        start = max(offset, 0)
        chosen = numbers[start : start + max(1, min(limit, MOST_ROWS))].tolist()
        return {
            "listing": listing,
            "total": len(numbers),
            "offset": start,
            "place": self._place(numbers, find),
            "items": [_row_json(row) for row in self._store.gallery_rows(chosen)],
        }

    def choices(self) -> dict[str, Any]:
        """What the filters offer: groups with their sizes, categories."""
        return {
            "groups": [{"name": name, "images": n} for name, n in self._store.groups().items()],
            "categories": [{"id": one.id, "name": one.name} for one in self._store.categories()],
        }

    def _place(self, numbers: array[int], image: str | None) -> int | None:
        if image is None:
            return None
        number = self._store.image(image).coco_id
        return numbers.index(number) if number in numbers else None

    def _kept(self, listing: str) -> array[int] | None:
        with self._lock:
            if listing in self._listings:
                self._listings.move_to_end(listing)
            return self._listings.get(listing)

    def _keep(self, numbers: array[int]) -> str:
        token = secrets.token_hex(8)
        with self._lock:
            self._listings[token] = numbers
            if len(self._listings) > _KEPT:
                self._listings.popitem(last=False)
        return token


def _row_json(row: GalleryRow) -> dict[str, Any]:
    return {
        "id": row.id,
        "name": PurePath(row.path).name,
        "group": row.group,
        "split": row.split,
        "status": status_of(row.revision, row.verified),
        "score": row.score,
        "instances": row.instances,
        "regions": row.open_regions,
    }
