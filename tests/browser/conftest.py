"""A real Chromium for browser tests; any page error or request to another host fails the test."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.canvas_projects import crowd
from benchmarks.robot_hand import HANDLE, LAID_OUT
from data_io.geometry import mask_of_parts, parts_of_json
from data_io.store import Store

ROOT = Path(__file__).resolve().parents[2]
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
]
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
LOCAL = ("http://127.0.0.1:", "ws://127.0.0.1:", "data:", "blob:", "about:")
START_SECONDS = 120
PATIENCE = 60_000  # ms that a page may take for anything
VIEWPORT = {"width": 1366, "height": 768}
# Nothing is left to paint: the picture with its tiles, the heat-map, the outlines.
PAINTED = f"""() => {{
  const {{ editor, session, state }} = {HANDLE};
  return {LAID_OUT} && !editor.stage.frame && editor.root.dataset.drawn === 'true'
    && (state.heat || !session.document.heat_url);
}}"""
SAVED = f"""() => {{
  const {{ session, editor: {{ root: {{ dataset }} }} }} = {HANDLE};
  return session && !session.unsaved && dataset.saveState === 'saved' && [session.revision];
}}"""
HALTED = f"""() => {{
  const {{ queue }} = {HANDLE}.editor;
  if (queue.busy) return false;
  queue.stop();
  return true;
}}"""
# A page's first visit finds no journal and no settings of earlier tests; a reload finds its own.
FORGET = """if (location.protocol === "http:" && !sessionStorage.getItem("fresh")) {
  localStorage.clear(); sessionStorage.setItem("fresh", "1");
  indexedDB.deleteDatabase("herdmark"); }"""


def chromium() -> str | None:
    """Path of an installed Chromium or Chrome; None leaves the choice to Playwright's own."""
    asked = os.environ.get("CHROMIUM")
    if asked:
        return asked
    return next((path for path in map(shutil.which, NAMES) if path), None)


def free_port() -> int:
    """A TCP port on the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """One headless browser for the whole session; each test gets a context of its own."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with sync_api.sync_playwright() as playwright:
        path = chromium()
        try:
            running = playwright.chromium.launch(executable_path=path, headless=True, args=FLAGS)
        except sync_api.Error as error:
            pytest.fail(
                f"No usable browser ({path or 'none found'}): install chromium, or set CHROMIUM to "
                f"one, or run `python -m playwright install chromium`. {error}"
            )
        yield running
        running.close()


@contextmanager
def watched(context: Any) -> Iterator[Any]:
    """A new page with ``errors`` and ``foreign``; both must still be empty at the end."""
    opened = context.new_page()
    opened.set_default_timeout(PATIENCE)
    opened.errors = []
    opened.foreign = []
    opened.on("pageerror", lambda error: opened.errors.append(str(error)))
    opened.on(
        "request",
        lambda sent: None if sent.url.startswith(LOCAL) else opened.foreign.append(sent.url),
    )
    yield opened
    errors, foreign = list(opened.errors), list(opened.foreign)
    opened.close()
    assert errors == [], "JavaScript errors on the page"
    assert foreign == [], "requests that left this machine"


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    """A watched page in a context (cookies, cache) of its own."""
    context = browser.new_context(viewport=VIEWPORT)
    with watched(context) as opened:
        yield opened
    context.close()


@pytest.fixture(scope="session")
def shared_context(browser: Any) -> Iterator[Any]:
    """One context for all tests of the canvas alone: it keeps nothing, and a new one is slow."""
    context = browser.new_context(viewport=VIEWPORT)
    yield context
    context.close()


def expect(actual: Any) -> Any:
    """Playwright's assertions, which wait as long as everything else does."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    sync_api.expect.set_options(timeout=PATIENCE)
    return sync_api.expect(actual)


def on_screen(page: Any, points: Any) -> list[list[float]]:
    """Client coordinates of image points, once the layout stands."""
    script = f"(points) => {LAID_OUT} && points.map(([x, y]) => {HANDLE}.toScreen(x, y))"
    flat = [[float(x), float(y)] for x, y in points]
    places: list[list[float]] = page.wait_for_function(script, arg=flat).json_value()
    return places


def wait_until_up(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Poll `url` until it answers; fail with the log when the process ends or takes too long."""
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        if process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(url, timeout=START_SECONDS):
                return
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.1)
    tail = log.read_text(errors="replace")[-2000:]
    pytest.fail(f"The server did not come up at {url}:\n{tail}")


def stop(process: subprocess.Popen[bytes]) -> None:
    """Ask a server to end; kill it when an open stream keeps it waiting."""
    process.terminate()
    try:
        process.wait(8)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextmanager
def servers(logs: Path) -> Iterator[Callable[..., str]]:
    """``serve(project, *options) -> url``: a real ``launch.py serve`` on a free port each time."""
    running: list[tuple[subprocess.Popen[bytes], Path]] = []

    def serve(project: Path, *options: str) -> str:
        port = free_port()
        log = logs / f"serve-{port}.log"
        command = [sys.executable, "launch.py", "serve", str(project), "--port", str(port)]
        env = {**os.environ, "GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_OFFLINE": "1"}
        with log.open("wb") as sink:
            process = subprocess.Popen(
                [*command, *options], cwd=ROOT, env=env, stdout=sink, stderr=subprocess.STDOUT
            )
        running.append((process, log))
        url = f"http://127.0.0.1:{port}/"
        wait_until_up(url, process, log)
        return url

    yield serve
    for process, log in running:
        stop(process)
        assert "Traceback" not in log.read_text(), "a page that is open when the server ends"


@pytest.fixture
def live_server(tmp_path: Path) -> Iterator[Callable[..., str]]:
    """The servers of one test, see `servers`."""
    with servers(tmp_path) as serve:
        yield serve


def sibling(name: str) -> ModuleType:
    """A helper module beside this file; tests are no package, so it is loaded by its path."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def herd_server() -> Iterator[tuple[Any, str]]:
    """The in-memory server of `canvas_server`: (its `Herd`, its url)."""
    module = sibling("canvas_server")
    herd, port = module.Herd(), free_port()
    with module.Server(module.build(herd, "null"), port):
        yield herd, f"http://127.0.0.1:{port}/"


@pytest.fixture
def herd(herd_server: tuple[Any, str]) -> Any:
    """The server's state, fresh for each test."""
    herd_server[0].reset()
    return herd_server[0]


class Canvas:
    """The editor on a page, driven by real mouse and keyboard events."""

    def __init__(self, page: Any, url: str) -> None:
        self.page, self.url = page, url
        self.assistant: Any = None  # the server's, where it is the product's

    def open(self, image: str | None = "a", path: str = "") -> None:
        """Load the page with an image and wait for its picture."""
        value = image and {"image_id": image, "doc_url": f"{self.url}api/images/{image}/document"}
        if value and not path:
            value["doc_url"] = f"api/images/{image}/document"
        self.page.goto(f"{self.url}{path}?value={json.dumps(value)}")
        self.ready(image) if image else self.page.wait_for_selector(".hm-root .hc-overlay strong")
        self.page.wait_for_function(f"() => {LAID_OUT}")

    def ready(self, image: str) -> None:
        """Wait until an image is on the screen."""
        self.page.wait_for_selector(f".hm-root[data-ready='{image}']")

    def state(self, state: str) -> None:
        """Wait for a save state."""
        self.page.wait_for_selector(f".hm-root[data-save-state={state}]")

    def revision(self, number: int) -> None:
        """Wait until a revision is stored and nothing is left to save."""
        selector = f".hm-root[data-revision='{number}'][data-save-state=saved]"
        self.page.wait_for_selector(selector)

    def saved(self) -> int:
        """Wait until nothing of the image is left to save; its revision."""
        return int(self.page.wait_for_function(SAVED).json_value()[0])

    def kept(self) -> None:
        """Wait until the journal holds everything."""
        self.read("h.editor.queue.journal.settled()")

    def painted(self) -> None:
        """Wait until everything is on the screen."""
        self.page.wait_for_function(PAINTED)

    def halt(self) -> None:
        """Wait until no request to save is under way, and put the next attempt off for good."""
        self.page.wait_for_function(HALTED)

    def at(self, x: float, y: float) -> list[float]:
        """Client coordinates of an image point, once the layout stands."""
        return on_screen(self.page, [(x, y)])[0]

    def click(self, x: float, y: float, **options: Any) -> None:
        """Click an image point."""
        self.page.mouse.click(*self.at(x, y), **options)

    def drag(self, start: tuple[float, float], end: tuple[float, float], **options: Any) -> None:
        """Drag from one image point to another in several moves."""
        (x0, y0), (x1, y1) = self.at(*start), self.at(*end)
        self.page.mouse.move(x0, y0)
        self.page.mouse.down(**options)
        self.page.mouse.move(x1, y1, steps=5)
        self.page.mouse.up(**options)

    def press(self, *keys: str) -> None:
        """Press keys one after the other."""
        for key in keys:
            self.page.keyboard.press(key)

    def read(self, expression: str) -> Any:
        """Evaluate an expression of `h`, the editor's test handle."""
        return self.page.evaluate(f"() => {{ const h = {HANDLE}; return {expression} }}")

    def waits(self, condition: str) -> None:
        """Wait until an expression of `h` is true."""
        self.page.wait_for_function(f"() => {{ const h = {HANDLE}; return {condition} }}")

    def says(self, text: str) -> None:
        """Wait for a message."""
        self.page.locator(".hc-toast", has_text=text).wait_for()


@pytest.fixture
def canvas(shared_context: Any, herd_server: tuple[Any, str], herd: Any) -> Iterator[Canvas]:
    """The editor on a plain page over the in-memory server; call `open` first."""
    with watched(shared_context) as page:
        page.add_init_script(FORGET)
        yield Canvas(page, herd_server[1])


@pytest.fixture
def stored(canvas: Canvas, herd: Any) -> Callable[[int], dict[str, NDArray[np.bool_]]]:
    """``stored(revision)``: wait for it; rasters (400, 640) of what image a then has, by id."""

    def read(revision: int) -> dict[str, NDArray[np.bool_]]:
        canvas.revision(revision)
        items = herd.documents["a"]["instances"]
        return {item["id"]: mask_of_parts(parts_of_json(item["parts"]), 400, 640) for item in items}

    return read


@pytest.fixture
def sibling_module() -> Callable[[str], ModuleType]:
    """``sibling_module(name)``: a helper module beside the tests."""
    return sibling


@pytest.fixture(scope="session")
def frames_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project that `frames_project` fills, made once; tests work on copies of it."""
    folder = tmp_path_factory.mktemp("frames") / "project"
    sibling("frames_project").make(folder)
    return folder


@pytest.fixture
def canvas_over(shared_context: Any) -> Callable[[Any], Any]:
    """``with canvas_over(store) as canvas``: the editor over the product's routes and a store."""

    @contextmanager
    def opened(store: Any) -> Iterator[Canvas]:
        server, pictures = sibling("canvas_server"), sibling("picture_server")
        port = free_port()
        app = pictures.build(store, server.PAGE, server.STATIC)
        with server.Server(app, port), watched(shared_context) as page:
            page.add_init_script(FORGET)
            canvas = Canvas(page, f"http://127.0.0.1:{port}/")
            canvas.assistant = getattr(app.state, "assistant", None)
            yield canvas

    return opened


@pytest.fixture(scope="session")
def many(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, str, ModuleType]]:
    """The product's routes over 4,000 images: (its `Store`, its url, `picture_server`)."""
    pictures, plain = sibling("picture_server"), sibling("canvas_server")
    folder = tmp_path_factory.mktemp("many")
    crowd(folder, 4000)
    with Store.open(folder) as store:
        app, port = pictures.build(store, plain.PAGE, plain.STATIC), free_port()
        with plain.Server(app, port):
            yield store, f"http://127.0.0.1:{port}/", pictures


@pytest.fixture
def big_canvas(shared_context: Any, many: tuple[Any, str, ModuleType]) -> Iterator[Canvas]:
    """The editor on a plain page over the routes of `many`."""
    with watched(shared_context) as page:
        page.add_init_script(FORGET)
        yield Canvas(page, many[1])
