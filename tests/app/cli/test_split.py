"""``split``: the answer, the notes, and what is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from app import cli
from app.workflow.imports import import_source
from data_io.geometry import full_image
from data_io.store import Store


@pytest.fixture
def split(capsys):
    """Runs the command: (exit code, last line of stdout, stderr)."""

    def run(*arguments):
        with pytest.raises(SystemExit) as ended:
            cli.main(["split", *map(str, arguments)])
        out, err = capsys.readouterr()
        return ended.value.code or 0, (out.strip().splitlines() or [""])[-1], err

    return run


@pytest.fixture
def project(tmp_path):
    """Two cameras with six empty, verified photos each."""
    for camera in ("north", "south"):
        folder = tmp_path / "photos" / camera
        folder.mkdir(parents=True)
        for number in range(6):
            pixels = np.full((4, 6, 3), 20 * number, np.uint8)
            Image.fromarray(pixels).save(folder / f"{number}.png")
    with Store.open(tmp_path / "project") as store:
        import_source(store, tmp_path / "photos")
        for record in store.images():
            store.save_revision(record.id, 0, [], full_image(4, 6), "me")
    return tmp_path / "project"


def test_the_answer_and_the_second_time(split, project):
    code, out, _ = split(project, "--val", 0.5, "--test", 0, "--json")
    answer = json.loads(out)
    assert code == 0
    assert (answer["train"], answer["val"], answer["test"], answer["unused"]) == (6, 6, 0, 0)
    assert answer["files"] == ["splits/train.json", "splits/val.json"]
    code, out, err = split(project, "--val", 0.5, "--test", 0, "--json")
    assert (code, "--again" in json.loads(out)["error"]) == (1, True)
    assert len(err.strip().splitlines()) == 1
    assert split(project, "--val", 0.5, "--test", 0, "--again")[0] == 0


def test_too_few_groups_name_the_way_out(split, project):
    code, _, err = split(project, "--val", 0.2, "--test", 0.1)
    assert (code, "--by block" in err) == (1, True)
    code, out, err = split(project, "--val", 0.2, "--test", 0.2, "--by", "block")
    assert (code, out.startswith("images: train 4, val 2, test 2, unused 4;")) == (0, True)
    assert "note: no labeled image of train shows an animal." in err


def test_partitions_need_an_animal(split, project):
    code, _, err = split(project, "--val", 0.5, "--test", 0, "--partition", "1/8")
    assert (code, "shows an animal" in err) == (1, True)
    assert not (project / "splits").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["--val", 0.2],
        ["--val", 0.5, "--test", 0.5],
        ["--val", 0, "--test", 0],
        ["--val", "nan", "--test", 0.1],
        ["--val", -0.1, "--test", 0.1],
        ["--val", 0.1, "--test", 0.1, "--by", "flight"],
        ["--val", 0.1, "--test", 0.1, "--partition", "1/3"],
        ["--val", 0.1, "--test", 0.1, "--seed", -1],
    ],
)
def test_wrong_usage_exits_two(split, project, arguments):
    assert split(project, *arguments)[0] == 2
