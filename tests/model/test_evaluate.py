"""`evaluate` on a predictor that knows the answer, and on files with faults."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data_io.errors import DataError
from data_io.types import Instance, Part, Parts
from model.evaluate import class_map, evaluate, read_points
from model.metrics import Scored

WIDTH, HEIGHT = 96, 64
KEYS = {"iou", "miou", "boundary_iou", "ap", "ap50", "pq", "count_mae", "error_auroc"}
KEYS |= {"merges", "splits", "error_recall_at_5", "points"}
KEYS |= {"seconds_per_image", "images", "refused"}


def box(x: int, y: int, w: int, h: int) -> Parts:
    return (Part(np.array([[x, y], [x + w, y], [x + w, y + h], [x, y + h]], np.float64)),)


@dataclass(frozen=True)
class Answer:
    instances: tuple[Instance, ...]
    uncertainty: np.ndarray


class Oracle:
    """Recognizes an image by its top-left red value and answers what it was given."""

    def __init__(self, answers: dict[int, list[tuple[int, int, int, int]]], unsure: int = 0):
        self.answers = answers
        self.unsure = np.full((HEIGHT // 4, WIDTH // 4), unsure, np.uint8)

    def predict(self, image: np.ndarray, /) -> Answer:
        boxes = self.answers[int(image[0, 0, 0])]
        made = (
            Instance(id=str(n), category="c1", parts=box(*b), source="model", score=0.9)
            for n, b in enumerate(boxes)
        )
        return Answer(tuple(made), self.unsure)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two PNGs, red 10 and 20 (one in a sub-folder), and their COCO file."""
    (tmp_path / "images" / "deep").mkdir(parents=True)
    for name, red in (("a.png", 10), ("deep/b.png", 20)):
        Image.new("RGB", (WIDTH, HEIGHT), (red, 0, 0)).save(tmp_path / "images" / name)
    boxes = [(1, 8, 8, 16, 16), (1, 48, 8, 16, 16), (2, 8, 32, 32, 16)]
    annotations = [
        {
            "id": n,
            "image_id": image,
            "category_id": 7,
            "segmentation": [[x, y, x + w, y, x + w, y + h, x, y + h]],
            "bbox": [x, y, w, h],
            "area": w * h,
            "iscrowd": 0,
        }
        for n, (image, x, y, w, h) in enumerate(boxes, start=1)
    ]
    images = [
        {"id": n, "file_name": name, "width": WIDTH, "height": HEIGHT}
        for n, name in ((1, "a.png"), (2, "b.png"))
    ]
    coco = {
        "images": images,
        "annotations": annotations,
        "categories": [{"id": 7, "name": "Cow"}],
    }
    (tmp_path / "coco.json").write_text(json.dumps(coco))
    return tmp_path


TRUE = {10: [(8, 8, 16, 16), (48, 8, 16, 16)], 20: [(8, 32, 32, 16)]}


def test_a_perfect_predictor(folder: Path) -> None:
    steps: list[tuple[int, int]] = []
    result = evaluate(
        Oracle(TRUE),
        folder / "coco.json",
        folder / "images",
        progress=lambda done, total: steps.append((done, total)),
        names={"c1": "cow"},
    )
    assert result.keys() == KEYS
    for key in ("iou", "miou", "boundary_iou", "ap", "ap50", "pq"):
        assert result[key] == pytest.approx(1.0), key
    assert result["count_mae"] == 0
    assert result["error_auroc"] is None
    assert result["points"] is None
    assert result["images"] == 2
    assert result["refused"] == []
    assert result["seconds_per_image"] > 0
    assert steps == [(0, 2), (1, 2), (2, 2)]
    json.dumps(result)


def test_a_missed_animal_by_hand(folder: Path) -> None:
    oracle = Oracle({10: [(8, 8, 16, 16)], 20: TRUE[20]}, unsure=100)
    result = evaluate(oracle, folder / "coco.json", folder / "images", names={"c1": "cow"})
    assert result["iou"] == pytest.approx(768 / 1024)
    pixels = 2 * WIDTH * HEIGHT
    assert result["miou"] == pytest.approx((0.75 + (pixels - 1024) / (pixels - 768)) / 2)
    assert result["pq"] == pytest.approx(2 / 2.5)
    assert result["count_mae"] == pytest.approx(0.5)
    assert result["ap50"] == pytest.approx(67 / 101)  # recall stops at 2/3
    # a flat map finds errors by chance alone; only the first image has wrong pixels
    assert result["error_auroc"] == pytest.approx(0.5)
    assert result["error_recall_at_5"] == pytest.approx(0.05)


def test_a_category_of_another_name_is_found_as_an_animal_but_wrong(folder: Path) -> None:
    result = evaluate(Oracle(TRUE), folder / "coco.json", folder / "images", names={"c1": "sheep"})
    assert result["iou"] == pytest.approx(1.0)
    assert result["ap"] == pytest.approx(0.0)
    assert result["pq"] == pytest.approx(0.0)
    assert result["miou"] == pytest.approx(1 / 3)


def test_points_may_lie_on_other_images(folder: Path) -> None:
    Image.new("RGB", (WIDTH, HEIGHT), (30, 0, 0)).save(folder / "images" / "c.png")
    marks = {"c.png": {"points": [[10, 10], [60.5, 10.5]], "source": "x"}}
    (folder / "points.json").write_text(json.dumps(marks))
    oracle = Oracle({**TRUE, 30: [(8, 8, 16, 16)]})
    result = evaluate(
        oracle, folder / "coco.json", folder / "images", folder / "points.json", None, {"c1": "cow"}
    )
    assert result["points"] == {"precision": 1.0, "recall": 0.5, "count_mae": 1.0}
    assert result["images"] == 3
    assert result["iou"] == pytest.approx(1.0)
    alone = evaluate(oracle, None, folder / "images", folder / "points.json")
    assert alone["points"] == result["points"]
    assert alone["iou"] is None
    assert alone["ap"] is None


def test_missing_and_resized_images_are_refused_in_a_sentence(folder: Path) -> None:
    (folder / "images" / "a.png").unlink()
    result = evaluate(Oracle(TRUE), folder / "coco.json", folder / "images")
    assert result["images"] == 1
    assert [row["file"] for row in result["refused"]] == ["a.png"]
    Image.new("RGB", (10, 10)).save(folder / "images" / "deep" / "b.png")
    with pytest.raises(DataError, match="no image could be scored"):
        evaluate(Oracle(TRUE), folder / "coco.json", folder / "images")
    with pytest.raises(DataError, match="no such folder"):
        evaluate(Oracle(TRUE), folder / "coco.json", folder / "nowhere")


def test_two_images_of_one_name_are_not_guessed(folder: Path) -> None:
    (folder / "images" / "other").mkdir()
    Image.new("RGB", (WIDTH, HEIGHT)).save(folder / "images" / "other" / "b.png")
    result = evaluate(Oracle(TRUE), folder / "coco.json", folder / "images")
    assert "several images" in result["refused"][0]["why"]


def test_later_animals_lie_on_top() -> None:
    from data_io.geometry import rle_of_parts

    def animal(name: str, *place: int) -> Scored:
        return Scored(name, rle_of_parts(box(*place), 4, 6))

    stack = [animal("calf", 0, 0, 3, 4), animal("cow", 2, 0, 2, 4), animal("calf", 3, 0, 3, 4)]
    classes = class_map(stack, ["", "calf", "cow"], 4, 6)
    np.testing.assert_array_equal(classes[0], [1, 1, 2, 1, 1, 1])


@pytest.mark.parametrize(
    "text",
    ["{", "[]", '{"a.jpg": {}}', '{"a.jpg": {"points": [[1]]}}', '{"a": {"points": [[NaN, 1]]}}'],
)
def test_bad_point_files_are_told_in_one_sentence(tmp_path: Path, text: str) -> None:
    file = tmp_path / "points.json"
    file.write_text(text)
    with pytest.raises(DataError, match=r"points\.json"):
        read_points(file)
