"""Images that moved, and images to leave out: what a project's pictures may go through."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from data_io.errors import DataError
from data_io.store import Store


def relink(store: Store, old: Path, new: Path) -> int:
    """Follow a moved folder; an image is relinked only where its file is really there.

    Returns:
        How many images were relinked, at least one.

    Raises:
        DataError: `new` is no folder, or none of the images below `old` was found in it.
    """
    moved = store.relink(old, new)
    if not moved:
        why = f"holds none of the project's images from {old}"
        raise DataError(new, why, "give the folder as it was and as it is now")
    return moved


def set_excluded(store: Store, images: Iterable[str], excluded: bool) -> None:
    """Leave images out of queue, training and export, or take them back in.

    Raises:
        DataError: an unknown image, and nothing was changed; or one whose file holds another
            picture now.
    """
    for image in [store.image(one).id for one in images]:
        store.set_excluded(image, excluded)
