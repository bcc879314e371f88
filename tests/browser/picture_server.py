"""The real routes over a real project of many images, and the plain page that mounts the canvas.

The rows are those of the gallery's benchmark.
"""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import numpy as np
from fastapi import FastAPI
from fastapi.responses import HTMLResponse
from fastapi.staticfiles import StaticFiles

from app.context import Context
from app.routes import add_routes
from app.security import PathGuard
from data_io.images import inspect
from data_io.store import NewImage, Store
from data_io.types import ImageRecord, Instance, Part


def add_picture(store: Store, file: Path, animals: int = 0) -> ImageRecord:
    """Register a picture, with drawn squares in a row where asked for."""
    info = inspect(file)
    new = NewImage(info.path, info.width, info.height, info.sha256, "large")
    record = store.add_images([new])[0]
    if animals:
        category = store.add_category("cow").id
        corner = np.array([[0, 0], [200, 0], [200, 150], [0, 150]], float)
        herd = [
            Instance(
                uuid.UUID(int=k + 1).hex, category, (Part(corner + np.array([300 * k + 40, 60])),)
            )
            for k in range(animals)
        ]
        store.save_revision(record.id, 0, herd, (), "test")
    return record


def build(store: Store, page: str, static: Path) -> FastAPI:
    """The app: page, static files and the product's routes."""
    app = FastAPI()
    context = Context.of(store, PathGuard.of(store.project))
    add_routes(app, context)
    app.state.assistant = context.assistant  # for tests that answer clicks themselves

    @app.get("/")
    def index(value: str = "null") -> Any:
        return HTMLResponse(page % value)

    app.mount("/herdmark-static", StaticFiles(directory=static))
    return app
