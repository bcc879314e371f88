"""Looks at images of any size: zoom, tiles, animals across their edges."""

from __future__ import annotations

import numpy as np
import torch

from model.maskrcnn.detections import Detections, detect, looking
from tests.model.maskrcnn.tiny import detections

SIDES = ((20, 20), (70, 40), (140, 40), (60, 300), (250, 150))  # y, x of animals of 12 pixels


def color_boxes(image: np.ndarray, zoom: float) -> Detections:
    """A network that finds every color; small animals vanish where the zoom is small."""
    found = []
    for value in np.unique(image[..., 0]):
        if value == 0:
            continue
        rows, columns = np.nonzero(image[..., 0] == value)
        box = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        if zoom * max(box[2] - box[0], box[3] - box[1]) >= 10:
            found.append(((*map(float, box),), 0.9, 1))
    return detections(*found)  # type: ignore[arg-type]


def scene() -> np.ndarray:
    image = np.zeros((300, 400, 3), np.uint8)
    for k, (y, x) in enumerate(SIDES, start=1):
        image[y : y + 12, x : x + 12] = 10 * k
    image[100:130, 100:300] = 200  # longer than a tile's overlap
    return image


def test_small_animals_come_from_tiles_and_large_ones_from_the_whole_image() -> None:
    whole = detect(color_boxes, scene(), 0.25, 0.25, 100)
    assert len(whole.scores) == 1
    found = detect(color_boxes, scene(), 0.25, 1.0, 100)
    boxes = {tuple(box) for box in found.boxes.astype(int).tolist()}
    assert boxes == {(100, 100, 300, 130)} | {(x, y, x + 12, y + 12) for y, x in SIDES}
    assert len(found.scores) == len(boxes)


def test_every_place_of_a_small_animal_is_answered_once() -> None:
    """An animal at every offset across the edges of tiles is found whole, by one tile."""
    for x in range(40, 140):
        image = np.zeros((100, 200, 3), np.uint8)
        image[30:42, x : x + 20] = 50
        found = detect(color_boxes, image, 0.4, 1.0, 80)
        assert found.boxes.tolist() == [[x, 30, x + 20, 42]], x


def test_images_that_hardly_grow_are_looked_at_once() -> None:
    zooms = []

    def look(image: np.ndarray, zoom: float) -> Detections:
        zooms.append(zoom)
        return color_boxes(image, zoom)

    detect(look, scene(), 0.8, 1.0, 100)
    assert zooms == [0.8]


class Middle(torch.nn.Module):
    """Answers with the middle half of the image it is shown."""

    def __init__(self) -> None:
        super().__init__()
        self.anything = torch.nn.Parameter(torch.zeros(1))
        self.seen: list[torch.Tensor] = []

    def forward(self, images: list[torch.Tensor]) -> list[dict[str, torch.Tensor]]:
        self.seen += images
        height, width = images[0].shape[1:]
        box = [width / 4, height / 4, 3 * width / 4, 3 * height / 4]
        return [
            {
                "boxes": torch.tensor([box]),
                "labels": torch.tensor([1]),
                "scores": torch.tensor([0.5]),
                "masks": torch.ones(1, 1, 28, 28),
            }
        ]


def test_boxes_come_back_in_pixels_of_the_image_however_it_was_scaled() -> None:
    network = Middle()
    look = looking(network, (0.5, 0.25, 0.0), (0.5, 0.25, 1.0))  # type: ignore[arg-type]
    image = np.full((60, 101, 3), 255, np.uint8)
    for zoom in (1.0, 0.5):
        found = look(image, zoom)
        np.testing.assert_allclose(found.boxes, [[101 / 4, 15, 303 / 4, 45]], rtol=1e-6)
        assert found.masks.shape == (1, 28, 28)
    assert [tuple(one.shape) for one in network.seen] == [(3, 60, 101), (3, 30, 50)]
    np.testing.assert_allclose(network.seen[0][:, 0, 0], [1, 3, 1], atol=1e-6)
