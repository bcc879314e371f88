"""The command `simulate`: wrong usage, and what is refused with a sentence."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from app.simulate import study
from data_io.errors import DataError


@pytest.mark.parametrize(
    "arguments",
    [(), ("project", "--data", "labels.json"), ("project", "--seeds", "one")],
)
def test_wrong_usage(herdmark, arguments):
    assert herdmark("simulate", *arguments)[0] == 2


def test_a_project_with_one_label_is_refused_with_a_sentence(herdmark, photos, tmp_path):
    project = tmp_path / "project"
    assert herdmark("import", project, photos / "labels.json")[0] == 0
    out = tmp_path / "report.json"
    code, last, err = herdmark("simulate", project, "--out", out, "--json")
    assert code == 1
    assert "verified" in err
    assert "error" in json.loads(last)
    assert not out.exists()


def test_unknown_arms_are_refused(tmp_path):
    records = study.records_of(None, ["A1"], [0], study.Options({}), tmp_path, print)
    with pytest.raises(DataError, match="use A0, A2, A3, A4, A9, A9g, A9c"):
        next(records)


class NoModels:
    """Never any model: what is drawn from scratch needs none."""

    def __init__(self, *settings):
        self.settings = settings

    def trained(self, store, method, seed, number):
        return None

    def instant(self, store):
        return None


def labeled(folder, count=10):
    """Photos of one folder, a square animal on each."""
    folder.mkdir()
    square = [10, 10, 40, 10, 40, 34, 10, 34]
    content = {"categories": [{"id": 1, "name": "cow"}], "images": [], "annotations": []}
    for k in range(count):
        Image.fromarray(np.full((48, 64, 3), 20 * k, np.uint8)).save(folder / f"{k}.png")
        content["images"].append({"id": k, "file_name": f"{k}.png", "width": 64, "height": 48})
        entry = {"id": k, "image_id": k, "category_id": 1, "segmentation": [square]}
        content["annotations"].append(entry)
    folder.joinpath("labels.json").write_text(json.dumps(content))
    return folder / "labels.json"


def test_labels_are_simulated_and_the_report_is_kept(herdmark, tmp_path, monkeypatch):
    monkeypatch.setattr(study, "TrainedModels", NoModels)
    out = tmp_path / "report.json"
    line = ["simulate", "--data", labeled(tmp_path / "photos"), "--arms", "A0", "--seeds", "0"]
    code, last, err = herdmark(*line, "--out", out, "--json")
    assert code == 0, err
    told, kept = json.loads(last), json.loads(out.read_text())
    assert told["arms"] == ["A0"]
    assert kept["clocks"] == told["clocks"]
    assert told["records"] == len(kept["records"]) >= 2  # the ceiling is one
    row = told["clocks"]["x1"]["arms"]["A0"]
    assert row["animals"] == sum(
        len(image["animals"]) for one in kept["records"] for image in one.get("images", ())
    )
    assert row["delivered"] > 0.9
    assert herdmark(*line, "--out", out, "--json")[1] == last  # everything is there already
    code, _, err = herdmark(*line, "--trainings", "1", "--out", out)
    assert code == 1
    assert "another --out" in err
