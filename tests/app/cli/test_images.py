"""``images``: the list, moved folders, excluded images."""

from __future__ import annotations

import json

import pytest

from app.workflow import proposals
from data_io.store import Store


@pytest.fixture
def project(herdmark, photos, tmp_path):
    herdmark("import", tmp_path / "project", photos)
    return tmp_path / "project"


@pytest.fixture
def listed(herdmark):
    """Runs the command: (exit code, its answer)."""

    def run(*arguments):
        code, out, _ = herdmark("images", *arguments, "--json")
        return code, json.loads(out)

    return run


def test_images_are_listed_with_what_is_wrong(herdmark, listed, project, photos):
    photos.joinpath("1.png").unlink()
    code, answer = listed(project)
    assert (code, answer["relinked"], answer["job"]) == (0, 0, None)
    first, second = answer["images"]
    assert first.keys() == {"id", "path", "group", "split", "excluded", "missing"}
    assert (first["path"], first["group"]) == (str(photos / "0.png"), "photos")
    assert [first["missing"], second["missing"]] == [False, True]
    assert herdmark("images", project)[1].endswith("1.png  missing")


def test_a_moved_folder_is_followed(herdmark, listed, project, photos, tmp_path):
    moved = photos.rename(tmp_path / "moved")
    code, answer = listed(project, "--relink", photos, moved)
    assert (code, answer["relinked"]) == (0, 2)
    assert [row["path"] for row in answer["images"]] == [str(moved / f"{n}.png") for n in "01"]
    assert not any(row["missing"] for row in answer["images"])
    code, answer = listed(project, "--relink", photos, moved)
    assert code == 1
    assert "none of the project's images" in answer["error"]


def test_images_are_excluded_and_come_back(listed, project, monkeypatch):
    asked = []
    monkeypatch.setattr(proposals, "ensure", lambda store: asked.append(store.project))
    one, two = (row["id"] for row in listed(project)[1]["images"])
    _, answer = listed(project, "--exclude", one, "--exclude", two)
    assert [row["excluded"] for row in answer["images"]] == [True, True]
    with Store.open(project) as store:
        assert store.images() == []
    assert asked == []
    _, answer = listed(project, "--include", one)
    assert [row["excluded"] for row in answer["images"]] == [False, True]
    assert asked == [project]


def test_a_wrong_id_changes_nothing(herdmark, listed, project):
    one = listed(project)[1]["images"][0]["id"]
    code, answer = listed(project, "--exclude", one, "--exclude", "ghost")
    assert code == 1
    assert "ghost" in answer["error"]
    assert not any(row["excluded"] for row in listed(project)[1]["images"])
    assert herdmark("images", project, "--exclude", one, "--include", one)[0] == 2
