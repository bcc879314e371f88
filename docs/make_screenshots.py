"""Make the pictures of docs/images from a demo project: ``python docs/make_screenshots.py``.

Draws the synthetic demo, trains for a few minutes, and photographs every page at 1366 x 768 in a
headless Chromium, and the canvas on a large screen and a tablet, dark and light. Every picture
shows synthetic scenes only.
"""

from __future__ import annotations

import argparse
import io
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from PIL import Image
from playwright.sync_api import Page, sync_playwright

from app import jobs
from app.workflow import demo, proposals, training
from data_io.store import Store

ROOT = Path(__file__).resolve().parents[1]
SIZE = {"width": 1366, "height": 768}
SCREENS = {
    "dark": (SIZE, "dark"),
    "wide": ({"width": 2560, "height": 1440}, "light"),
    "tablet": ({"width": 820, "height": 1180}, "light"),
    "tablet-dark": ({"width": 1180, "height": 820}, "dark"),
}
WIDEST = 1366  # pixels of a picture's longer side
COLORS = 256  # of a picture; the interface needs few, and the file is a third as large
STAGE = ".hm-root [tabindex='0']"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
START_SECONDS = 120


def main() -> int:
    """Create, train, serve, photograph. Exit code 0, or 1 with a sentence."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=4.0, help="length of the training")
    parser.add_argument("--project", type=Path, help="use and keep this project")
    parser.add_argument("--target", type=Path, default=ROOT / "docs" / "images")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        project = options.project or Path(scratch) / "demo"
        options.target.mkdir(parents=True, exist_ok=True)
        job = prepare(project, options.minutes)
        if job:
            print(job, file=sys.stderr)
            return 1
        photograph(project, options.target)
    return 0


def prepare(project: Path, minutes: float) -> str:
    """The demo with one trained version and its proposals; a sentence when that fails."""
    with Store.open(project) as store:
        demo.create(store)
        if not store.versions():
            ended = jobs.wait(
                store, training.start_training(store, training.TrainOptions(minutes=minutes))
            )
            if ended.state != "done":
                return f"the training {ended.state}: {ended.error}"
        job = proposals.ensure(store)
        if job is not None and jobs.wait(store, job).state != "done":
            return "the proposals failed; see the job's worker.log"
    return ""


def photograph(project: Path, target: Path) -> None:
    """Serve the project and save one picture a page."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "launch.py", "serve", str(project), "--port", str(port)]
    server = subprocess.Popen(command, cwd=ROOT)
    try:
        url = f"http://127.0.0.1:{port}/"
        wait_until_up(url, server)
        with sync_playwright() as playwright:
            found = os.environ.get("CHROMIUM") or next(
                (path for path in map(shutil.which, BROWSERS) if path), None
            )
            browser = playwright.chromium.launch(executable_path=found, args=FLAGS)
            page = browser.new_page(viewport=SIZE)  # type: ignore[arg-type]
            page.goto(url)
            pictures(page, target)
            browser.close()
    finally:
        server.terminate()
        server.wait(15)


def pictures(page: Page, target: Path) -> None:
    """One picture of each page and of each kind of screen, once it shows what it is about."""
    ready(page)
    page.focus(STAGE)
    save(page, target / "label.png")
    open_tab(page, "Train")
    page.locator("#hm-versions .hm-promoted").wait_for()
    save(page, target / "train.png")
    open_tab(page, "Data")
    page.locator(".hm-gallery img").first.wait_for()
    save(page, target / "data.png")
    for name, (size, scheme) in SCREENS.items():
        page.set_viewport_size(size)  # type: ignore[arg-type]
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        page.reload()
        ready(page)
        page.focus(STAGE)
        page.keyboard.press("]")
        page.locator(".hc-regions [aria-current]").wait_for()
        save(page, target / f"{name}.png")


def ready(page: Page) -> None:
    """Wait for the canvas with its picture and its heat-map."""
    page.wait_for_function(
        "() => document.querySelector('.hm-root')?.dataset.ready"
        " && document.querySelector('.hm-root')._herdmark.state.heat",
        timeout=60_000,
    )


def open_tab(page: Page, name: str) -> None:
    """Go to a page."""
    page.get_by_role("tab", name=name, exact=True).click()


def save(page: Page, file: Path) -> None:
    """Write one picture once all in view is there; the page's event stream never ends."""
    page.wait_for_function(
        "() => [...document.querySelectorAll('img')].every((one) => one.complete"
        " || one.getBoundingClientRect().top > innerHeight || !one.offsetParent)"
    )
    page.evaluate("() => new Promise((go) => requestAnimationFrame(() => setTimeout(go, 300)))")
    shot = Image.open(io.BytesIO(page.screenshot()))
    shot.thumbnail((WIDEST, WIDEST))
    shot.convert("RGB").quantize(COLORS).save(file, optimize=True)
    print(file.relative_to(ROOT) if file.is_relative_to(ROOT) else file)


def wait_until_up(url: str, server: subprocess.Popen[Any]) -> None:
    """Poll the server until it answers."""
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and server.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise SystemExit("the server did not start; its own words are above")


if __name__ == "__main__":
    sys.exit(main())
