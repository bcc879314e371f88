"""Run lengths from a file, checked before pycocotools' C code sees them."""

from __future__ import annotations

import re

import numpy as np

from data_io import geometry as geo


def checked_runs(counts: object, total: int) -> list[int]:
    """Run lengths, starting outside, of an RLE's `counts`: a list, or compressed text.

    Runs of length zero are folded into their neighbors, because pycocotools stops merging at them.

    Args:
        counts: what the file holds.
        total: pixels of the image, which the runs must add up to.

    Raises:
        ValueError: why they are no run lengths of such an image.
    """
    runs = _decoded(counts) if isinstance(counts, str) else counts
    if not isinstance(runs, list) or not all(_is_run(run, total) for run in runs):
        raise ValueError("the RLE's counts are damaged")
    if sum(runs) != total:
        raise ValueError(f"the RLE's counts add up to {sum(runs)} instead of {total} pixels")
    ends, times = np.unique(np.cumsum(runs[:-1], dtype=np.int64), return_counts=True)
    changes = ends[(times % 2 == 1) & (ends < total)]
    lengths: list[int] = np.diff(changes, prepend=0, append=total).tolist()
    return lengths


def _is_run(run: object, total: int) -> bool:
    return isinstance(run, int) and not isinstance(run, bool) and 0 <= run <= total


def _decoded(counts: str) -> list[int] | None:
    """Run lengths of a compressed RLE, or None where its text is not one.

    Characters are '0' to 'o', six bits each; a number has at most seven of them and must end.
    """
    if not re.fullmatch(r"(?:[P-o]{0,6}[0-O])+", counts):
        return None
    runs: list[int] = geo.runs_of_rle({"size": [0, 0], "counts": counts.encode("ascii")}).tolist()
    return runs
