"""A look at an image before anybody has drawn: which kind of picture is it, does it show animals?

The backbone's published weights come with a classifier of the thousand ImageNet classes; 307 of
them are birds and mammals. Asked in every cell of the deepest map, it finds no outline, but it
tells pictures with animals from those without, from above too (`benchmarks/first_look.py`).
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data_io.errors import DataError
from model.embedding import embedding
from model.features import BACKBONE, REMEDY, batch_of, export_maps, fitted
from model.onnx_session import export_once, open_session

# Of the ImageNet-1k classes in their usual order: cock to great gray owl, black grouse to wombat,
# white stork to giant panda. Between them are cold-blooded ones, for which grass and straw pass.
ANIMALS = (*range(7, 25), *range(80, 107), *range(127, 389))
SIDE = 512  # long side an image is looked at, pixels
CELLS = 8  # the likeliest ones that count
DOUBT = 4.0  # by how much the odds are lowered: eight cells of most scenes pass for some animal
NAMES = ("coarse", "animal")

Floats = NDArray[np.float32]


class FirstLook:
    """The network of first looks.

    Args:
        path: file of `export_first_look`.
        threads: of ONNX Runtime; None lets it decide.

    Raises:
        DataError: there is no such network in the file.
    """

    def __init__(self, path: Path, threads: int | None = None) -> None:
        refusal = DataError(path, "is no network ONNX Runtime can read", REMEDY)
        self._session = open_session(path, threads, refusal)

    def at(self, image: NDArray[np.uint8]) -> tuple[Floats, float]:
        """Look at an image (H, W, 3) uint8 RGB.

        Returns:
            Its embedding, see `model.embedding`, and the chance in [0, 1] that animals are visible.
        """
        padded, _ = fitted(image, SIDE)
        coarse, animal = self._session.run(list(NAMES), {"image": batch_of(padded)})
        chance = np.asarray(animal, np.float32)[0, 0]
        return embedding(np.asarray(coarse, np.float32)[0], chance), foreground(chance)


def foreground(animal: Floats) -> float:
    """Chance that animals are visible.

    Args:
        animal: (h, w) float32, chance of a bird or mammal in each cell at stride 32.

    Returns:
        A number in [0, 1].
    """
    likeliest = np.sort(animal, axis=None)[-CELLS:]
    chance = float(np.clip(likeliest.mean(), 0.0, 1.0))
    return chance / (chance + DOUBT * (1.0 - chance))


def first_look_file(folder: Path) -> Path:
    """The network's file in a folder, exported when it is missing.

    Raises:
        DataError: the export failed.
    """
    mark = hashlib.sha256(f"{BACKBONE} {ANIMALS}".encode()).hexdigest()[:12]
    path = folder / f"first-look-{mark}.onnx"
    return export_once("model.first_look", [], path, "the network of first looks")


def export_first_look(path: Path) -> None:
    """Write the network: ``image`` (1, 3, H, W) in [-1, 1] -> coarse, animal (strides 16 and 32).

    Raises:
        DataError: the backbone's weights are not installed.
        StoreError: the disk is full or cannot be written.
    """
    import torch

    from model.backbone import create_classifier, create_encoder

    class Frozen(torch.nn.Module):
        """The features of stride 16, and in each cell of the deepest map the chance of animals."""

        def __init__(self) -> None:
            super().__init__()
            self.encoder = create_encoder(BACKBONE, 32, pretrained=True).eval()
            self.classifier = create_classifier(BACKBONE)

        def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            *_, coarse, deep = self.encoder(image)
            classes = self.classifier(deep).softmax(1)
            return coarse, classes[:, list(ANIMALS)].sum(1, keepdim=True)

    export_maps(Frozen(), dict(zip(NAMES, (16, 32), strict=True)), path)


if __name__ == "__main__":
    export_first_look(Path(sys.argv[1]))
