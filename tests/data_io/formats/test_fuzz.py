"""Damaged label files: every reader ends in labels or in a sentence, and soon."""

from __future__ import annotations

import random
import resource
import shutil
from pathlib import Path

import pytest

from data_io.errors import DataError
from data_io.formats import export
from data_io.formats.registry import FORMATS
from tests.data_io.formats.herds import (
    HOLED,
    TWO_PARTS,
    box_part,
    export_of,
    instance,
    stuck_after,
)

READERS = [name for name, one in FORMATS.items() if one.read]
MOST_BYTES = 1 << 30
NASTY = (
    b"\x00", b"\xff\xfe", b"-1", b"1e309", b"NaN", b"null", b"true", b"[" * 2000, b"{", b"}",
    b'"', b"\\u0000", b"../", b"999999999999999999999", b"0", b"<", b"&x;", b",", b"\n" * 50,
    b"0.0000001", b"-Infinity", b'<!ENTITY x "y">', b"IHDR", b"IDAT", b"IEND",
)  # fmt: skip


def herd() -> object:
    some = [instance(HOLED), instance(TWO_PARTS), instance((box_part(20, 5, 50, 30),), score=0.5)]
    return export_of([(60, 40, some), (16, 12, []), (60, 40, some[2:])])


def damage(data: bytes, rng: random.Random) -> bytes:
    """The bytes with one to four pieces cut, doubled, overwritten or replaced."""
    for _ in range(rng.randint(1, 4)):
        place = rng.randrange(len(data) + 1)
        length = min(len(data) - place, int(rng.expovariate(0.2)))
        piece = rng.choice(
            (
                b"",
                data[place : place + length] * 2,
                rng.randbytes(max(1, length)),
                rng.choice(NASTY),
                data[rng.randrange(len(data) + 1) :][: length + 1],
            )
        )
        data = data[:place] + piece + data[place + length :]
    return data


def fuzz(folder: Path, name: str, count: int, seed: int) -> None:
    """Read `count` damaged exports; a failure names the seed of the round that caused it."""
    format, found = FORMATS[name], herd()
    whole = folder / "whole"
    export.write_labels(format, whole, found)
    read, pictures = format.read, found.pictures()
    assert read is not None
    files = [p for p in whole.rglob("*") if p.is_file()] if whole.is_dir() else [whole]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for k in range(count):
        rng = random.Random(f"{name} {seed} {k}")
        file = rng.choice(files)
        kept = file.read_bytes()
        file.write_bytes(damage(kept, rng))
        try:
            with stuck_after():
                read(whole, pictures)
        except DataError as error:
            assert "\n" not in error.sentence(), k  # noqa: PT017
        file.write_bytes(kept)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    assert grown < MOST_BYTES
    shutil.rmtree(whole, ignore_errors=True)


@pytest.mark.parametrize("name", READERS)
def test_damaged_exports(tmp_path: Path, name: str) -> None:
    fuzz(tmp_path, name, 290, 0)  # 2,030 for the seven readers


@pytest.mark.long
@pytest.mark.parametrize("name", READERS)
def test_very_many_damaged_exports(tmp_path: Path, name: str) -> None:
    fuzz(tmp_path, name, 14_300, 1)  # 100,100 for the seven readers
