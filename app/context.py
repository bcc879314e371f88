"""What every route and page of one running server shares."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from app.assistant import Assistant
from app.queue import Queue
from app.retrainer import Retrainer
from app.security import PathGuard
from data_io.artifacts import Artifacts
from data_io.store import Store


@dataclass(frozen=True)
class Context:
    """The open project and the paths its users may name."""

    store: Store
    guard: PathGuard
    artifacts: Artifacts
    queue: Queue
    retrainer: Retrainer
    assistant: Assistant

    @classmethod
    def of(cls, store: Store, guard: PathGuard) -> Context:
        """The context of an open store."""
        own = Artifacts(store.project), Queue(store), Retrainer(store), Assistant(store)
        return cls(store, guard, *own)

    @property
    def exports(self) -> Path:
        """Folder of the files made by the Data page."""
        return self.store.project / "exports"
