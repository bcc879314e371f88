"""Photos, videos and labels into a project; importing again adds nothing and alters nothing."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Literal

from app.run import Run
from data_io.errors import DataError, refused_rows
from data_io.formats.labels import Repair
from data_io.formats.registry import SOURCES, detect
from data_io.images import EXTENSIONS, ImageInfo, inspect, list_images
from data_io.store import NewImage, Store
from data_io.types import ImageRecord
from data_io.video import extract

Vouched = Literal["verified", "draft"]
Progress = Callable[[int, int], None]
FRAMES = "frames"  # folder of the project that frames of videos are written to
FPS = 1.0  # frames a second taken from a video
_READERS = 4  # threads; Pillow decodes without the interpreter's lock
_MANY = 1000  # pictures that are worth processes of their own
_SLICE = 32  # pictures a process is given at once


@dataclass
class Imported:
    """What an import did.

    Attributes:
        images: pictures added to the project.
        instances: instances added to it.
        known: pictures that were in the project already.
        refused: what was skipped, one sentence each.
        repaired: what was wrong and could be put right, one sentence each.
        categories: category name in the file -> name in the project.
        hints: what a person may want to know, one sentence each.
    """

    images: int = 0
    instances: int = 0
    known: int = 0
    refused: list[DataError] = field(default_factory=list)
    repaired: list[Repair] = field(default_factory=list)
    categories: dict[str, str] = field(default_factory=dict)
    hints: list[str] = field(default_factory=list)

    @property
    def useful(self) -> bool:
        """True when anything was imported or had been before."""
        return self.images + self.instances + self.known > 0

    def as_dict(self) -> dict[str, Any]:
        """The answer of the import command."""
        return {
            "images": self.images,
            "instances": self.instances,
            "known": self.known,
            "refused": refused_rows(self.refused),
            "repaired": [one.as_dict() for one in self.repaired],
            "categories": dict(self.categories),
            "hints": list(self.hints),
        }


@dataclass(frozen=True)
class Roots:
    """Folders that files may really lie in; () = anywhere, as for the command line's user."""

    folders: tuple[Path, ...] = ()

    def check(self, path: Path) -> None:
        """Refuse a file that a link leads out of all of the folders.

        Raises:
            DataError: it lies elsewhere.
        """
        real = path.resolve()
        if self.folders and not any(real.is_relative_to(folder) for folder in self.folders):
            why = "is a link that leads outside the allowed folders"
            raise DataError(path, why, "remove it or start the server with --allow-root")


def import_source(
    store: Store,
    source: Path,
    *,
    format: str = "auto",
    images: Path | None = None,
    fps: float = FPS,
    group_by: str = "folder",
    vouched: Vouched = "verified",
    rename: Mapping[str, str] | None = None,
    roots: Sequence[str | Path] = (),
    progress: Progress | None = None,
) -> Imported:
    """Import a folder of photos, a single photo, a video, or labels in one of the formats.

    Args:
        store: the project.
        source: folder, image, video or label file.
        format: one of `data_io.formats.registry.SOURCES`, or ``auto`` to tell by what `source` is.
        images: folder of the labels' images; None = where label formats keep them.
        fps: frames a second to take from a video; 0 = every frame.
        group_by: ``folder``, ``none`` (every image its own group) or ``regex:PATTERN``, matched
            against the path; its first group, else the whole match, names the image's group.
        vouched: whether labels count as verified, as far as their format vouches for the ground.
        rename: category name in the file -> category name in the project.
        roots: folders that files may really lie in, links resolved; () = anywhere.
        progress: called with (done, all) as pictures are read.

    Raises:
        DataError: the source as a whole cannot be read; single files are listed in the answer.
    """
    source = Path(source).expanduser().absolute()
    limits = Roots(tuple(Path(root).resolve() for root in roots))
    before = store.images(include_excluded=True)
    grouping = Grouping(group_by, before)
    kind = _kind(source, format)
    if kind == "video":
        frames = _frames(store, source, fps, progress)
        report = _import_folder(store, frames, grouping, limits, progress)
    elif kind == "images":
        report = _import_folder(store, source, grouping, limits, progress)
        report.hints += _labels_beside(source)
    else:
        report = _import_labels(
            store, source, images, kind, grouping, vouched, rename or {}, limits, progress
        )
    report.hints += _copies(before, store.images(include_excluded=True))
    return report


def _import_labels(
    store: Store,
    source: Path,
    images: Path | None,
    kind: str,
    grouping: Grouping,
    vouched: Vouched,
    rename: Mapping[str, str],
    limits: Roots,
    progress: Progress | None,
) -> Imported:
    from app.workflow.label_imports import LabelImport

    folder = None if images is None else Path(images).expanduser().absolute()
    if folder is not None and not folder.is_dir():
        raise DataError(folder, "there is no such folder", "give the folder of the images")
    labels = LabelImport(store, source, folder, grouping, vouched, rename, limits)
    return labels.run(kind, progress)


def _copies(before: Sequence[ImageRecord], after: Sequence[ImageRecord]) -> list[str]:
    """A hint when new images hold pictures the project had under other paths."""
    known, there = {one.sha256 for one in before}, {one.id for one in before}
    count = sum(one.sha256 in known and one.id not in there for one in after)
    if not count:
        return []
    return [f"{count} of the new images hold pictures that are in the project under other paths"]


def run_import(run: Run) -> dict[str, Any]:
    """The import job: its config holds `source` and the options of `import_source`."""
    options = dict(run.job.config)
    source, images = Path(options.pop("source")), options.pop("images", None)

    def progress(done: int, total: int) -> None:
        run.check()
        run.progress = {"step": done, "steps": total, "message": f"{done} of {total} images read"}

    report = import_source(
        run.store, source, images=Path(images) if images else None, progress=progress, **options
    )
    return report.as_dict()


class Grouping:
    """Names the group (camera, flight, video) of each image.

    By folder, images whose folder is in the project already join its group: a folder gets one name
    whichever way its images come in.
    """

    def __init__(self, rule: str, known: Iterable[ImageRecord]) -> None:
        self._pattern: re.Pattern[str] | None = None
        if rule.startswith("regex:"):
            try:
                self._pattern = re.compile(rule.removeprefix("regex:"))
            except re.error as error:
                raise DataError(rule, f"is no regular expression ({error})", "correct it") from None
        elif rule not in ("folder", "none"):
            raise DataError(
                rule, "is no way to group", "use folder, none or regex:PATTERN", field="group-by"
            )
        self._alone = rule == "none"
        self._folders = {Path(record.path).parent: record.group for record in known}

    def group(self, path: Path, root: Path) -> str:
        """The group of an image found under `root`."""
        relative = path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name
        if self._alone:
            return relative
        if self._pattern is not None:
            match = self._pattern.search(relative)
            if match is not None:
                return next((text for text in match.groups() if text), match.group(0))
        by_folder = f"{root.name}/{relative}".rpartition("/")[0]
        return self._folders.setdefault(path.parent, by_folder)


def _kind(source: Path, format: str) -> str:
    if format == "auto":
        return detect(source)
    if format not in SOURCES:
        remedy = f"use auto, {', '.join(SOURCES)}"
        raise DataError(source, f"unknown format {format!r}", remedy, field="format")
    if not source.exists():
        raise DataError(source, "there is no such file or folder", "check the path")
    return format


def _frames(store: Store, video: Path, fps: float, progress: Progress | None) -> Path:
    """The folder below the project that holds the video's frames; its name is their group."""
    frames = extract(video, store.project / FRAMES, fps, progress)
    return frames[0].parent


class Inspection:
    """Pictures read ahead by several workers: iterate once, in a `with` block.

    Yields (path, info or why it cannot be read) in the order of `paths`; `progress` is called with
    (done, all) on the way.
    """

    def __init__(self, paths: Sequence[Path], limits: Roots, progress: Progress | None) -> None:
        many = len(paths) >= _MANY
        # Processes, because threads would wait for each other and for whoever takes the answers.
        self._pool: Executor = (
            ProcessPoolExecutor(max(1, (os.cpu_count() or 2) - 1), get_context("spawn"))
            if many
            else ThreadPoolExecutor(_READERS)
        )
        self._paths, self._progress = paths, progress
        self._found = self._pool.map(partial(_look, limits), paths, chunksize=_SLICE if many else 1)

    def __iter__(self) -> Iterator[tuple[Path, ImageInfo | DataError]]:
        for done, (path, info) in enumerate(zip(self._paths, self._found, strict=True), 1):
            if self._progress is not None:
                self._progress(done, len(self._paths))
            yield path, info

    def __enter__(self) -> Inspection:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)


def _look(limits: Roots, path: Path) -> ImageInfo | DataError:
    try:
        limits.check(path)
        return inspect(path)
    except DataError as error:
        return error


def _import_folder(
    store: Store, source: Path, grouping: Grouping, limits: Roots, progress: Progress | None
) -> Imported:
    root = source if source.is_dir() else source.parent
    paths = list_images(source) if source.is_dir() else [source]
    if not paths:
        raise DataError(source, "holds no image", f"use {', '.join(sorted(EXTENSIONS))} files")
    report = Imported()
    fresh = []
    with Inspection(paths, limits, progress) as inspection:
        for path, info in inspection:
            if isinstance(info, DataError):
                report.refused.append(info)
            else:
                fresh.append(new_image(info, grouping.group(path, root)))
    report.images = len(store.add_images(fresh))
    report.known = len(fresh) - report.images
    return report


def _labels_beside(folder: Path) -> list[str]:
    """A hint where files in a folder of photos look like their labels."""
    beside = folder.iterdir() if folder.is_dir() else ()
    found = sorted(one.name for one in beside if one.suffix.lower() in (".json", ".xml"))
    if not found:
        return []
    return [f"{', '.join(found[:3])} beside the photos may hold labels; import it to bring them"]


def new_image(info: ImageInfo, group: str, extras: Mapping[str, Any] | None = None) -> NewImage:
    """The picture as the store registers it; `extras` are unknown keys of its label file."""
    return NewImage(info.path, info.width, info.height, info.sha256, group, extras or {})
