"""Two processes (gloo) learn from a joint batch what one process learns from it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from data_io.errors import DataError
from data_io.snapshot import read_snapshot
from model import distributed, train
from model.config import TrainConfig
from model.dataset import Crops, pools
from tests.model import joint_batch
from tests.model.test_train import make_job, make_snapshot, messages, result, weights
from tests.model.test_training_state import KILLER, STEPPING

REPOSITORY = Path(train.__file__).parents[1]
# What sums of float32 in another order may change, relative to the largest value of a kind.
LOSS, GRADIENT, STATE = 2e-6, 5e-5, 1e-4


def torchrun(*arguments: str, processes: int = 2) -> subprocess.CompletedProcess[str]:
    """Run something in several processes on a free port."""
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(REPOSITORY)}
    return subprocess.run(
        [sys.executable, *launcher, *arguments],
        cwd=REPOSITORY,
        env=environment,
        check=False,
        capture_output=True,
        text=True,
    )


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """As under torchrun."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What two processes made of every case."""
    out = tmp_path_factory.mktemp("joint") / "found.pt"
    done = torchrun(str(Path(joint_batch.__file__)), str(out))
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, dict[str, Any]] = torch.load(out, weights_only=True)
    return found


def assert_close(
    found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor], tolerance: float
) -> None:
    """Equal names and values, up to a share of the largest value of all."""
    assert found.keys() == expected.keys()
    largest = max(float(value.abs().max()) for value in expected.values() if value.numel())
    worst = {n: float((found[n] - v).abs().max()) for n, v in expected.items() if v.numel()}
    name = max(worst, key=lambda n: worst[n])
    assert worst[name] <= tolerance * largest, f"{name}: {worst[name]} of {largest}"


def parameters(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Weights and batch statistics; counters are no measure."""
    return {n: value for n, value in state.items() if value.is_floating_point()}


def keys(outcome: dict[str, Any]) -> dict[str, torch.Tensor]:
    """The keys of each class."""
    return {str(c): ring for c, ring in enumerate(outcome["banks"]["keys"])}


@pytest.mark.parametrize("case", joint_batch.CASES)
def test_two_processes_equal_one_with_the_joint_batch(
    case: str, two: dict[str, dict[str, Any]]
) -> None:
    alone, together = joint_batch.outcome(*joint_batch.CASES[case]), two[case]
    assert all(loss[0] > 0 for loss in alone["losses"])
    if case.startswith("u2pl"):
        assert all(loss[3] > 0 for loss in alone["losses"])
    torch.testing.assert_close(
        torch.tensor(together["losses"]), torch.tensor(alone["losses"]), rtol=LOSS, atol=LOSS
    )
    assert_close(together["gradient"], alone["gradient"], GRADIENT)
    assert together["banks"]["heads"] == alone["banks"]["heads"]
    if case.startswith("u2pl"):
        assert_close(keys(together), keys(alone), STATE)
    for network in ("student", "teacher"):
        assert_close(parameters(together[network]), parameters(alone[network]), STATE)


@pytest.mark.long
def test_a_job_of_two_processes_leaves_what_one_leaves(tmp_path: Path) -> None:
    job = make_job(tmp_path / "job", make_snapshot(tmp_path / "s", verified=2, total=4), steps=4)
    done = torchrun("-m", "model.train", str(job))
    assert done.returncode == 0, done.stderr[-3000:]
    assert result(job)["steps"] == 4
    assert {path.name for path in job.iterdir()} == {
        *("config.json", "log.jsonl", "log.csv", "result.json", "version")
    }
    assert messages(job).count("supervised phase with 2 labeled") == 1
    table = (job / "log.csv").read_text().splitlines()[1:]
    steps = [int(row.split(",")[0]) for row in table]
    assert steps == sorted(set(steps))
    assert all(torch.isfinite(value).all() for value in weights(job).values())


@pytest.mark.long
def test_two_processes_killed_at_any_step_resume_bit_by_bit(tmp_path: Path) -> None:
    folder = make_snapshot(tmp_path / "s", verified=2, total=4)
    whole, job = (make_job(tmp_path / name, folder, steps=8) for name in ("whole", "job"))
    killer, never = tmp_path / "killer.py", 1000
    for target, call in ((whole, never), (job, 4), (job, 4), (job, never)):
        killer.write_text(KILLER.format(patch=STEPPING, call=call))
        done = torchrun(str(killer), str(target))
        assert (done.returncode == 0) is (call == never), done.stderr[-3000:]
        assert (target / "version").exists() is (call == never)
    assert "resumed after step 3" in messages(job)
    assert "resumed after step 6" in messages(job)
    assert result(job)["kept"] == "semi"
    assert result(job)["weights_sha256"] == result(whole)["weights_sha256"]


def pretend(monkeypatch: pytest.MonkeyPatch, rank: int, size: int) -> None:
    monkeypatch.setattr(distributed, "rank", lambda: rank)
    monkeypatch.setattr(distributed, "size", lambda: size)


@pytest.mark.parametrize("name", ["batch", "batch_unlabeled"])
def test_crops_that_cannot_be_shared_are_one_sentence(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch, 0, 4)
    config = TrainConfig(**{"batch": 8, "batch_unlabeled": 8, name: 6})  # type: ignore[arg-type]
    with pytest.raises(DataError, match=f"{name}: 4 processes cannot share 6 crops"):
        distributed.require_shares(config)


def test_the_published_losses_stay_with_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    config = TrainConfig(compat="official")
    distributed.require_shares(config)
    pretend(monkeypatch, 0, 2)
    with pytest.raises(DataError, match="compat"):
        distributed.require_shares(config)


def test_mask_rcnn_trains_in_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    config = TrainConfig(method="maskrcnn")
    distributed.require_shares(config)
    pretend(monkeypatch, 0, 2)
    with pytest.raises(DataError, match=r"method: Mask R-CNN trains in one process .* are 2"):
        distributed.require_shares(config)


def test_shares_of_a_batch_are_its_crops(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    config = TrainConfig(crop=64, batch=4, batch_unlabeled=2, max_side=128)
    images = pools(read_snapshot(make_snapshot(tmp_path, verified=2, total=4)))
    crops = Crops(images, config, (0.5,) * 3, (0.5,) * 3)
    labeled, unlabeled = crops.labeled(3), crops.unlabeled(3)
    for rank in (0, 1):
        pretend(monkeypatch, rank, 2)
        assert torch.equal(crops.labeled(3).image, labeled.image[rank::2])
        assert torch.equal(crops.labeled(3).label, labeled.label[rank::2])
        assert torch.equal(crops.unlabeled(3).strong, unlabeled.strong[rank::2])


@pytest.mark.parametrize("rank", [0, 1, 2])
def test_joint_positions_find_their_process(rank: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three processes with 2 labeled and 1 unlabeled crops of 5 pixels each."""
    pretend(monkeypatch, rank, 3)
    joint = torch.arange(9 * 5).view(9, 5)
    own = torch.cat([joint[:6][rank::3], joint[6:][rank::3]]).flatten()
    index = torch.randperm(45, generator=torch.Generator().manual_seed(0))
    mine, places = distributed.JointPixels(labeled=2, area=5).here(index)
    assert sorted(places.tolist()) == list(range(15))
    assert torch.equal(own[places], index[mine])


def test_one_process_gets_back_what_it_gives() -> None:
    maps = torch.rand(4, 2, 2)
    assert distributed.total(maps) is maps
    assert distributed.gathered(maps) is maps
    assert torch.equal(distributed.following(maps), maps.roll(-1, dims=0))
    network = torch.nn.Sequential(torch.nn.BatchNorm2d(2))
    distributed.join(network, seed=0)
    assert type(network[0]) is torch.nn.BatchNorm2d
