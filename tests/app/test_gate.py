"""What the gate decides and says, with versions whose proposals are given by hand."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from app import gate, scores
from app.gate import Pair, Verdict, compare
from app.meter import Prequential
from app.scores import Entrant
from app.workflow.imports import import_source
from data_io.errors import DataError
from data_io.geometry import full_image
from data_io.snapshot import write_snapshot
from data_io.store import Store
from data_io.types import Instance, Part
from model.checkpoint import write_version

WIDTH, HEIGHT = 64, 48
Box = tuple[float, float, float, float]
TRUE: Box = (8, 8, 16, 16)
Judge = Callable[..., Verdict]


def cow(box: Box, name: str = "x", category: str = "cow") -> Instance:
    x, y, w, h = box
    ring = np.array([[x, y], [x + w, y], [x + w, y + h], [x, y + h]], np.float64)
    return Instance(name, category, (Part(ring),))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project of twelve images in six groups, each verified whole with one cow at `TRUE`."""
    place = tmp_path_factory.mktemp("herd")
    for number in range(12):
        folder = place / "photos" / f"camera{number % 6}"
        folder.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (WIDTH, HEIGHT), (20 * number, 0, 0)).save(folder / f"{number}.png")
    with Store.open(place / "project") as opened:
        import_source(opened, place / "photos")
        category = opened.add_category("cow").id
        for record in opened.images():
            animals = [cow(TRUE, f"a-{record.id}", category)]
            opened.save_revision(record.id, 0, animals, full_image(HEIGHT, WIDTH), "me")
    return place / "project"


@pytest.fixture
def store(made: Path, tmp_path: Path) -> Iterator[Store]:
    """A copy of that project."""
    shutil.copytree(made, tmp_path / "project")
    with Store.open(tmp_path / "project") as opened:
        yield opened


class Hand:
    """A version whose box on the n-th image of the project (by gray level) is given."""

    def __init__(self, boxes: Callable[[int], Box | None]) -> None:
        self._boxes = boxes

    def predict(self, pixels: Any) -> Any:
        box = self._boxes(round(float(pixels[..., 0].mean()) / 20))
        made = () if box is None else (cow(box),)
        return SimpleNamespace(probability=np.zeros((2, 1, 1), np.float32), instances=made)


@pytest.fixture
def judge(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Judge:
    """Judges a version that finds `new` against a promoted one that finds `old`."""

    def run(
        new: Callable[[int], Box | None],
        old: Callable[[int], Box | None] | None = lambda n: TRUE,
        validation: int = 0,
        result: dict[str, Any] | None = None,
        snapshot: Path | None = None,
        instant: Callable[[int], Box | None] | None = None,
        **more: Any,
    ) -> Verdict:
        for record in store.images()[:validation]:
            store.set_split(record.id, "val")
        hands = {"v1": Hand(old or (lambda n: None)), "v2": Hand(new)}
        monkeypatch.setattr(scores, "open_version", lambda store, one: hands[one.id])
        v1, v2 = (
            Entrant(id, tmp_path / id, snapshot or tmp_path / "no snapshot") for id in ("v1", "v2")
        )
        more["instant"] = lambda: Hand(instant) if instant else None
        return gate.judge(store, v2, v1 if old else None, result or {}, **more)

    return run


def same(n: int) -> Box:
    return TRUE


def shifted(by: float) -> Callable[[int], Box]:
    return lambda n: (8 + by, 8, 16, 16)


def pairs(differences: list[float], group: Callable[[int], str] = str) -> list[Pair]:
    return [Pair(str(n), f"{n}.png", group(n), 0.5 + d, 0.5) for n, d in enumerate(differences)]


# --- the bootstrap --------------------------------------------------------------------------------


def test_the_interval_is_that_of_the_mean_for_many_images() -> None:
    differences = np.random.default_rng(5).normal(0.01, 0.05, 400)
    made = compare(pairs(differences.tolist()), 0.9)
    half = 1.645 * differences.std() / 20
    assert made.mean == pytest.approx(differences.mean())
    assert made.low == pytest.approx(differences.mean() - half, abs=0.0008)
    assert made.high == pytest.approx(differences.mean() + half, abs=0.0008)


def test_frames_of_one_camera_are_one_witness() -> None:
    differences = np.repeat(np.random.default_rng(5).normal(0, 0.05, 8), 10).tolist()
    together = compare(pairs(differences, lambda n: str(n // 10)), 0.9)
    apart = compare(pairs(differences, lambda n: "same camera"), 0.9)
    assert (together.groups, apart.groups) == (8, 0)
    assert together.high - together.low > 2 * (apart.high - apart.low)


def test_the_same_images_give_the_same_interval() -> None:
    made = pairs([0.1, -0.2, 0.05, 0.0, 0.3, 0.01])
    assert compare(made, 0.9) == compare(made, 0.9)


# --- against the promoted version -----------------------------------------------------------------


def test_what_is_not_worse_is_promoted_and_what_is_worse_is_not(judge: Judge) -> None:
    good = judge(same, shifted(1), validation=12)
    assert good.promoted
    assert "validation IoU 1.000 against 0.882 of v1 on 12 images in 6 groups" in good.why
    bad = judge(shifted(4), same, validation=8)
    assert not bad.promoted
    assert "validation IoU 0.600 against 1.000 of v1" in bad.why
    assert "90 % interval -0.400 to -0.400" in bad.why
    assert "0.020 allowed" in bad.why


def test_a_doubtful_version_is_kept_aside_although_its_mean_may_do(judge: Judge) -> None:
    def uneven(n: int) -> Box:
        return TRUE if n % 6 == 0 else (18, 8, 16, 16)

    verdict = judge(uneven, shifted(8), validation=12)
    difference = verdict.evidence["difference"]
    assert difference["new"] > difference["old"]
    assert difference["low"] < -0.02
    assert not verdict.promoted
    assert "it loses most on" in verdict.why


def test_few_images_say_little_and_the_mean_decides(judge: Judge) -> None:
    verdict = judge(lambda n: TRUE if n else (8.0, 8.0, 18.0, 16.0), same, validation=2)
    assert not verdict.promoted
    assert "so few images say little" in verdict.why
    assert "the mean alone decides, which may fall by 0.020" in verdict.why
    assert judge(same, same, validation=2).promoted


def test_scores_of_both_are_kept_for_every_image(judge: Judge, store: Store) -> None:
    verdict = judge(shifted(8), same, validation=5)
    ids = {record.id for record in store.images()[:5]}
    kept = verdict.as_dict()
    assert kept["against"] == "v1"
    assert set(kept["images"]) == set(kept["against_images"]) == ids
    one = next(iter(kept["images"].values()))
    assert one == {"iou": pytest.approx(1 / 3), "animals": 1, "truth": 1, "revision": 1}


def test_images_that_taught_one_of_them_do_not_judge(judge: Judge, store: Store) -> None:
    snapshot = write_snapshot(store, store.project / "snapshots")  # all twelve taught it
    verdict = judge(shifted(8), same, validation=6, snapshot=snapshot.folder)
    assert verdict.promoted
    assert verdict.evidence["images"] == {}


def test_test_images_and_half_verified_ones_never_judge(judge: Judge, store: Store) -> None:
    one, two, *_ = store.images()
    store.set_split(one.id, "test")
    half = cow((0, 0, 30, HEIGHT)).parts
    store.set_split(two.id, "val")
    store.save_revision(two.id, 1, [], half, "me")
    verdict = judge(shifted(8), same)
    assert verdict.evidence["images"] == {}
    assert "no validation images" in verdict.why


# --- no use at all --------------------------------------------------------------------------------


@pytest.mark.parametrize("old", [None, same], ids=["first", "second"])
@pytest.mark.parametrize(
    ("new", "told"),
    [
        (lambda n: None, "finds no animal on all 6 images"),
        (lambda n: (0, 0, WIDTH, HEIGHT), "takes everything for animals"),
        (lambda n: (40, 30, 16, 16), "next to no animal: IoU 0.000"),
    ],
    ids=["nothing", "everything", "inverted"],
)
def test_what_finds_nothing_or_everything_is_never_promoted(
    judge: Judge, new: Any, told: str, old: Any
) -> None:
    verdict = judge(new, old, validation=6)
    assert not verdict.promoted
    assert told in verdict.why


def test_without_judges_it_is_tried_on_what_it_learned(judge: Judge, store: Store) -> None:
    snapshot = write_snapshot(store, store.project / "snapshots").folder
    verdict = judge(lambda n: None, None, snapshot=snapshot)
    assert not verdict.promoted
    assert "finds no animal on all 6 images" in verdict.why


def test_the_first_version_must_not_propose_worse_than_the_instant_model(judge: Judge) -> None:
    good = judge(same, None, validation=6, instant=shifted(1))
    assert good.promoted
    assert "validation IoU 1.000 against 0.882 of the instant model on 6 images" in good.why
    bad = judge(shifted(4), None, validation=6, instant=same)
    assert not bad.promoted
    assert "validation IoU 0.600 against 1.000 of the instant model" in bad.why
    assert bad.why.endswith("train longer, or label more images first")
    assert judge(shifted(4), None, validation=6).promoted  # nothing proposes yet


def test_without_judges_both_are_tried_on_what_both_learned(judge: Judge, store: Store) -> None:
    snapshot = write_snapshot(store, store.project / "snapshots").folder
    bad = judge(shifted(4), None, snapshot=snapshot, instant=same)
    assert not bad.promoted
    assert "IoU 0.600 against 1.000 of the instant model on 6 images" in bad.why
    assert "on images that both learned from" in bad.why
    good = judge(same, None, snapshot=snapshot, instant=shifted(4))
    assert good.promoted
    assert "is better by the 0.020 asked for" in good.why
    draw = judge(same, None, snapshot=snapshot, instant=same)
    assert not draw.promoted  # a network fits what it learned better than it does others
    assert "may not be better by the 0.020 asked for" in draw.why


def test_few_images_learned_by_heart_say_nothing_of_others(judge: Judge, store: Store) -> None:
    for record in store.images()[4:]:
        store.set_excluded(record.id, True)
    snapshot = write_snapshot(store, store.project / "snapshots").folder
    found = judge(same, None, snapshot=snapshot, instant=shifted(4))
    assert not found.promoted
    assert "kept aside: 4 images that it learned by heart" in found.why
    assert judge(same, None, snapshot=snapshot).promoted  # nothing else proposes


def test_one_image_is_no_reason_to_promote(judge: Judge, store: Store) -> None:
    first, *others = store.images()
    for record in others:
        store.set_excluded(record.id, True)
    snapshot = write_snapshot(store, store.project / "snapshots").folder
    for old in (None, same):
        verdict = judge(same, old, snapshot=snapshot)
        assert not verdict.promoted
        assert "learned from one image only" in verdict.why
        assert "label another one" in verdict.why
    store.set_excluded(others[0].id, False)  # another labeled image can tell
    store.set_split(others[0].id, "val")
    assert judge(same, None, snapshot=snapshot).promoted
    assert store.image(first.id).split is None


@pytest.mark.parametrize(
    "result",
    [
        {"metrics": {"iou": 0.5, "phases": {"semi": {"miou": float("nan")}}}},
        {"metrics": {"loss": [float("inf")]}},
    ],
)
def test_figures_that_are_no_numbers_are_a_reason(judge: Judge, result: dict[str, Any]) -> None:
    verdict = judge(same, None, result=result)
    assert not verdict.promoted
    assert "not a finite number" in verdict.why


def test_a_map_that_is_no_number_is_a_reason(judge: Judge, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = SimpleNamespace(probability=np.full((2, 1, 1), np.nan, np.float32), instances=())
    monkeypatch.setattr(Hand, "predict", lambda self, pixels: broken)
    verdict = judge(same, None, validation=2)
    assert not verdict.promoted
    assert "what it says is not a finite number" in verdict.why


@pytest.fixture
def saved(tmp_path: Path) -> Entrant:
    """Version files of which one weight is no number."""
    folder = tmp_path / "v2"
    write_version(folder, {"good": torch.zeros(3), "bad": torch.tensor([1.0, torch.nan])}, {})
    return Entrant("v2", folder, folder / "no snapshot")


def test_weights_that_are_no_numbers_are_never_promoted(store: Store, saved: Entrant) -> None:
    verdict = gate.judge(store, saved, None, {"metrics": {"iou": 0.5}})
    assert (verdict.promoted, verdict.why) == (
        False,
        "kept aside: its weights are not finite numbers",
    )


def test_files_that_are_not_whole_are_never_promoted(
    store: Store, saved: Entrant, tmp_path: Path
) -> None:
    half = saved.folder.joinpath("weights.safetensors").read_bytes()[:100]
    tmp_path.joinpath("weights.safetensors").write_bytes(half)
    verdict = gate.judge(store, Entrant("v2", tmp_path, saved.snapshot), None, {})
    assert not verdict.promoted
    assert "cannot be read" in verdict.why


def test_a_promoted_version_that_is_broken_stands_in_nobodys_way(
    judge: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    def predict(self: Hand, pixels: Any) -> Any:
        if self._boxes(0) != TRUE:
            raise DataError("v1", "its weights are gone", "train again")
        return SimpleNamespace(probability=np.zeros((2, 1, 1)), instances=(cow(TRUE),))

    monkeypatch.setattr(Hand, "predict", predict)
    verdict = judge(same, shifted(1), validation=6)
    assert verdict.promoted
    assert "v1 cannot be compared with: its weights are gone" in verdict.why


# --- pre-labels against final labels --------------------------------------------------------------


def recorded(store: Store, count: int, iou: float, version: str = "v1") -> list[Prequential]:
    return [Prequential(one.id, version, iou) for one in store.images()[-count:]]


def test_without_validation_images_a_clear_loss_on_fresh_ones_counts(
    judge: Judge, store: Store
) -> None:
    bad = judge(shifted(8), prequential=recorded(store, 6, 0.95))
    assert not bad.promoted
    assert "clearly worse on 6 images verified since both learned, IoU 0.333" in bad.why
    assert "whose proposals their labels began as" in bad.why
    slight = judge(shifted(8), prequential=recorded(store, 6, 0.34))
    assert slight.promoted
    assert "no validation images" in slight.why


def test_few_fresh_images_decide_nothing(judge: Judge, store: Store) -> None:
    verdict = judge(shifted(8), prequential=recorded(store, 4, 0.95))
    assert verdict.promoted
    assert "on 4 images verified since" in verdict.why


def test_fresh_images_are_a_second_opinion_beside_validation_images(
    judge: Judge, store: Store
) -> None:
    verdict = judge(same, same, validation=5, prequential=recorded(store, 6, 1.0))
    assert verdict.promoted
    assert "a second opinion: on 6 images verified since both learned" in verdict.why
    assert verdict.evidence["fresh"]["images"] == 6


def test_only_pre_labels_of_the_promoted_version_on_unseen_images_count(
    judge: Judge, store: Store
) -> None:
    other = recorded(store, 6, 0.95, version="v0")
    assert "fresh" not in judge(shifted(8), prequential=other).evidence
    snapshot = write_snapshot(store, store.project / "snapshots").folder
    ours = recorded(store, 6, 0.95)
    assert "fresh" not in judge(shifted(8), prequential=ours, snapshot=snapshot).evidence


def test_judging_can_be_stopped_between_images(judge: Judge) -> None:
    class Enough(Exception):
        pass

    calls: list[int] = []

    def check() -> None:
        calls.append(1)
        if len(calls) == 3:
            raise Enough

    with pytest.raises(Enough):
        judge(same, same, validation=8, check=check)
    assert len(calls) == 3
