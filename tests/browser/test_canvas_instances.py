"""Two animals that touch, from the network's answer to what is stored: told apart, asked about,
answered in each way that the canvas offers, over the real routes and a real store."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from app.workflow.proposals import propose
from benchmarks.proposals import soft_truth
from data_io.geometry import mask_of_parts
from data_io.images import inspect
from data_io.store import NewImage, Store
from data_io.types import Instance, Proposal
from model.grouping import group
from model.instances import STRIDE
from model.pieces import InstanceMaps
from model.predictor import Predictor
from tests.browser.conftest import expect

pytestmark = pytest.mark.browser

WIDTH, HEIGHT = 640, 384  # a multiple of 32, so that nothing is scaled or padded
MIDDLE = WIDTH // 2  # the animals touch here; one is the other's mirror image
NECK = 190  # row of their middles
CUT = 335  # column of the border that a person draws
META = {"max_side": 1024, "least_animal": 0, "small_animal": 0, "mean": [0.0] * 3, "std": [1.0] * 3}
DEPTHS = (1.0, 0.7)  # how deep the network takes the left animal and the right one to be

Mask = NDArray[np.bool_]


def truth() -> tuple[Mask, Mask]:
    """Pixels (HEIGHT, WIDTH) of the left and of the right animal."""
    left = np.zeros((HEIGHT, WIDTH), np.uint8)
    cv2.ellipse(left, ((MIDDLE - 96, NECK), (220, 120), 0), 1, -1)
    left[:, MIDDLE:] = 0
    return left > 0, left[:, ::-1] > 0


def unsure() -> tuple[NDArray[np.float32], InstanceMaps]:
    """An answer that takes both for two animals, though hardly: a little more and it were one."""
    probability, two = soft_truth(truth())
    _, one = soft_truth([np.any(truth(), axis=0)])
    column = np.arange(WIDTH // STRIDE) + 0.5 - MIDDLE / STRIDE
    depth = np.where(column < 0, *DEPTHS).astype(np.float32)
    two, one = (maps._replace(core=maps.core * depth) for maps in (two, one))
    inside, last = probability[1] > 0.5, two
    for share in np.linspace(0, 1, 81, dtype=np.float32):
        mixed = InstanceMaps(*((1 - share) * a + share * b for a, b in zip(two, one, strict=True)))
        if len(group(inside, mixed).certainty) == 1:
            return probability, last
        last = mixed
    raise AssertionError("always two animals")


class Network:
    """Answers to the picture, and to its mirror image, as a trained network would."""

    def __init__(self) -> None:
        probability, maps = unsure()
        logits = 4 * np.log(np.clip(probability, 1e-6, 1))  # surer along outlines than the truth
        self._logits = logits[None]
        self._maps = np.stack([maps.center, *STRIDE * maps.offset, maps.contact, maps.core])

    def __call__(self, batch: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        if batch[..., :MIDDLE].mean() > batch[..., MIDDLE:].mean():  # the pale one is on the left
            return [self._logits, self._maps[None]]
        turned = self._maps[..., ::-1].copy()
        turned[1] *= -1
        return [self._logits[..., ::-1], turned[None]]


@pytest.fixture(scope="module")
def proposed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project of one picture with its proposal, made as the propose job makes it."""
    folder = tmp_path_factory.mktemp("touching") / "project"
    with Store.open(folder) as store:
        cow = store.add_category("cow").id
        pixels = np.full((HEIGHT, WIDTH, 3), 80, np.uint8)
        for mask, coat in zip(truth(), (220, 150), strict=True):
            pixels[mask] = coat
        file = folder / "images" / "touching.png"
        cv2.imwrite(str(file), pixels)
        info = inspect(file)
        new = NewImage(info.path, info.width, info.height, info.sha256, "pen")
        (record,) = store.add_images([new])
        predictor = Predictor(Network(), {**META, "categories": [cow]}, "v1", "cpu")
        propose(store, predictor, "v1", record)
    return folder


class Herd:
    """What the project holds of its picture."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.image = store.images()[0].id

    @property
    def proposal(self) -> Proposal:
        found = self.store.proposal(self.image)
        assert found is not None
        return found

    @property
    def animals(self) -> tuple[Instance, ...]:
        """Instances of the newest revision."""
        revision = self.store.revision(self.image)
        return revision.instances if revision else ()

    @property
    def states(self) -> list[str]:
        return [region.state for region in self.store.regions(self.image)]

    @property
    def answered(self) -> bool:
        """True where the region, and nothing else, is verified."""
        revision, (region,) = self.store.revision(self.image), self.store.regions(self.image)
        assert revision is not None
        return bool((raster(revision.verified) == raster(region.parts)).all())

    @property
    def verified(self) -> int:
        """Pixels that a person vouches for."""
        revision = self.store.revision(self.image)
        return int(raster(revision.verified).sum()) if revision else 0


def raster(parts: Any) -> Mask:
    return mask_of_parts(parts, HEIGHT, WIDTH)


def rasters(animals: tuple[Instance, ...]) -> list[Mask]:
    """Pixels of the animals, from left to right."""
    masks = [raster(one.parts) for one in animals]
    return sorted(masks, key=lambda mask: float(np.nonzero(mask)[1].mean()))


def same(some: list[Mask], others: list[Mask]) -> bool:
    return len(some) == len(others) and all(
        np.array_equal(a, b) for a, b in zip(some, others, strict=True)
    )


@pytest.fixture
def herd(tmp_path: Path, proposed: Path) -> Iterator[Herd]:
    with Store.open(shutil.copytree(proposed, tmp_path / "project")) as store:
        yield Herd(store)


@pytest.fixture
def canvas(herd: Herd, canvas_over: Any) -> Iterator[Any]:
    """The editor with the question under review."""
    with canvas_over(herd.store) as opened:
        opened.open(herd.image)
        opened.press("]")
        opened.page.wait_for_selector(".hc-regions [aria-current] >> text=Animals meet here")
        yield opened


def answered(canvas: Any, herd: Herd, state: str) -> None:
    """Wait until the region has its answer, and look whether that is what was stored."""
    canvas.page.wait_for_selector(f".hc-regions [data-state={state}]")
    canvas.state("saved")
    assert herd.states == [state]
    assert herd.answered


def undone(canvas: Any, herd: Herd) -> None:
    """Take an answer back; the region asks again."""
    canvas.press("Control+z")
    canvas.says("open again")
    canvas.state("saved")
    assert herd.states == ["open"]
    assert herd.verified == 0


def test_touching_animals_are_shown_apart_with_their_scores_and_asked_about(
    canvas: Any, herd: Herd
) -> None:
    (region,) = herd.store.regions(herd.image)
    assert region.kind == "split or merge"
    assert raster(region.parts)[NECK, MIDDLE]
    for mask, real in zip(rasters(herd.proposal.instances), truth(), strict=True):
        assert (mask & real).sum() > 0.85 * (mask | real).sum()
    scores = [one.score for one in herd.proposal.instances]
    assert max(scores) - min(scores) > 0.1
    shown = canvas.page.locator(".hc-animals .hc-tag")
    expect(shown).to_have_text([f"proposed {score:.2f}" for score in scores])
    for name in ("One animal", "Draw the cut"):
        expect(canvas.page.get_by_role("button", name=name, exact=True)).to_be_visible()


def test_accepted_they_stay_two_and_keep_their_scores(canvas: Any, herd: Herd) -> None:
    two = herd.proposal.instances
    canvas.press("a")
    answered(canvas, herd, "accepted")
    assert same(rasters(herd.animals), rasters(two))
    kept = {one.id: (one.source, one.version, one.score) for one in herd.animals}
    assert kept == {one.id: ("model", "v1", one.score) for one in two}
    undone(canvas, herd)
    assert same(rasters(herd.animals), rasters(two))


def test_one_animal_is_stored_with_the_ground_of_both(canvas: Any, herd: Herd) -> None:
    left, right = rasters(herd.proposal.instances)
    canvas.press("m")
    answered(canvas, herd, "fixed")
    (whole,) = herd.animals
    assert same(rasters((whole,)), [left | right])
    assert (whole.source, whole.version) == ("edited", "v1")
    undone(canvas, herd)
    assert same(rasters(herd.animals), [left, right])
    assert [one.score for one in herd.animals] == [one.score for one in herd.proposal.instances]


def test_the_border_is_drawn_anew(canvas: Any, herd: Herd) -> None:
    left, right = rasters(herd.proposal.instances)
    names = {one.id for one in herd.proposal.instances}
    canvas.page.get_by_role("button", name=re.compile("Draw the cut")).click()
    canvas.drag((CUT, NECK - 50), (CUT, NECK + 50))
    answered(canvas, herd, "fixed")
    assert {one.id for one in herd.animals} == names
    one, other = rasters(herd.animals)
    assert not (one & other).any()
    assert np.array_equal(one | other, left | right)
    assert not one[:, CUT + 1 :].any()
    assert not other[:, : CUT - 1].any()
    select = canvas.page.get_by_role("button", name=re.compile("^Select"))
    expect(select).to_have_attribute("aria-pressed", "true")
    undone(canvas, herd)
    assert same(rasters(herd.animals), [left, right])


def test_a_cut_beside_both_is_refused_in_a_sentence(canvas: Any, herd: Herd) -> None:
    before = rasters(herd.proposal.instances)
    canvas.press("f", "u")
    canvas.drag((20, 20), (20, 60))
    canvas.says("divides nothing")
    assert herd.states == ["open"]
    assert herd.animals == () or same(rasters(herd.animals), before)


def test_a_selected_animal_alone_is_cut_in_two(canvas: Any, herd: Herd) -> None:
    _, right = rasters(herd.proposal.instances)
    canvas.press("f")
    canvas.click(MIDDLE + 100, NECK)
    canvas.press("u")
    canvas.drag((MIDDLE + 100, NECK - 90), (MIDDLE + 100, NECK + 90))
    canvas.state("saved")
    assert herd.states == ["open"]
    one, other = rasters(herd.animals)  # the left one is still a proposal
    assert np.array_equal(one | other, right)
