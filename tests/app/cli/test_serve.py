"""``serve``: what happens before the page opens, and where a project lies that nobody named."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from app import cli, jobs, listener
from app.cli import serve
from app.workflow import demo, proposals
from app.workflow.imports import import_source
from data_io.store import Store


@pytest.fixture
def served(monkeypatch, tmp_path):
    """What would be served: (folder, socket, options, json); projects lie with the test."""
    calls = []
    monkeypatch.setattr(serve, "DEMO", tmp_path / "projects" / "demo")
    monkeypatch.setattr(serve, "_serve", lambda *arguments: calls.append(arguments))
    monkeypatch.setattr(listener, "listen", lambda host, port: socket.socket())
    return calls


def test_serve_imports_first_and_names_the_project_after_the_photos(herdmark, photos, served):
    code, _, _ = herdmark("serve", "--photos", photos, "--labels", photos / "labels.json")
    assert code == 0
    ((project, _, options, as_json),) = served
    assert project.parent.name == "projects"
    assert project.name.startswith("photos-")
    assert (options.host, options.allow_roots, as_json) == ("127.0.0.1", (str(photos),), False)
    with Store.open(project) as store:
        assert len(store.images()) == 2
        assert [state.instances for state in store.image_states().values()] == [1, 0]


def test_folders_of_one_name_have_projects_of_their_own(photos, served, tmp_path):
    names = [serve._default(tmp_path / place / "images", None) for place in "ab"]
    assert names[0] != names[1]
    assert names[0] == serve._default(tmp_path / "c" / ".." / "a" / "images", None)
    assert serve._default(tmp_path / "a" / "demo", None) != serve.DEMO
    assert serve._default(None, None) == serve.DEMO


def test_a_project_of_the_plain_name_is_kept_for_its_own_folder(photos, served, tmp_path):
    plain = serve.DEMO.parent / "photos"
    with Store.open(plain) as store:
        import_source(store, photos)
    assert serve._default(photos, None) == plain
    other = tmp_path / "elsewhere" / "photos"
    shutil.copytree(photos, other)
    assert serve._default(other, None) != plain


def test_make_run_leaves_the_name_to_serve():
    if shutil.which("make") is None:
        pytest.skip("needs make")
    command = ["make", "-n", "run", "PHOTOS=/data/herd 1"]
    told = subprocess.run(command, cwd=jobs.ROOT, capture_output=True, text=True).stdout
    assert 'serve --photos "/data/herd 1"' in told
    assert "projects/" not in told


def test_without_a_command_the_demo_is_served(herdmark, monkeypatch, served):
    begun = []
    monkeypatch.setattr(demo, "create", lambda store, progress: begun.append("created"))
    monkeypatch.setattr(demo, "start_first_training", lambda store: begun.append("trained"))
    monkeypatch.setattr(proposals, "ensure", lambda store: begun.append("proposed"))
    assert herdmark()[0] == 0
    assert herdmark("--port", "7001")[0] == 0
    assert [call[0] for call in served] == [serve.DEMO] * 2
    assert begun == ["created", "trained", "proposed"] * 2


def test_a_taken_port_imports_and_starts_nothing(herdmark, photos, tmp_path):
    project = tmp_path / "project"
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        code, out, err = herdmark("serve", project, "--photos", photos, "--port", port, "--json")
    assert code == 1
    assert "another Herdmark" in err
    assert "--port" in json.loads(out)["error"]
    assert not project.exists()


def test_the_answer_is_told_once_it_listens(monkeypatch, capsys, tmp_path):
    def told(folder, listener, options, ready):
        ready("http://127.0.0.1:9/")

    monkeypatch.setattr("app.server.serve", told)
    with pytest.raises(SystemExit) as ended:
        cli.main(["serve", str(tmp_path / "project"), "--port", "0", "--json"])
    assert not ended.value.code
    last = capsys.readouterr().out.strip().splitlines()[-1]
    assert json.loads(last) == {"project": str(tmp_path / "project"), "url": "http://127.0.0.1:9/"}


def test_the_project_is_told_as_an_absolute_path(herdmark, monkeypatch, served, tmp_path):
    monkeypatch.chdir(tmp_path)
    herdmark("serve", "here")
    assert served[0][0] == Path(tmp_path, "here")


def test_what_goes_on_is_told_at_ctrl_c_but_not_what_is_stopping(herdmark, monkeypatch, tmp_path):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("app.server.serve", interrupted)
    monkeypatch.setattr(jobs, "is_alive", lambda job: job.pid is not None)
    with Store.open(tmp_path / "a herd") as store:
        kinds = ("train", "propose", "import", "import")
        rows = [store.create_job(kind, {}) for kind in kinds]
        for row in rows[:3]:
            store.update_job(row.id, state="running", pid=1, pid_started=1.0)
        jobs.job_folder(store, rows[1]).mkdir(parents=True)
        (jobs.job_folder(store, rows[1]) / jobs.CANCEL_MARK).touch()
    code, _, err = herdmark("serve", tmp_path / "a herd", "--port", 0)
    assert code == 1
    training, imports = sorted(line for line in err.splitlines() if "goes on" in line)
    assert imports.startswith("An import goes on without the server")
    assert training.startswith("A training goes on without the server")
    command = f"launch.py jobs '{tmp_path / 'a herd'}' --cancel"
    assert training.endswith(f"{command} {rows[0].id}")
