"""Saves and image changes, idle and during a training: ``python -m benchmarks.save_latency``.

Makes a project of synthetic scenes, serves it, and talks to it over REST as the canvas does: a save
is a PUT of an animal with one vertex moved and of the others' ids, an image change is the next
image's document and its pixels. Prints one JSON object: seed, warm-up, median and p95 milliseconds,
commit, device.
"""

from __future__ import annotations

import argparse
import http.client
import json
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from app import jobs
from app.workflow import training
from app.workflow.imports import import_source
from benchmarks.common import ROOT, percentile, provenance
from data_io.geometry import full_image, parts_of_mask
from data_io.scenes import write_demo
from data_io.simplify import simplify
from data_io.store import Store
from data_io.types import Instance

WARM_UP = 10
LABELED = 3
START_SECONDS = 300.0
ALLOWED_MS, ALLOWED_FACTOR = 150.0, 1.5


class Client:
    """One keep-alive connection with a session, as a browser tab has."""

    def __init__(self, port: int) -> None:
        self._line = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self._asked = time.monotonic_ns()  # above the numbers of every connection before
        self._headers = {"X-Herdmark": "1", "Content-Type": "application/json"}
        status, headers, _ = self._call("GET", "/")
        assert status == 200, f"the start page answered {status}"
        self._headers["Cookie"] = headers["set-cookie"].split(";")[0]

    def _call(self, method: str, url: str, body: bytes | None = None, **more: str) -> Any:
        self._line.request(method, url, body, {**self._headers, **more})
        answer = self._line.getresponse()
        return answer.status, answer.headers, answer.read()

    def document(self, image: str) -> dict[str, Any]:
        """The document of an image."""
        return dict(json.loads(self._call("GET", f"/api/images/{image}/document")[2]))

    def save(self, image: str, document: dict[str, Any], changed: int = 0) -> None:
        """Save the instance numbered `changed`, others as their ids; the revision moves on."""
        sent = [one["id"] for one in document["instances"]]
        sent[changed] = document["instances"][changed]
        body = json.dumps({"instances": sent, "rejected": []}).encode()
        tag = {"If-Match": f'"{document["revision"]}"'}
        status, _, told = self._call("PUT", f"/api/images/{image}/document", body, **tag)
        assert status == 200, told
        document["revision"] = json.loads(told)["revision"]

    def accept_region(self, image: str, region: str, base: int) -> None:
        """Accept a review region of the proposal on the screen."""
        body = json.dumps({"action": "accept"}).encode()
        url = f"/api/images/{image}/regions/{region}"
        status, _, told = self._call("POST", url, body, **{"If-Match": f'"{base}"'})
        assert status == 200, told

    def outline(self, image: str, clicks: list[list[Any]], parts: list[Any]) -> None:
        """Click at an animal that has this outline, which nobody vouches for; [] = none yet."""
        asked = {"client": "benchmark", "number": self._asked, "clicks": clicks, "parts": parts}
        self._asked += 1
        body = json.dumps({**asked, "free": True, "usual": 0}).encode()
        status, _, told = self._call("POST", f"/api/images/{image}/click", body)
        assert status == 200, told
        assert "superseded" not in json.loads(told), told

    def change(self, image: str) -> None:
        """What opening another image fetches."""
        self.document(image)
        status, _, _ = self._call("GET", f"/api/images/{image}/pixels")
        assert status == 200, f"the pixels answered {status}"


def timed(action: Callable[[int], None], count: int) -> dict[str, float]:
    """Median and p95 of `count` calls in ms, after the warm-up."""
    spent = []
    for k in range(WARM_UP + count):
        start = time.perf_counter()
        action(k)
        spent.append((time.perf_counter() - start) * 1000)
    measured = spent[WARM_UP:]
    return {
        "median_ms": round(statistics.median(measured), 1),
        "p95_ms": round(percentile(measured, 95), 1),
    }


def measure(client: Client, images: list[str], count: int) -> dict[str, dict[str, float]]:
    """Saves of the first image, then a walk over all."""
    document = client.document(images[0])
    ring = document["instances"][0]["parts"][0]["outer"]

    def save(k: int) -> None:
        ring[0] += 0.25 if k % 2 else -0.25
        client.save(images[0], document)

    return {
        "save": timed(save, count),
        "image_change": timed(lambda k: client.change(images[k % len(images)]), count),
    }


def prepare(project: Path, scenes: int, seed: int) -> list[str]:
    """A project with a few labeled scenes; image ids, a labeled one first."""
    drawn = write_demo(project / "images", scenes, seed)
    with Store.open(project) as store:
        import_source(store, project / "images", format="images")
        category = store.add_category("cow").id
        first = []
        for name, scene in drawn[:: max(1, scenes // LABELED)][:LABELED]:
            record = store.image_by_path(project / "images" / name)
            assert record is not None
            size = record.height, record.width
            animals = [
                Instance(uuid.uuid4().hex, category, simplify(parts_of_mask(mask), *size))
                for mask in scene.masks
            ]
            store.save_revision(record.id, 0, animals, full_image(*size), "benchmark")
            first.append(record.id)
        return first + [one.id for one in store.images() if one.id not in first]


def serve(project: Path) -> tuple[subprocess.Popen[bytes], int]:
    """A server of its own on a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    command = [sys.executable, "launch.py", "serve", str(project), "--port", str(port)]
    server = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and server.poll() is None:
        try:
            Client(port)
            return server, port
        except OSError:
            time.sleep(0.2)
    server.kill()
    raise SystemExit("the server did not start")


def wait_for_steps(store: Store, job: str, steps: int = 5) -> None:
    """Until the trainer is past its start, which is not what is measured."""
    while True:
        row = store.job(job)
        assert row.state in jobs.ACTIVE, f"the training {row.state}: {row.error}"
        if any((line.get("step") or 0) >= steps for line in jobs.read_log(store, row)):
            return
        time.sleep(0.2)


def while_training(
    project: Path, action: Callable[[], dict[str, dict[str, float]]]
) -> tuple[dict[str, dict[str, float]], str]:
    """What the action measured beside a training, and whether that still ran at the end."""
    with Store.open(project) as store:
        job = training.start_training(store, training.TrainOptions(minutes=20.0))
        try:
            wait_for_steps(store, job.id)
            measured = action()
            return measured, store.job(job.id).state
        finally:
            jobs.cancel_job(store, job.id)


def run(scenes: int, count: int, seed: int) -> dict[str, Any]:
    """Both conditions on one server."""
    with tempfile.TemporaryDirectory() as scratch:
        project = Path(scratch) / "project"
        images = prepare(project, scenes, seed)
        server, port = serve(project)
        try:
            idle = measure(Client(port), images, count)
            busy, state = while_training(project, lambda: measure(Client(port), images, count))
        finally:
            server.terminate()
            server.wait(15)
    allowed = {
        name: max(ALLOWED_MS, ALLOWED_FACTOR * idle[name]["p95_ms"])
        for name in ("save", "image_change")
    }
    return {
        "benchmark": "save_latency",
        **provenance(seed),
        "warm_up": WARM_UP,
        "count": count,
        "scenes": scenes,
        "idle": idle,
        "training": busy,
        "training_state_after": state,
        "holds": all(busy[name]["p95_ms"] <= allowed[name] for name in allowed),
    }


def main() -> None:
    """Parse the arguments and print the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=int, default=20)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print(json.dumps(run(options.scenes, options.count, options.seed)))


if __name__ == "__main__":
    main()
