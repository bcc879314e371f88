"""Which weights the next training begins with."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from app import settings
from app.workflow import warm_start
from data_io.types import ModelVersion

NOW = datetime.now(timezone.utc)


@pytest.fixture
def add(store):
    """Adds a version and promotes it."""

    def put(id, parent, start):
        config = {"start": start}
        store.add_version(ModelVersion(id, parent, "j", "", config, (), "s", {}, "aside", NOW))
        store.promote(id)

    return put


def test_it_is_from_scratch_unless_somebody_chose_otherwise(store, add):
    assert warm_start.start_of(store, "u2pl") == "scratch"
    add("v1", None, "scratch")
    assert warm_start.start_of(store, "u2pl") == "scratch"


def test_the_first_training_has_nothing_to_start_from(store):
    settings.change(store.project, retrain_start="warm")
    assert warm_start.start_of(store, "u2pl") == "scratch"


def test_each_third_training_of_a_line_starts_from_scratch(store, add):
    settings.change(store.project, retrain_start="warm", scratch_every=3)
    made = []
    for number in range(7):
        made.append(warm_start.start_of(store, "u2pl"))
        add(f"v{number}", f"v{number - 1}" if number else None, made[-1])
    assert made == ["scratch", "warm", "warm", "scratch", "warm", "warm", "scratch"]


def test_a_version_kept_aside_does_not_count(store, add):
    settings.change(store.project, retrain_start="warm", scratch_every=2)
    add("v1", None, "scratch")
    aside = ModelVersion("v2", "v1", "j", "", {"start": "warm"}, (), "s", {}, "aside", NOW)
    store.add_version(aside)
    assert warm_start.start_of(store, "u2pl") == "warm"
