"""What follows a training in its job: programs that add to a version, or do not."""

from __future__ import annotations

import threading
from dataclasses import replace
from types import SimpleNamespace

import pytest

from app import settings
from app.run import Run, Stopped
from app.workflow import trainer, training
from model.assist import ONNX, WEIGHTS


class Program:
    """Stands for a process: runs until it is killed, or has ended with a code."""

    def __init__(self, code):
        self.code, self.killed = code, False

    def poll(self):
        return self.code

    def kill(self):
        self.killed, self.code = True, -9

    def wait(self):
        return self.code


@pytest.fixture
def programs(monkeypatch):
    """``programs(code)``: what is started from now on ends so; the commands, and the last one."""
    begun = []

    def script(code):
        def start(command, **_):
            begun.append((command, Program(code)))
            return begun[-1][1]

        played = SimpleNamespace(Popen=start, DEVNULL=None)
        monkeypatch.setattr(trainer, "subprocess", played)
        return begun

    return script


@pytest.mark.parametrize("code", [0, 1])
def test_a_training_teaches_the_refiner_and_does_without_where_that_fails(
    project, trained, programs, code
):
    begun = programs(code)
    job, folder = trained("v1-a")
    (folder / "version" / "refiner.json").write_text('{"before": 0.5, "after": NaN}')
    result = training.run_training(Run(project, job, folder, threading.Event()))
    assert result["promoted"]
    assert begun[0][0][1:] == ["-m", "model.assist.herd", str(folder)]
    assert result["refiner"] == {"before": 0.5, "after": None}
    again = training.run_training(Run(project, job, folder, threading.Event()))
    assert len(begun) == 1  # the version is in its place: nothing is learned twice
    assert again["version"] == "v1-a"


@pytest.mark.parametrize("code", [0, 1])
def test_only_a_version_that_took_a_while_is_quantized(project, trained, programs, code):
    settings.change(project.project, refine=False)
    begun = programs(code)
    for version, seconds, programs_begun in (("v1-a", 29.0, 0), ("v2-b", 30.0, 1)):
        job, folder = trained(version, seconds=seconds)
        result = training.run_training(Run(project, job, folder, threading.Event()))
        assert (result["version"], len(begun)) == (version, programs_begun)
        project.update_job(job.id, state="done")
    assert begun[0][0][1:] == ["-m", "model.quantize", str(folder)]


def test_a_project_may_leave_its_refiner_alone(project, trained, programs):
    begun = programs(0)
    settings.change(project.project, refine=False)
    job, folder = trained("v1-a")
    result = training.run_training(Run(project, job, folder, threading.Event()))
    assert (begun, result["refiner"]) == ([], None)


def test_what_follows_the_trainer_is_told_in_place_of_its_last_phase(project, trained, monkeypatch):
    told = []

    def start(run, *_):
        told.append(run.progress["message"])
        return Program(0)

    monkeypatch.setattr(trainer, "_begun", start)
    job, folder = trained("v1-a", seconds=30.0)
    last = {"step": 9, "steps": 9, "phase": "semi", "eta": 0.0, "message": None}
    run = Run(project, job, folder, threading.Event(), progress=last)
    training.run_training(run)
    quick = "making the version quick on this machine"
    assert told == [quick, "learning to answer clicks on this herd"]
    assert run.progress == {"step": 9, "steps": 9, "message": "judging the version"}


def test_a_version_without_a_refiner_takes_over_its_parent_s(project, trained, tmp_path):
    settings.change(project.project, refine=False)
    parent = tmp_path / "parent"
    parent.mkdir()
    for name in (WEIGHTS, ONNX):
        (parent / name).write_bytes(name.encode())
    job, folder = trained("v1-a")
    (folder / "version" / WEIGHTS).write_bytes(b"half of a pair")
    job = replace(job, config={**job.config, "parent": str(parent)})
    training.run_training(Run(project, job, folder, threading.Event()))
    for name in (WEIGHTS, ONNX):
        kept = training.version_folder(project, "v1-a") / name
        assert kept.read_bytes() == name.encode()


def test_a_training_that_is_stopped_stops_the_refiner_and_goes_on_later(project, trained, programs):
    begun = programs(None)
    job, folder = trained("v1-a")
    stop = threading.Event()
    stop.set()
    with pytest.raises(Stopped):
        training.run_training(Run(project, job, folder, stop))
    assert begun[0][1].killed
    assert project.versions() == []
    programs(0)
    assert training.run_training(Run(project, job, folder, threading.Event()))["promoted"]
