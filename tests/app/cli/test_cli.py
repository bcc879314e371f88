from __future__ import annotations

import errno
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app import cli, jobs
from app.cli import doctor, import_files, serve
from app.workflow import demo, proposals
from data_io.errors import DataError
from data_io.store import Store

ROOT = Path(__file__).resolve().parents[3]


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


def test_import_queue_and_export_answer_in_json(herdmark, photos, tmp_path):
    project = tmp_path / "project"
    code, out, _ = herdmark("import", project, photos / "labels.json", "--json")
    assert (code, json.loads(out)) == (
        0,
        {"images": 1, "instances": 1, "known": 0, "refused": []},
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
    assert (code, json.loads(out).keys()) == (0, {"images", "instances", "sha256"})
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


def test_a_failure_in_json_is_json_too(herdmark, tmp_path):
    code, out, _ = herdmark("queue", tmp_path, "--json")
    assert code == 1
    assert "no Herdmark project" in json.loads(out)["error"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["unknown"],
        ["import"],
        ["import", "p", "s", "--format", "video"],
        ["export", "p", "t", "--geometry", "loose"],
        ["train", "p", "--method", "magic"],
        ["train", "p", "--steps", "3", "--minutes", "1"],
        ["propose", "p", "--all", "--image", "x"],
        ["evaluate", "p"],
        ["jobs", "p", "--cancel", "a", "--resume", "b"],
        ["queue", "p", "--top", "0"],
        ["split", "p"],
        ["simulate", "p"],
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


def test_serve_imports_first_and_names_the_project_after_the_photos(
    herdmark, photos, tmp_path, monkeypatch
):
    served = []
    monkeypatch.setattr(serve, "DEMO", tmp_path / "projects" / "demo")
    monkeypatch.setattr(serve, "_serve", lambda *arguments: served.append(arguments))
    code, _, _ = herdmark(
        "serve", "--photos", photos, "--labels", photos / "labels.json", "--port", "7999"
    )
    assert code == 0
    (project, host, port, _, roots, _), *_ = served
    assert project == tmp_path / "projects" / "photos"
    assert (host, port, roots) == ("127.0.0.1", 7999, [photos])
    with Store.open(project) as store:
        assert len(store.images()) == 2
        assert [state.instances for state in store.image_states().values()] == [1, 0]


def test_without_a_command_the_demo_is_served(herdmark, tmp_path, monkeypatch):
    served, begun = [], []
    monkeypatch.setattr(serve, "DEMO", tmp_path / "demo")
    monkeypatch.setattr(demo, "create", lambda store, progress: begun.append("created"))
    monkeypatch.setattr(demo, "start_first_training", lambda store: begun.append("trained"))
    monkeypatch.setattr(proposals, "ensure", lambda store: begun.append("proposed"))
    monkeypatch.setattr(serve, "_serve", lambda *arguments: served.append(arguments[:3]))
    assert herdmark()[0] == 0
    assert herdmark("--port", "7001")[0] == 0
    assert served == [
        (tmp_path / "demo", "127.0.0.1", 7860),
        (tmp_path / "demo", "127.0.0.1", 7001),
    ]
    assert begun == ["created", "trained", "proposed"] * 2


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
