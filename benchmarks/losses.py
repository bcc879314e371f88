"""Time the losses of a training step: ``python -m benchmarks.losses [--repeats N]``.

2 labeled and 2 unlabeled images, 513 x 513 pixels, representations 256 x 129 x 129, banks full:
pseudo-labels, L_u, masks, keys and L_c, forward and backward, on one thread. Beside them runs a
plain vectorized version written from the equations, which shows what each step means. Both use the
same draws and must give the same losses. Neither contains a network.

Prints and appends one JSON line for each number of classes: median seconds, and by how much the
peak of the resident memory exceeds the inputs (banks included), each side in its own process.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import multiprocessing
import resource
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.common import append, provenance
from model import contrast, pseudo_labels, selection
from model.banks import MANY_CLASSES, MemoryBanks, capacities
from model.config import IGNORE, TrainConfig

RESULTS = Path(__file__).parent / "results" / "losses.jsonl"
SIDE, SMALL, CHANNELS = 513, 129, 256
CONFIG = TrainConfig(representation_channels=CHANNELS, confidence=0.0)
PROGRESS = 0.1  # of the second phase


@dataclass
class Case:
    """Inputs of the losses; both sides hold the same banks."""

    z: Tensor  # student, (4, D, h, w), labeled images first
    z_teacher: Tensor
    logits: Tensor  # student, unlabeled images, (2, C, H, W)
    p_large: Tensor  # teacher, unlabeled images, (2, C, H, W)
    p_l: Tensor  # teacher, labeled images, (2, C, h, w)
    p_u: Tensor
    label: Tensor  # (2, h, w), 255 = ignored
    banks: MemoryBanks
    lists: list[Tensor]  # the same keys, oldest first
    pushed: list[int] = field(default_factory=list)  # keys that entered each list so far

    @property
    def classes(self) -> int:
        """C."""
        return self.p_l.shape[1]


def make_case(classes: int, seed: int) -> Case:
    """Blobs of every class, certain inside and unsure along their borders."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randn(4, classes, 17, 17, generator=generator) * 6
    large = F.interpolate(coarse, size=(SIDE, SIDE), mode="bicubic", align_corners=True)
    small = F.interpolate(coarse, size=(SMALL, SMALL), mode="bicubic", align_corners=True)
    label = small[:2].argmax(dim=1)
    label[:, :4] = IGNORE
    z = torch.randn(4, CHANNELS, SMALL, SMALL, generator=generator)
    z = z.contiguous(memory_format=torch.channels_last)
    rows = capacities(classes, CONFIG.bank)
    banks = MemoryBanks(rows, CHANNELS)
    for c, n in enumerate(rows):
        banks.push(c, torch.randn(n, CHANNELS, generator=generator))
    p = small.softmax(dim=1)
    noise = torch.randn(2, classes, SIDE, SIDE, generator=generator)
    return Case(
        z=z.clone().requires_grad_(),
        z_teacher=z + 0.5 * torch.randn(z.shape, generator=generator),
        logits=(large[2:] + noise).requires_grad_(),
        p_large=large[2:].softmax(dim=1),
        p_l=p[:2].clone(),
        p_u=p[2:].clone(),
        label=label,
        banks=banks,
        lists=[ring.clone() for ring in banks.rings],
        pushed=[0] * classes,
    )


Losses = tuple[Tensor, Tensor]  # L_u, L_c


def ours(case: Case, generator: torch.Generator) -> Losses:
    """The losses of `model`."""
    alpha = pseudo_labels.alpha_at(PROGRESS, CONFIG.alpha_0)
    valid = torch.ones(2, SIDE, SIDE, dtype=torch.bool)
    parts = pseudo_labels.partition(case.p_large, valid, alpha)
    l_u = pseudo_labels.pixel_loss(case.logits, parts.label, valid.sum())
    shares = [alpha, CONFIG.alpha_0][: 1 + selection.wants_floor(CONFIG, case.classes)]
    inside = torch.ones(2, SMALL, SMALL, dtype=torch.bool)
    found = [pseudo_labels.partition(case.p_u, inside, share) for share in shares]
    masks = selection.select(CONFIG, case.p_l, case.label, case.p_u, *found)
    l_c = selection.contrastive_term(
        CONFIG, case.banks, generator, case.z, case.z_teacher, *masks, labeled=2
    )
    return l_u, l_c


def reference(case: Case, generator: torch.Generator) -> Losses:
    """The same, equation by equation."""
    alpha = CONFIG.alpha_0 * (1 - PROGRESS)  # Eq. 7
    reliable, _ = split(case.p_large, alpha)
    target = torch.where(reliable, case.p_large.argmax(dim=1), IGNORE)
    per_pixel = F.cross_entropy(case.logits, target, ignore_index=IGNORE, reduction="none")
    l_u = per_pixel.mean()  # Eq. 3

    reliable, unreliable = split(case.p_u, alpha)
    pseudo = torch.where(reliable, case.p_u.argmax(dim=1), IGNORE)
    p, label = torch.cat([case.p_l, case.p_u]), torch.cat([case.label, pseudo])
    hot = torch.stack([label == c for c in range(case.classes)])
    likely = p.transpose(0, 1) > CONFIG.delta_p
    anchors = hot & likely  # Eq. 9-11
    keys = reference_keys(case, unreliable)
    fill_lists(case, keys, generator)
    return l_u, reference_contrast(case, anchors, generator)


def split(p: Tensor, alpha: float) -> tuple[Tensor, Tensor]:
    """Reliable and unreliable pixels (Eq. 5, 6); with few classes by predicted class."""
    nats = -(p * p.log()).nan_to_num(0.0).sum(dim=1)
    label = p.argmax(dim=1)
    gamma = torch.full_like(nats, float(torch.quantile(nats, 1 - alpha)))
    if p.shape[1] < contrast.FEW_CLASSES:
        for c in label.unique():
            gamma[label == c] = torch.quantile(nats[label == c], 1 - alpha)
    return nats < gamma, nats > gamma


def reference_keys(case: Case, unreliable: Tensor) -> Tensor:
    """n(c), Eq. 14 and 15 with the rule for few classes, (C, 4, h, w)."""
    few = case.classes < contrast.FEW_CLASSES
    rule = contrast.rule_for(case.classes)
    orders = [
        p.argsort(dim=1, descending=True, stable=True).argsort(dim=1).transpose(0, 1)
        for p in (case.p_l, case.p_u)
    ]
    other = torch.stack([case.label != c for c in range(case.classes)]) & (case.label != IGNORE)
    labeled = other & (orders[0] < rule.low_labeled)
    surely_not = (orders[1] >= rule.low) & (orders[1] < rule.high)
    if few:
        surely_not &= case.p_u.transpose(0, 1) <= rule.p_max
    unlabeled = surely_not & unreliable
    if few:  # rare keys are filled up with the most uncertain of alpha_0
        nats = -(case.p_u * case.p_u.log()).nan_to_num(0.0).sum(dim=1)
        more = surely_not & split(case.p_u, CONFIG.alpha_0)[1] & ~unlabeled
        for c in range(case.classes):
            missing = max(0, CONFIG.key_floor - int(unlabeled[c].sum()))
            score = torch.where(more[c], nats, -torch.inf).flatten()
            least = score.sort(descending=True).values[missing - 1] if missing else torch.inf
            unlabeled[c] |= more[c] & (nats >= least)
    return torch.cat([labeled, unlabeled], dim=1)


def fill_lists(case: Case, keys: Tensor, generator: torch.Generator) -> None:
    """Eq. 16: append this step's keys, forget the oldest."""
    teacher = case.z_teacher.permute(0, 2, 3, 1)
    for c, mask in enumerate(keys):
        sure, unsure = teacher[:2][mask[:2]], teacher[2:][mask[2:]]
        if case.classes < MANY_CLASSES:
            sure = some(sure, CONFIG.quota // 2, generator)
            unsure = some(unsure, CONFIG.quota - len(sure), generator)
        size = len(case.lists[c])
        case.lists[c] = torch.cat([case.lists[c], sure, unsure])[-size:]
        case.pushed[c] += len(sure) + len(unsure)


def some(vectors: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """At most `count` of them, drawn without replacement."""
    if len(vectors) <= count:
        return vectors
    return vectors[torch.randperm(len(vectors), generator=generator)[:count]]


def reference_contrast(case: Case, anchors: Tensor, generator: torch.Generator) -> Tensor:
    """Eq. 4 and 12."""
    student, teacher = case.z.permute(0, 2, 3, 1), case.z_teacher.permute(0, 2, 3, 1)
    drawn = {
        c: torch.randint(int(mask.sum()), (CONFIG.anchors,), generator=generator)
        for c, mask in enumerate(anchors)
        if mask.any()
    }
    losses = []
    for c, index in drawn.items():
        z = student[anchors[c]][index]
        positive = teacher[anchors[c]].mean(dim=0)
        size = len(case.lists[c])
        rows = torch.randint(size, (CONFIG.anchors, CONFIG.negatives), generator=generator)
        rows = (rows - case.pushed[c]) % size  # draws name rows of a ring, the list shifts
        near = F.cosine_similarity(z, positive, dim=-1)
        far = F.cosine_similarity(z.unsqueeze(1), case.lists[c][rows], dim=-1)
        scores = torch.cat([near.unsqueeze(1), far], dim=1) / CONFIG.temperature
        losses.append(F.cross_entropy(scores, torch.zeros(len(scores), dtype=torch.long)))
    return torch.stack(losses).mean()


SIDES: dict[str, Callable[[Case, torch.Generator], Losses]] = {
    "ours": ours,
    "reference": reference,
}


def step(name: str, case: Case, seed: int) -> tuple[float, list[float], list[Tensor]]:
    """Seconds, both losses and both gradients of one forward and backward pass."""
    case.z.grad = case.logits.grad = None
    generator = torch.Generator().manual_seed(seed)
    start = time.perf_counter()
    l_u, l_c = SIDES[name](case, generator)
    (l_u + l_c).backward()
    seconds = time.perf_counter() - start
    assert case.z.grad is not None
    assert case.logits.grad is not None
    return seconds, [float(l_u.detach()), float(l_c.detach())], [case.z.grad, case.logits.grad]


def extra_memory(name: str, case: Case) -> float:
    """MiB by which one step raises the peak of a forked process that already holds the inputs."""
    _give_back()
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe()
    process = context.Process(target=_peak, args=(name, case, there))
    process.start()
    there.close()  # so that a child that dies ends the wait
    growth = float(here.recv())
    process.join()
    return growth


def _give_back() -> None:
    """Return freed memory to the system: a fork would work in what its parent no longer uses."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc alone keeps that much
    if trim is not None:
        trim(0)


def _peak(name: str, case: Case, answer: Connection) -> None:
    before = _maximum()
    step(name, case, 0)
    answer.send(_maximum() - before)


def _maximum() -> float:
    """MiB; the system counts in KiB, on macOS in bytes."""
    unit = 1 << 20 if sys.platform == "darwin" else 1 << 10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def measure(classes: int, repeats: int, seed: int) -> dict[str, Any]:
    """Both sides on the same inputs, taking turns; the first turn is not timed."""
    case = make_case(classes, seed)
    memory = {name: extra_memory(name, case) for name in SIDES}
    times: dict[str, list[float]] = {name: [] for name in SIDES}
    for turn in range(1 + repeats):
        found = {}
        for name in SIDES:
            seconds, losses, gradients = step(name, case, seed + turn)
            times[name].append(seconds)
            found[name] = losses, gradients
        _assert_equal(*found.values())
    return {
        "classes": classes,
        "repeats": repeats,
        **{f"{name}_seconds": round(statistics.median(t[1:]), 3) for name, t in times.items()},
        **{f"{name}_mib": round(value) for name, value in memory.items()},
        "losses": [round(value, 6) for value in found["ours"][0]],
    }


def _assert_equal(
    one: tuple[list[float], list[Tensor]], other: tuple[list[float], list[Tensor]]
) -> None:
    torch.testing.assert_close(torch.tensor(one[0]), torch.tensor(other[0]), rtol=1e-5, atol=1e-5)
    for a, b in zip(one[1], other[1], strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-7)


def main() -> None:
    """Read the command line, measure, print and append."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=_Plain)
    parser.add_argument("--classes", type=int, nargs="+", default=[2, 3, 21])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for classes in arguments.classes:
        record = measure(classes, arguments.repeats, arguments.seed)
        record.update(provenance(arguments.seed))
        print(json.dumps(record), flush=True)
        append(RESULTS, record)


class _Plain(argparse.RawDescriptionHelpFormatter):
    """Keeps the lines of the module's docstring."""


if __name__ == "__main__":
    main()
