"""What the tests of the command line share."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from app import cli


@pytest.fixture
def herdmark(capsys):
    """Runs a command in this process: (exit code, last line of stdout, stderr)."""

    def run(*arguments):
        with pytest.raises(SystemExit) as ended:
            cli.main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return ended.value.code or 0, (out.strip().splitlines() or [""])[-1], err

    return run


@pytest.fixture
def photos(tmp_path):
    """Two photos, labels for the first."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(2):
        Image.fromarray(np.full((48, 64, 3), 90 * number, np.uint8)).save(folder / f"{number}.png")
    square = [2, 2, 12, 2, 12, 12, 2, 12]
    content = {
        "images": [{"id": 1, "file_name": "0.png", "width": 64, "height": 48}],
        "categories": [{"id": 0, "name": "cow"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 0, "segmentation": [square]}],
    }
    folder.joinpath("labels.json").write_text(json.dumps(content))
    return folder
