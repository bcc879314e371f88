"""`evaluate` of a version that knows categories by the names they have today."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from app import cli
from data_io.store import Store
from data_io.types import Instance, ModelVersion, Part
from model import predictor

SQUARE = [8, 8, 24, 8, 24, 24, 8, 24]


@pytest.fixture
def labels(tmp_path):
    """One picture and its COCO file with one cow."""
    Image.new("RGB", (64, 48)).save(tmp_path / "a.png")
    content = {
        "images": [{"id": 1, "file_name": "a.png", "width": 64, "height": 48}],
        "categories": [{"id": 1, "name": "cow"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "segmentation": [SQUARE]}],
    }
    file = tmp_path / "labels.json"
    file.write_text(json.dumps(content))
    return file


def test_an_animal_of_a_merged_category_counts_for_its_target(
    labels, tmp_path, monkeypatch, capsys
):
    with Store.open(tmp_path / "project") as store:
        cow, calf = store.add_category("cow"), store.add_category("calf")
        now = datetime.now(timezone.utc)
        ids = (cow.id, calf.id)
        store.add_version(ModelVersion("v1", None, "j", "", {}, ids, "s", {}, "aside", now))
        store.merge_categories(calf.id, cow.id)
        folder = store.project / "versions" / "v1"
    folder.mkdir(parents=True)
    for name in ("weights.safetensors", "version.json"):
        folder.joinpath(name).touch()
    parts = (Part(np.array(SQUARE, np.float64).reshape(-1, 2)),)
    answer = SimpleNamespace(
        instances=(Instance("i", calf.id, parts, source="model", score=0.9),),
        uncertainty=np.zeros((12, 16), np.uint8),
    )
    oracle = SimpleNamespace(predict=lambda image: answer)
    monkeypatch.setattr(predictor.Predictor, "load", lambda *_, **__: oracle)
    files = ["--coco", str(labels), "--images", str(tmp_path)]
    with pytest.raises(SystemExit) as ended:
        cli.main(["evaluate", str(tmp_path / "project"), *files, "--json"])
    assert not ended.value.code
    measures = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
    assert [measures[key] for key in ("ap", "pq", "miou")] == pytest.approx([1.0, 1.0, 1.0])
