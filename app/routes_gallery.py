"""Routes of the gallery."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from app.context import Context
from app.workflow.gallery import Gallery
from data_io.store import GalleryFilter


def gallery_routes(context: Context) -> APIRouter:
    """A page of images by filter and order, and what there is to filter by."""
    routes, gallery = APIRouter(), Gallery(context.store)

    @routes.get("/gallery")
    def page(
        status: str | None = None,
        group: str | None = None,
        category: str | None = None,
        split: str | None = None,
        score: float | None = None,
        text: str = "",
        sort: str = "added",
        listing: str = "",
        offset: int = 0,
        limit: int = 100,
        find: str | None = None,
    ) -> dict[str, Any]:
        wanted = GalleryFilter(status, group, category, split, score, text.strip())
        return gallery.page(wanted, sort, listing, offset, limit, find)

    @routes.get("/gallery/choices")
    def choices() -> dict[str, Any]:
        return gallery.choices()

    return routes
