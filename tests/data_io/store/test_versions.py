"""Model versions: at most one promoted, the others kept."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from data_io.errors import DataError, StoreError
from data_io.store import Store
from data_io.types import ModelVersion, VersionState


def version(id: str, state: VersionState = "aside", parent: str | None = None) -> ModelVersion:
    created = datetime(2026, 3, 1, 12, 30, 15, 123456, tzinfo=timezone(timedelta(hours=2)))
    config, metrics = {"crop": 256, "rates": [2, 4, 6]}, {"val_iou": 0.69, "loss": None}
    return ModelVersion(
        id, parent, "job", "beef", config, ("cow-id", "calf-id"), "hash", metrics, state, created
    )


def test_a_version_comes_back_as_it_was(store: Store) -> None:
    given = version("v1", parent="v0")
    assert store.add_version(given) == given
    assert store.version("v1") == given
    assert store.version("v1").created.utcoffset() == timedelta(0)
    assert store.promoted() is None


def states(store: Store) -> dict[str, str]:
    return {one.id: one.state for one in store.versions()}


def test_a_promotion_retires_the_one_before(store: Store) -> None:
    for id in ("v1", "v2", "v3"):
        store.add_version(version(id))
    store.promote("v1")
    assert store.promote("v2").state == "promoted"
    assert states(store) == {"v3": "aside", "v2": "promoted", "v1": "retired"}
    store.promote("v1")  # roll back
    assert states(store) == {"v3": "aside", "v2": "retired", "v1": "promoted"}
    store.promote("v1")
    promoted = store.promoted()
    assert promoted is not None
    assert promoted.id == "v1"


def test_versions_are_listed_newest_first(store: Store) -> None:
    for id in ("b", "a", "c"):
        store.add_version(version(id))
    assert [one.id for one in store.versions()] == ["c", "a", "b"]


def test_a_version_can_arrive_promoted(store: Store) -> None:
    store.add_version(version("v1", "promoted"))
    store.add_version(version("v2", "promoted"))
    assert states(store) == {"v2": "promoted", "v1": "retired"}


def test_unknown_and_doubled_versions_are_refused(store: Store) -> None:
    store.add_version(version("v1", "promoted"))
    with pytest.raises(DataError, match="registered already"):
        store.add_version(version("v1"))
    with pytest.raises(DataError, match="no state"):
        store.add_version(version("v2", "best"))  # type: ignore[arg-type]
    for call in (store.version, store.promote):
        with pytest.raises(DataError, match="not in this project"):
            call("ghost")
    assert states(store) == {"v1": "promoted"}


def test_the_database_itself_allows_one_promoted_version(store: Store) -> None:
    store.add_version(version("v1", "promoted"))
    store.add_version(version("v2"))
    with pytest.raises(StoreError), store._write() as connection:
        connection.exec_driver_sql("UPDATE model_versions SET state = 'promoted'")
    assert states(store) == {"v2": "aside", "v1": "promoted"}


def test_rounds_count_the_versions_ever_promoted(store: Store) -> None:
    assert store.standing() == (store.image_states(), 0)
    for id in ("v1", "v2", "v3"):
        store.add_version(version(id))
    store.promote("v1")
    store.promote("v2")
    assert store.standing()[1] == 2
    store.promote("v1")  # a roll-back
    assert store.standing()[1] == 2
