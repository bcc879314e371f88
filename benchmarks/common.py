"""What every benchmark says about itself: commit, device, versions."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


def commit() -> str:
    """Short hash of the checkout, ``+`` with uncommitted changes, ``unknown`` outside git."""
    try:
        head = _git("rev-parse", "--short", "HEAD")
        return head + ("+" if _git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def tree(folder: str) -> str:
    """Short hash of a folder's committed content, ``unknown`` outside git.

    Two checkouts with the same hash have the same code there, whatever else changed.
    """
    try:
        return _git("rev-parse", "--short", f"HEAD:{folder}")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def provenance(seed: int) -> dict[str, Any]:
    """The facts a figure is worthless without."""
    import torch

    device = torch.cuda.get_device_name(0) if torch.cuda.is_available() else platform.machine()
    return {
        "commit": commit(),
        "seed": seed,
        "device": device,
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def append(file: Path, record: Mapping[str, Any]) -> None:
    """Append one JSON line and flush it to the disk, so that a study can go on after a crash."""
    with file.open("a", encoding="utf-8") as lines:
        lines.write(json.dumps(record) + "\n")
        lines.flush()
        os.fsync(lines.fileno())


def records(file: Path) -> list[dict[str, Any]]:
    """The records of an earlier run; a last line cut off by a crash is left out."""
    if not file.exists():
        return []
    found = []
    for line in file.read_text(encoding="utf-8").splitlines():
        try:
            found.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return found


def percentile(values: list[float], share: float) -> float:
    """Linear percentile, `share` in [0, 100]."""
    import numpy as np

    return float(np.percentile(values, share))


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True, text=True)
    return done.stdout.strip()
