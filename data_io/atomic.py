"""Files that are there whole or not at all, also after a crash or a full disk."""

from __future__ import annotations

import contextlib
import errno
import os
import uuid
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


def disk_sentence(path: Path, error: OSError) -> str:
    """What the disk refused, and what to do."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return f"{path}: the disk is full and the file was not written; free some space, try again."
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"{path}: may not be written; check the permissions of its folder."
    return f"{path}: could not be written ({error.strerror or error}); check the disk."
