"""What a training takes from the version before it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from data_io.geometry import rle_of_mask
from data_io.snapshot import SnapshotImage, write_content
from data_io.types import Category
from model import warm_start
from model.checkpoint import META, WEIGHTS, save_version
from model.config import NetworkConfig, TrainConfig
from model.network import SegmentationNetwork

SMALL: dict[str, Any] = {"decoder_channels": 8, "low_channels": 4, "representation_channels": 4}
COW, CALF = Category("cow", "cow", "#aa0000", 1), Category("calf", "calf", "#00aa00", 2)


def network(seed: int, classes: int = 2, **more: Any) -> SegmentationNetwork:
    torch.manual_seed(seed)
    return SegmentationNetwork(NetworkConfig(classes, instances=True, **{**SMALL, **more})).eval()


@pytest.fixture(scope="module")
def parent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A version that knows cows, with offsets in units of 64 pixels."""
    folder = tmp_path_factory.mktemp("versions") / "v1"
    made = network(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("model.checkpoint.export", lambda network, path: path.write_bytes(b""))
        config = TrainConfig()
        save_version(folder, made.state_dict(), made.config, config, ["cow"], {}, snapshot="s")
    return folder


def same(one: SegmentationNetwork, other: SegmentationNetwork, prefix: str = "") -> bool:
    mine, theirs = one.state_dict(), other.state_dict()
    names = [name for name in mine if name.startswith(prefix)]
    return all(torch.equal(mine[name], theirs[name]) for name in names)


def test_the_same_categories_take_everything(parent: Path) -> None:
    student = network(2)
    assert warm_start.take_over(student, parent, ["cow"]) == "starts from version v1"
    assert same(student, network(1))


def test_other_categories_get_fresh_heads_and_the_log_says_so(parent: Path) -> None:
    student, fresh = network(2, 3), network(2, 3)
    told = warm_start.take_over(student, parent, ["cow", "calf"])
    assert told.startswith("starts from version v1; the categories changed")
    for head in warm_start.CLASS_HEADS[:2]:
        assert same(student, fresh, head)
    for kept in ("encoder.", "animals."):
        assert same(student, network(1), kept)


def test_as_many_but_other_categories_are_no_old_ones(parent: Path) -> None:
    student, fresh = network(2), network(2)
    warm_start.take_over(student, parent, ["calf"])
    assert same(student, fresh, "segmentation.")


def test_offsets_in_another_unit_say_the_same_pixels(parent: Path) -> None:
    student = network(2, animal_size=32.0)
    warm_start.take_over(student, parent, ["cow"])
    image = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        mine, theirs = student.proposal(image)[1], network(1).proposal(image)[1]
    torch.testing.assert_close(mine, theirs)


@pytest.mark.parametrize("harm", ["gone", "broken", "another", "none"])
def test_a_version_that_cannot_be_used_leaves_a_fresh_network(
    parent: Path, tmp_path: Path, harm: str
) -> None:
    folder: Path | None = tmp_path / "v9"
    student, more = network(2), {}
    if harm == "broken":
        assert folder is not None
        folder.mkdir()
        (folder / META).write_bytes((parent / META).read_bytes())
        (folder / WEIGHTS).write_bytes(b"half")
    elif harm == "another":
        folder, more = parent, {"decoder_channels": 16}
        student = network(2, **more)
    elif harm == "none":
        folder = None
    told = warm_start.take_over(student, folder, ["cow"])
    assert told.startswith("starts from scratch: ")
    assert same(student, network(2, **more))


def image(name: str, corner: int | None, category: int = 1) -> SnapshotImage:
    """A wholly verified 8 x 8 image with a square animal, or nothing for None."""
    mask = np.zeros((8, 8), bool)
    whole = rle_of_mask(~mask)
    if corner is None:
        return SnapshotImage(name, "", 8, 8, "", "", None, (), None, False)
    mask[corner : corner + 3, corner : corner + 3] = True
    labels = ((category, rle_of_mask(mask)),)
    return SnapshotImage(name, "", 8, 8, "", "", None, labels, whole, True)


def test_new_is_what_was_labeled_or_changed_since(parent: Path, tmp_path: Path) -> None:
    snapshots = tmp_path / "snapshots"
    before = [image("old", 1), image("moved", 1), image("bare", None), image("still", None)]
    learned = write_content([COW], before, snapshots)
    meta = tmp_path / "v1" / META
    meta.parent.mkdir()
    meta.write_text((parent / META).read_text().replace('"s"', f'"{learned.hash}"'))
    now = [image("old", 1, 2), image("moved", 2, 2), image("bare", 3, 1), image("still", None)]
    # The same cow is class 2 now.
    snapshot = write_content([CALF, COW], now, snapshots)
    spec = {"parent": str(meta.parent), "snapshot": str(snapshot.folder)}
    assert warm_start.new_images(spec, snapshot) == {"moved", "bare"}


def test_without_the_parents_snapshot_nothing_is_new(parent: Path, tmp_path: Path) -> None:
    snapshot = write_content([COW], [image("a", 1)], tmp_path)
    for folder in (str(parent), str(tmp_path / "no"), None):
        spec = {"parent": folder, "snapshot": str(snapshot.folder)}
        assert warm_start.new_images(spec, snapshot) == frozenset()
