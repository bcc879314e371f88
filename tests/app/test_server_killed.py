"""A real server that ends: killed while it saves, or by Ctrl-C while a page is open."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from app import jobs, processes
from app.workflow import training
from app.workflow.imports import import_source
from data_io.atomic import file_sha256
from data_io.geometry import full_image
from data_io.snapshot import write_snapshot
from data_io.store import Store
from data_io.types import Instance, Job, Part

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 120.0


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(2):
        pixels = np.full((48, 64, 3), 40 * number, np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    with Store.open(tmp_path / "project") as store:
        import_source(store, folder, format="images")
        store.add_category("cow")
    return tmp_path / "project"


@contextmanager
def served(project: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """``launch.py serve`` on a port of its own choice, and its address; killed at the end."""
    command = [sys.executable, str(ROOT / "launch.py"), "serve", str(project), "--port", "0"]
    log = project.parent / "server.log"
    with log.open("wb") as output:
        hearing = hear_ctrl_c if os.name == "posix" else None
        server = subprocess.Popen(
            command, cwd=ROOT, stdout=output, stderr=output, preexec_fn=hearing
        )
    try:
        yield server, wait_for_address(server, log)
    finally:
        server.kill()
        server.wait()


def hear_ctrl_c() -> None:
    """What a shell has put into the background ignores it, and so would all that it starts."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def wait_for_address(server: subprocess.Popen[bytes], log: Path) -> str:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and server.poll() is None:
        for word in log.read_text(errors="replace").split():
            if word.startswith("http://127.0.0.1:"):
                address = word.rstrip("/.")
                try:
                    httpx.get(f"{address}/healthz", timeout=30)
                except httpx.TransportError:
                    continue
                return address
        threading.Event().wait(0.1)
    pytest.fail(f"the server did not start: {log.read_text(errors='replace')[-2000:]}")


@contextmanager
def visitor(address: str) -> Iterator[httpx.Client]:
    """A client with the session a browser gets on the start page."""
    with httpx.Client(base_url=address, headers={"X-Herdmark": "1"}, timeout=30) as client:
        client.get("/")
        yield client


def save_until_killed(
    address: str, image: str, category: str, acknowledged: list[tuple[str, int, float]]
) -> None:
    """One save after the other, each with another outline, until the server is gone."""
    with visitor(address) as client:
        revision = int(client.get(f"/api/images/{image}/document").json()["revision"])
        while True:
            x = float(revision % 40)
            outer = [x, 2.0, x + 20.0, 2.0, x + 20.0, 30.0]
            part = {"outer": outer, "holes": []}
            body = {"instances": [{"id": "one", "category": category, "parts": [part]}]}
            headers = {"If-Match": f'"{revision}"'}
            try:
                answer = client.put(f"/api/images/{image}/document", json=body, headers=headers)
            except httpx.TransportError:
                return
            assert answer.status_code == 200, answer.text
            revision = int(answer.json()["revision"])
            acknowledged.append((image, revision, x))


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_no_acknowledged_save_is_lost_when_the_server_is_killed(project: Path) -> None:
    acknowledged: list[tuple[str, int, float]] = []
    with Store.open(project, create=False) as store:
        images = [image.id for image in store.images()]
        category = store.categories()[0].id
    wanted = random.Random().randint(5, 60)
    with served(project) as (server, address):
        savers = [
            threading.Thread(
                target=save_until_killed, args=(address, image, category, acknowledged)
            )
            for image in images
        ]
        for saver in savers:
            saver.start()
        while len(acknowledged) < wanted and any(saver.is_alive() for saver in savers):
            threading.Event().wait(0.005)
        server.send_signal(signal.SIGKILL)
        for saver in savers:
            saver.join()
    assert len(acknowledged) >= wanted
    with Store.open(project, create=False) as store:
        assert store.check() == []
        for image, number, x in acknowledged:
            revision = store.revision(image, number)
            assert revision is not None
            assert revision.instances[0].parts[0].outer[0].tolist() == [x, 2.0]
    with served(project) as (_, address), visitor(address) as client:
        for image in images:
            newest = max((number for one, number, _ in acknowledged if one == image), default=0)
            shown = client.get(f"/api/images/{image}/document").json()
            assert shown["revision"] in (newest, newest + 1)  # a save may land unanswered


@pytest.mark.long
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_a_training_killed_with_its_server_goes_on_when_somebody_serves_again(
    project: Path,
) -> None:
    """kill -9 of server, worker and trainer at once."""
    with Store.open(project, create=False) as store:
        label_first_image(store)
        with served(project):
            job = start_small_training(store)
            folder = jobs.job_folder(store, job)
            until(lambda: any(folder.joinpath("checkpoint").glob("*")))
            os.killpg(store.job(job.id).pid or 0, signal.SIGKILL)
        # The server was killed, too; nobody has marked the job.
        assert (store.versions(), store.proposals()) == ([], {})
        with served(project):
            until(lambda: store.job(job.id).state == "done")
            (version,) = store.versions()
            weights = training.version_folder(store, version.id) / "weights.safetensors"
            assert file_sha256(weights) == version.weights_sha256
            told = [str(line.get("message")) for line in jobs.read_log(store, job, 500)]
            assert any("resumed" in words for words in told)


@pytest.mark.skipif(os.name != "posix", reason="needs signals and locks")
def test_ctrl_c_says_nothing_of_open_pages_and_that_the_training_goes_on(project: Path) -> None:
    log = project.parent / "server.log"
    lock = processes.try_lock(project / "jobs" / training.LOCK)  # the training waits for it
    assert lock is not None
    with lock, Store.open(project, create=False) as store, served(project) as (server, address):
        job = jobs.start_job(store, "train", {"version": "v1"})
        begun = len(log.read_text())
        with visitor(address) as client, client.stream("GET", "/gradio_api/heartbeat/x"):
            server.send_signal(signal.SIGINT)
            server.wait(START_SECONDS)
        alive = jobs.is_alive(store.job(job.id))
        assert jobs.cancel_job(store, job.id).state == "cancelled"
    assert alive
    told, last = log.read_text()[begun:].splitlines()
    assert told.startswith("A training goes on without the server")
    assert told.endswith(f"launch.py jobs {project} --cancel {job.id}")
    assert "stopped" in last


def label_first_image(store: Store) -> None:
    record = store.images()[0]
    ring = np.array([[8, 8], [40, 8], [40, 40], [8, 40]], dtype=np.float64)
    animal = Instance("one", store.categories()[0].id, (Part(ring),))
    store.save_revision(record.id, 0, [animal], full_image(48, 64), "me")


def start_small_training(store: Store) -> Job:
    snapshot = write_snapshot(store, store.project / "snapshots")
    settings = {"method": "supervised", "steps": 30, "crop": 64, "max_side": 64, "batch": 2}
    settings |= {"threads": 1, "device": "cpu", "pretrained": False, "checkpoint_seconds": 0.01}
    config = {"snapshot": str(snapshot.folder), "version": "v1-test", "parent": None}
    return jobs.start_job(store, "train", {**config, "train": settings})


def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition of another process; fails when it does not come true."""
    end, tick = time.monotonic() + START_SECONDS, threading.Event()
    while not condition():
        assert time.monotonic() < end, "the other process did not get there"
        tick.wait(0.05)
