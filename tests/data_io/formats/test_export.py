"""What every export goes through: draft, reading back, comparing, putting in place."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_io import atomic
from data_io import geometry as geo
from data_io.errors import DataError
from data_io.formats import export
from data_io.formats.labels import Export, ExportImage, Written
from data_io.formats.registry import FORMATS
from tests.data_io.formats.herds import HOLED, TWO_PARTS, box_part, export_of, herds, instance

REPOSITORY = Path(__file__).resolve().parents[3]
PAINTED = ("voc", "masks", "cityscapes")


def herd(*rows: int) -> Export:
    """One picture with a box for each row."""
    return export_of([(60, 40, [instance((box_part(2, y, 20, y + 6),)) for y in rows])])


def target_of(folder: Path, name: str) -> Path:
    return folder / ("out" if FORMATS[name].is_folder else "out.dat")


def content(target: Path) -> dict[str, bytes]:
    files = [target] if target.is_file() else sorted(p for p in target.rglob("*") if p.is_file())
    return {str(file.relative_to(target)): file.read_bytes() for file in files}


@pytest.mark.parametrize("name", FORMATS)
@given(data=st.data())
@settings(max_examples=12, deadline=None)
def test_any_herd_is_written_read_back_and_measured(
    tmp_path_factory: pytest.TempPathFactory, name: str, data: st.DataObject
) -> None:
    found = data.draw(herds())
    target = target_of(tmp_path_factory.mktemp("out"), name)
    report = export.write_labels(FORMATS[name], target, found)
    assert report.images == len(found.images)
    stored = sum(len(image.instances) for image in found.images)
    assert report.instances <= stored
    if name not in PAINTED and report.instances:
        assert report.iou_min == 1.0
    if report.instances < stored:
        assert report.losses


@pytest.mark.parametrize("name", FORMATS)
def test_a_second_export_replaces_the_first_and_the_digest_tells_them_apart(
    tmp_path: Path, name: str
) -> None:
    target = target_of(tmp_path, name)
    one, two, again = (
        export.write_labels(FORMATS[name], target, found).sha256
        for found in (herd(2), herd(2, 20), herd(2))
    )
    assert one == again != two
    assert [path.name for path in tmp_path.iterdir()] == [target.name]


def test_the_report_counts_parts_holes_and_vertices(tmp_path: Path) -> None:
    found = export_of([(60, 40, [instance(HOLED), instance(TWO_PARTS)])])
    report = export.write_labels(FORMATS["coco"], tmp_path / "o.json", found)
    assert (report.parts, report.holes, report.vertices_median) == (3, 1, 8.0)


def test_outlines_that_were_simplified_are_measured_against_what_is_stored(tmp_path: Path) -> None:
    stored = {1: geo.rle_of_parts((box_part(2, 2, 20, 12),), 40, 60)}
    report = export.write_labels(FORMATS["coco"], tmp_path / "o.json", herd(2), stored)
    assert report.iou_min == pytest.approx(0.6)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("fault", ["writer", "disk", "differs"])
def test_a_failure_leaves_the_old_export_and_no_litter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, fault: str
) -> None:
    target, format = target_of(tmp_path, name), FORMATS[name]
    export.write_labels(format, target, herd(2))
    before = content(target)

    def no_space(path: Path) -> None:
        raise OSError(28, "No space left on device")

    def broken(draft: Path, found: Export) -> Written:
        format.write(draft, found)
        raise OSError(28, "No space left on device")

    def other(draft: Path, found: Export) -> Written:
        return Written(format.write(draft, herd(2)).expected | {"cam 1/0.jpg": []})

    if fault == "disk":
        monkeypatch.setattr(atomic, "sync", no_space)
        monkeypatch.setattr(export, "sync", no_space)
    writer = {"writer": broken, "differs": other}.get(fault, format.write)
    changed = export.Format(
        name, format.title, format.is_folder, writer, format.read, format.read_back
    )
    with pytest.raises(DataError, match="space" if fault != "differs" else "differs"):
        export.write_labels(changed, target, herd(20))
    assert content(target) == before
    assert [path.name for path in tmp_path.iterdir()] == [target.name]


KILLER = """
import os, signal, sys
from pathlib import Path
from data_io import atomic
from data_io.formats import export
from data_io.formats.registry import FORMATS
from tests.data_io.formats.test_export import herd, target_of
calls = 0
def killing(real):
    def call(*args):
        global calls
        calls += 1
        if calls == {call}:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*args)
    return call
os.rename, os.replace, os.fsync = killing(os.rename), killing(os.replace), killing(os.fsync)
export.write_labels(FORMATS["{name}"], target_of(Path(sys.argv[1]), "{name}"), herd(20))
"""


@pytest.mark.parametrize(
    ("name", "call"), [("coco", 1), ("coco", 2), ("yolo", 1), ("yolo", 4), ("yolo", 5), ("yolo", 6)]
)
def test_a_killed_export_leaves_the_old_one_whole(tmp_path: Path, name: str, call: int) -> None:
    target = target_of(tmp_path, name)
    export.write_labels(FORMATS[name], target, herd(2))
    old = content(target)
    code = KILLER.format(name=name, call=call)
    command = [sys.executable, "-c", code, str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    killed = subprocess.run(command, cwd=REPOSITORY, env=environment, check=False)
    assert killed.returncode == -signal.SIGKILL
    if not target.exists():  # between two renames: the next export puts it back first
        assert FORMATS[name].is_folder
        assert atomic.recover_folder(target)
    assert content(target) == old
    export.write_labels(FORMATS[name], target, herd(20))
    assert content(target) != old
    assert not [path for path in tmp_path.iterdir() if path.is_dir() and path != target]


@pytest.mark.parametrize("name", FORMATS)
def test_a_target_of_the_other_kind_is_refused(tmp_path: Path, name: str) -> None:
    target = tmp_path / "out"
    target.write_text("a file") if FORMATS[name].is_folder else target.mkdir()
    with pytest.raises(DataError, match=r"name a (file|folder)"):
        export.write_labels(FORMATS[name], target, herd(2))


def test_unknown_categories_and_ids_used_twice_are_refused(tmp_path: Path) -> None:
    one = instance((box_part(1, 1, 9, 9),))
    lost = export_of([(60, 40, [instance(one.parts, category="gone")])])
    with pytest.raises(DataError, match="category gone"):
        export.write_labels(FORMATS["coco"], tmp_path / "o.json", lost)
    twice = herd(2, 20)
    rows = [(1, one) for _, one in twice.images[0].instances]
    image = ExportImage(twice.images[0].record, rows)
    with pytest.raises(DataError, match="unique"):
        export.write_labels(
            FORMATS["coco"], tmp_path / "o.json", Export([image], twice.names, twice.categories)
        )


@pytest.mark.parametrize("name", FORMATS)
def test_what_is_no_earlier_export_is_never_replaced(tmp_path: Path, name: str) -> None:
    target = target_of(tmp_path, name)
    if FORMATS[name].is_folder:
        target.mkdir()
        (target / "photo.jpg").write_bytes(b"a photo")
    else:
        target.write_bytes(b"a photo")
    before = content(target)
    with pytest.raises(DataError, match="would be lost"):
        export.write_labels(FORMATS[name], target, herd(2))
    assert content(target) == before


def test_a_device_is_never_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(DataError, match="would be lost"):
        export.write_labels(FORMATS["coco"], pipe, herd(2))
    assert pipe.is_fifo()


def test_an_empty_folder_takes_an_export(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    assert export.write_labels(FORMATS["voc"], tmp_path / "out", herd(2)).instances == 1
