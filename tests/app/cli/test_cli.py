from __future__ import annotations

import errno
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from app import jobs
from app.cli import doctor, import_files
from app.workflow import training
from data_io.errors import DataError
from data_io.store import Store

ROOT = Path(__file__).resolve().parents[3]


def test_import_queue_and_export_answer_in_json(herdmark, photos, tmp_path):
    project = tmp_path / "project"
    code, out, _ = herdmark("import", project, photos / "labels.json", "--json")
    assert (code, json.loads(out)) == (
        0,
        {
            "images": 1,
            "instances": 1,
            "known": 0,
            "refused": [],
            "repaired": [],
            "categories": {"cow": "cow"},
            "hints": [],
        },
    )
    code, out, _ = herdmark("import", project, photos, "--json")
    assert (code, json.loads(out)["images"], json.loads(out)["known"]) == (0, 1, 1)
    assert json.loads(herdmark("import", project, photos, "--json")[1])["images"] == 0
    code, out, _ = herdmark("queue", project, "--json")
    (item,) = json.loads(out)["items"]
    assert code == 0
    assert {"image", "score", "why", "regions"} <= item.keys()
    target = tmp_path / "out.json"
    code, out, _ = herdmark("export", project, target, "--format", "coco", "--json")
    answer = json.loads(out)
    assert (code, answer["images"], answer["instances"], answer["iou_min"]) == (0, 1, 1, 1.0)
    assert len(answer["sha256"]) == 64
    assert len(json.loads(target.read_text())["annotations"]) == 1
    for name, key in (("jobs", "jobs"), ("versions", "versions")):
        code, out, _ = herdmark(name, project, "--json")
        assert (code, json.loads(out)[key]) == (0, [])


def test_draft_labels_by_option(herdmark, photos, tmp_path):
    herdmark("import", tmp_path / "p", photos / "labels.json", "--as", "draft")
    with Store.open(tmp_path / "p") as store:
        assert [state.verified for state in store.image_states().values()] == ["none"]


def test_refusals_are_listed_and_the_rest_imported(herdmark, photos, tmp_path):
    photos.joinpath("broken.jpg").write_text("no picture")
    code, out, _ = herdmark("import", tmp_path / "p", photos, "--json")
    (row,) = json.loads(out)["refused"]
    assert (code, row.keys()) == (0, {"file", "index", "field", "why"})
    assert herdmark("import", tmp_path / "p", photos)[2].startswith("skipped")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["import", "PROJECT", "missing"], "no such file"),
        (["import", "FILE", "."], "is a file"),
        (["export", "PROJECT", "out.json"], "no Herdmark project"),
        (["queue", "PROJECT"], "no Herdmark project"),
        (["train", "MADE"], "verified area"),
        (["propose", "MADE"], "no trained version"),
        (["jobs", "MADE", "--cancel", "x"], "not in this project"),
        (["jobs", "MADE", "--resume", "x"], "not in this project"),
        (["versions", "MADE", "--promote", "x"], "not in this project"),
        (["evaluate", "MADE", "--coco", "a.json", "--images", "."], "no trained version"),
        (["train", "MADE", "--device", "tpu"], "verified area|device"),
        (["serve", "PROJECT", "--host", "0.0.0.0"], "without a token"),
    ],
)
def test_failures_are_one_line_and_exit_one(herdmark, tmp_path, monkeypatch, arguments, told):
    monkeypatch.delenv("HERDMARK_TOKEN", raising=False)
    tmp_path.joinpath("file").touch()
    Store.open(tmp_path / "made").close()
    names = {"PROJECT": "project", "FILE": "file", "MADE": "made"}
    code, _, err = herdmark(*(tmp_path / names[a] if a in names else a for a in arguments))
    assert code == 1
    assert len(err.strip().splitlines()) == 1
    assert any(part in err for part in told.split("|"))
    assert "Traceback" not in err
    assert not tmp_path.joinpath("project", "images").exists() or arguments[0] == "import"


def test_a_failure_that_has_an_answer_is_one_object(herdmark, tmp_path):
    tmp_path.joinpath("broken.jpg").write_text("no picture")
    code, out, err = herdmark("import", tmp_path / "p", tmp_path, "--json")
    answer = json.loads(out)
    assert (code, answer["images"], answer["instances"]) == (1, 0, 0)
    assert answer["refused"][0]["file"].endswith("broken.jpg")
    assert answer["error"] == err.strip()


def test_training_in_the_background_has_every_key(herdmark, tmp_path, monkeypatch):
    Store.open(tmp_path / "p").close()
    monkeypatch.setattr(
        training,
        "start_training",
        lambda store, options: store.create_job("train", {"version": "v1-a"}),
    )
    answer = json.loads(herdmark("train", tmp_path / "p", "--json")[1])
    assert answer.pop("job")
    assert answer == {"version": "v1-a", "promoted": None, "steps": None, "metrics": None}


def test_evaluating_leaves_the_jobs_as_they_are(herdmark, tmp_path):
    with Store.open(tmp_path / "p") as store:
        job = store.create_job("train", {})
        herdmark("evaluate", tmp_path / "p", "--coco", "a.json", "--images", ".")
        assert store.job(job.id) == job
        herdmark("jobs", tmp_path / "p")
        assert store.job(job.id).state == "interrupted"


@pytest.mark.parametrize(("state", "told"), [("cancelled", "is kept"), ("done", "it is done")])
def test_cancelling_says_what_became_of_the_job(herdmark, tmp_path, monkeypatch, state, told):
    with Store.open(tmp_path / "p") as store:
        job = store.create_job("train", {})
        ended = store.update_job(job.id, state=state)
    monkeypatch.setattr(jobs, "cancel_job", lambda store, id: ended)
    code, _, err = herdmark("jobs", tmp_path / "p", "--cancel", job.id)
    assert code == 0
    assert told in err


def test_a_failure_in_json_is_json_too(herdmark, tmp_path):
    code, out, _ = herdmark("queue", tmp_path, "--json")
    assert code == 1
    assert "no Herdmark project" in json.loads(out)["error"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["unknown"],
        ["import"],
        ["import", "p", "s", "--format", "tape"],
        ["export", "p", "t", "--geometry", "loose"],
        ["train", "p", "--method", "magic"],
        ["train", "p", "--steps", "3", "--minutes", "1"],
        ["propose", "p", "--all", "--image", "x"],
        ["evaluate", "p"],
        ["jobs", "p", "--cancel", "a", "--resume", "b"],
        ["queue", "p", "--top", "0"],
        ["split", "p"],
        ["simulate"],
    ],
)
def test_wrong_usage_exits_two(herdmark, arguments):
    assert herdmark(*arguments)[0] == 2


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "the disk is full"),
        (PermissionError(errno.EACCES, "Permission denied", "/p"), "/p: Permission denied"),
        (KeyboardInterrupt(), "stopped"),
        (ZeroDivisionError("by zero"), "unexpected ZeroDivisionError"),
        (DataError("a.png", "is broken", "copy it again"), "a.png: is broken; copy it again."),
    ],
)
def test_no_error_shows_a_traceback(herdmark, tmp_path, monkeypatch, error, told):
    def fail(*_, **__):
        raise error

    monkeypatch.delenv("HERDMARK_DEBUG", raising=False)
    monkeypatch.setattr(import_files, "import_source", fail)
    code, _, err = herdmark("import", tmp_path / "p", tmp_path)
    assert code == 1
    assert told in err
    assert "Traceback" not in err


def test_doctor_says_what_is_there_and_what_is_wrong(herdmark, monkeypatch, tmp_path):
    code, out, _ = herdmark("doctor", "--json")
    answer = json.loads(out)
    assert (code, answer["ok"]) == (1 if answer["problems"] else 0, not answer["problems"])
    assert "cpu" in answer["devices"]
    assert answer["packages"]["numpy"] == np.__version__
    monkeypatch.setitem(doctor.PACKAGES, "no-such-package", "no_such_package")
    code, out, _ = herdmark("doctor", tmp_path / "nowhere", "--json")
    told = " ".join(json.loads(out)["problems"])
    assert code == 1
    assert "no-such-package is missing" in told
    assert "no Herdmark project" in told


def test_doctor_names_lost_images(herdmark, photos, tmp_path):
    herdmark("import", tmp_path / "p", photos)
    photos.joinpath("0.png").unlink()
    code, out, _ = herdmark("doctor", tmp_path / "p")
    assert code == 1
    assert "1 images are gone" in out


def test_importing_loads_neither_torch_nor_gradio():
    code = (
        "import sys, app.cli, app.workflow.imports, app.workflow.documents, app.worker;"
        "print([m for m in ('torch', 'gradio', 'onnxruntime') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


def test_the_door_opens():
    done = subprocess.run(
        [sys.executable, "launch.py", "--help"], cwd=jobs.ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0
    for name in ("serve", "import", "export", "train", "propose", "queue", "evaluate", "doctor"):
        assert f"  {name} " in done.stdout


def test_a_failed_import_leaves_no_new_project_behind(herdmark, photos, tmp_path):
    project = tmp_path / "new"
    empty = tmp_path / "empty.json"
    empty.write_text('{"images": [], "annotations": [], "categories": []}')
    assert herdmark("import", project, tmp_path / "missing")[0] == 1
    assert not project.exists()
    assert herdmark("import", project, empty)[0] == 1
    assert not project.exists()
    assert herdmark("import", project, photos)[0] == 0
    assert herdmark("import", project, empty)[0] == 1
    assert project.joinpath("herdmark.db").exists()


def test_an_export_onto_the_project_is_refused(herdmark, photos, tmp_path):
    project = tmp_path / "new"
    herdmark("import", project, photos / "labels.json")
    code, _, err = herdmark("export", project, project, "--format", "voc")
    assert code == 1
    assert "would be lost" in err
    assert project.joinpath("herdmark.db").exists()


def test_relink_takes_two_folders(herdmark, photos, tmp_path):
    herdmark("import", tmp_path / "p", photos)
    assert herdmark("images", tmp_path / "p", "--relink", "a", "--json")[0] == 2
