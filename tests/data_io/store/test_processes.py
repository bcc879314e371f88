"""Several processes on one project, and processes that die: no acknowledged save is lost."""

from __future__ import annotations

import random
import signal
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from data_io.errors import ConflictError
from data_io.store import NewImage, Store
from data_io.types import Category, ImageRecord, Instance

Start = Callable[..., "subprocess.Popen[str]"]

COMMON = """
import sys
from data_io.errors import ConflictError
from data_io.geometry import full_image
from data_io.store import NewReading, Store
from data_io.types import Instance
"""

SAVE_FOREVER = (
    COMMON
    + """
with Store.open(sys.argv[1]) as store:
    images = [image.id for image in store.images()]
    category = store.categories()[0].id
    newest = {image: (store.revision_numbers(image) or [0])[-1] for image in images}
    while True:
        for image in images:
            name = f"{image}-{newest[image] + 1}"
            herd = [Instance(f"{name}-{n}", category, full_image(9, 9)) for n in range(20)]
            told = NewReading(kind="image", added=newest[image] + 1)
            saved = store.save_revision(
                image, newest[image], herd, full_image(48, 64), "dies", reading=told
            )
            newest[image] = saved.number
            print(image, saved.number, flush=True)
"""
)

SAVE_MANY = (
    COMMON
    + """
project, image, author, count = sys.argv[1:]
with Store.open(project) as store:
    category = store.categories()[0].id
    for n in range(int(count)):
        base = 0
        while True:
            try:
                herd = [Instance(f"{author}-{n}", category, full_image(9, 9))]
                store.save_revision(image, base, herd, (), author)
                break
            except ConflictError as conflict:
                base = conflict.current
"""
)

OPEN_AND_ADD = (
    COMMON
    + """
with Store.open(sys.argv[1]) as store:
    print(store.add_category("cow").id)
"""
)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_no_acknowledged_revision_is_lost_when_the_process_is_killed(
    project: Path, run_python: Start
) -> None:
    dice = random.Random()
    with Store.open(project) as store:
        store.add_category("cow")
        store.add_images([NewImage(f"{n}.jpg", 64, 48, str(n)) for n in range(3)])
    acknowledged: set[tuple[str, int]] = set()
    for _ in range(3):
        process = run_python(SAVE_FOREVER, project)
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(dice.randint(1, 60))]
        process.kill()
        lines += process.stdout.readlines()
        assert process.wait() == -signal.SIGKILL
        whole = [line.split() for line in lines if line.endswith("\n")]
        assert whole
        acknowledged.update((image, int(number)) for image, number in whole)
        with Store.open(project, create=False) as store:
            assert store.check() == []
            for image, number in acknowledged:
                revision = store.revision(image, number)
                assert revision is not None
                ids = [instance.id for instance in revision.instances]
                assert ids == [f"{image}-{number}-{n}" for n in range(20)]
                assert sorted(store.annotation_ids(ids).values())[0] >= 1
            for image in {image for image, _ in acknowledged}:  # each revision with its reading
                told = [(one.number, one.added) for one in store.readings(image)]
                assert told == [(number, number) for number in store.revision_numbers(image)]


def test_two_processes_saving_one_image_lose_no_revision(project: Path, run_python: Start) -> None:
    with Store.open(project) as store:
        store.add_category("cow")
        image = store.add_images([NewImage("a.jpg", 64, 48, "a")])[0].id
        writers = [run_python(SAVE_MANY, project, image, author, 30) for author in ("ann", "bob")]
        assert [writer.wait() for writer in writers] == [0, 0]
        assert store.revision_numbers(image) == list(range(1, 61))
        saved = [store.revision(image, number) for number in range(1, 61)]
        names = [revision.instances[0].id for revision in saved if revision is not None]
        assert sorted(names) == sorted(f"{who}-{n}" for who in ("ann", "bob") for n in range(30))
        assert [r.parent for r in saved if r is not None] == [None, *range(1, 60)]


def test_processes_that_create_one_project_at_once_agree(project: Path, run_python: Start) -> None:
    starters = [run_python(OPEN_AND_ADD, project) for _ in range(4)]
    answers = [process.communicate()[0] for process in starters]
    assert [process.returncode for process in starters] == [0, 0, 0, 0]
    assert len(set(answers)) == 1
    with Store.open(project, create=False) as store:
        assert [category.name for category in store.categories()] == ["cow"]


def test_threads_of_one_process_share_a_store(
    store: Store, image: ImageRecord, cow: Category, animal: Callable[..., Instance]
) -> None:
    def save(n: int) -> int:
        base = 0
        while True:
            try:
                return store.save_revision(
                    image.id, base, [animal(f"cow-{n}", cow)], (), "thread"
                ).number
            except ConflictError as conflict:
                base = conflict.current

    with ThreadPoolExecutor(8) as pool:
        numbers = list(pool.map(save, range(40)))
    assert sorted(numbers) == list(range(1, 41))


def test_a_reader_sees_the_old_state_while_another_connection_writes(
    store: Store, project: Path, image: ImageRecord
) -> None:
    with Store.open(project) as other, other._write() as connection:
        connection.exec_driver_sql("UPDATE images SET excluded = 1")
        assert store.image(image.id).excluded is False
    assert store.image(image.id).excluded is True
