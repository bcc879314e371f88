"""Files that are there whole or not at all, also after a crash or a full disk."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

from data_io.errors import StoreError

PARTIAL = ".partial-"  # prefix of what was being written when a process died


def write_atomic(path: Path, content: bytes) -> None:
    """Put `content` at `path`, replacing what is there; the folder is made when missing.

    Raises:
        StoreError: the disk is full or the folder cannot be written; `path` is what it was.
    """
    partial = path.parent / f"{PARTIAL}{uuid.uuid4().hex}"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_through(partial, content)
        os.replace(partial, path)
    except OSError as error:
        raise StoreError(disk_sentence(path, error)) from error
    finally:
        with contextlib.suppress(OSError):  # it was renamed, or there is no such folder at all
            partial.unlink()


def write_through(path: Path, content: bytes) -> None:
    """Write a new file and wait until the disk has it."""
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


@contextlib.contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """A draft folder that becomes `folder` when the block ends without an error.

    On an error, ENOSPC included, the draft is removed and what was there stays. Replacing keeps the
    previous folder under ``<name>.old`` until the new one stands in its place.
    """
    draft, old = _beside(folder, "new"), _beside(folder, "old")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    try:
        yield draft
        for file in (*draft.rglob("*"), draft):
            sync(file)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    if folder.exists():
        shutil.rmtree(old, ignore_errors=True)
        os.rename(folder, old)
    os.rename(draft, folder)
    sync(folder.parent)
    shutil.rmtree(old, ignore_errors=True)


def recover_folder(folder: Path) -> bool:
    """Finish what a killed `whole_folder` left; True when `folder` stands afterwards.

    A process killed between its two renames leaves the previous folder under ``.old``.
    """
    old = _beside(folder, "old")
    if not folder.exists() and old.exists():
        os.rename(old, folder)
    shutil.rmtree(old, ignore_errors=True)
    shutil.rmtree(_beside(folder, "new"), ignore_errors=True)
    return folder.exists()


def _beside(folder: Path, suffix: str) -> Path:
    return folder.parent / f"{folder.name}.{suffix}"


def sync(path: Path) -> None:
    """Wait until the disk has a file, or the names in a folder."""
    if path.is_dir() and os.name == "nt":
        return  # Windows cannot open folders
    handle = os.open(path, os.O_RDONLY if os.name != "nt" else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def file_sha256(path: Path) -> str:
    """Hex digest of a file's bytes."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def disk_sentence(path: Path, error: OSError) -> str:
    """What the disk refused, and what to do."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return f"{path}: the disk is full and the file was not written; free some space, try again."
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"{path}: may not be written; check the permissions of its folder."
    return f"{path}: could not be written ({error.strerror or error}); check the disk."
