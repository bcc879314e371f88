"""The REST contract of the canvas over in-memory documents, and a plain page that mounts it.

`Herd` is the server's whole state; tests read it to see what was really stored, and set `offline`,
`gate`, `expired`, `refusal` or `losing` to make the network misbehave.
"""

from __future__ import annotations

import asyncio
import copy
import io
import math
import socket
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response
from fastapi.staticfiles import StaticFiles
from PIL import Image, ImageDraw, ImageFilter

STATIC = Path(__file__).resolve().parents[2] / "app" / "static"
WIDTH, HEIGHT = 640, 400
CATEGORIES = [
    {"id": "c1", "name": "cow", "color": "#e69f00"},
    {"id": "c2", "name": "<img src=x onerror=alert(1)>", "color": "#56b4e9"},
]
PAGE = """<!doctype html><html><head><meta charset="utf-8"><title>canvas</title><style>
body{margin:0;background:#888} .box{height:100vh} .hm-root{height:100vh}</style></head><body>
<div class="box"><div class="hm-root"></div></div><input id="elsewhere" aria-label="elsewhere"
style="position:fixed;bottom:0;right:0;width:8px;height:8px;opacity:.01">
<script type="module">
const events = window.events = [];
const listeners = [];
const props = window.props = {value: %s};
window.give = (value) => { props.value = value; listeners.forEach((f) => f()); };
const {mount} = await import(new URL('herdmark-static/editor.js', document.baseURI).href);
mount({element: document.querySelector('.box'), props,
  trigger: (name, detail) => events.push([name, detail]),
  watch: (name, f) => listeners.push(f)});
</script></body></html>"""


def oval(cx: float, cy: float, a: float, b: float, tilt: float, count: int = 18) -> list[float]:
    """A flat ring along a tilted ellipse, in pixels."""
    ring: list[float] = []
    for k in range(count):
        t = 2 * math.pi * k / count
        x, y = a * math.cos(t), b * math.sin(t)
        ring += [
            round(cx + x * math.cos(tilt) - y * math.sin(tilt), 2),
            round(cy + x * math.sin(tilt) + y * math.cos(tilt), 2),
        ]
    return ring


HERD = [(130, 120, 70, 32, 0.3), (330, 110, 64, 30, -0.5), (500, 250, 70, 34, 0.9)]
HERD += [(240, 280, 72, 33, -0.2), (90, 320, 52, 26, 1.2)]
Write = Callable[[dict[str, Any]], dict[str, Any]]  # a request's body -> the reply
SQUARE = [260.0, 160.0, 400.0, 160.0, 400.0, 230.0, 260.0, 230.0]


def instance(number: int, ring: list[float], proposed: bool, **more: Any) -> dict[str, Any]:
    """One instance of a document."""
    return {
        "id": f"i{number}",
        "category": "c1",
        "parts": [{"outer": ring, "holes": []}],
        "source": "model" if proposed else "human",
        "score": 0.5 + number / 20 if proposed else None,
        "version": "v1" if proposed else None,
        "attributes": {},
        "proposed": proposed,
        **more,
    }


def region(number: int, ring: list[float], score: float, reason: str) -> dict[str, Any]:
    """One review region of a document."""
    xs, ys = ring[::2], ring[1::2]
    return {
        "id": f"r{number}",
        "kind": "boundary",
        "box": [min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)],
        "parts": [{"outer": ring, "holes": []}],
        "score": score,
        "reason": reason,
        "state": "open",
    }


def document(image: str) -> dict[str, Any]:
    """What GET api/images/{id}/document answers at first."""
    proposed = [instance(i, oval(*HERD[i]), True) for i in range(3)]
    ring = {"outer": oval(*HERD[3]), "holes": [oval(240, 280, 24, 10, -0.2, 8)]}
    revised = [instance(3, [], False, parts=[ring]), instance(4, SQUARE, False)]
    return {
        "image": {
            "id": image,
            "name": f"{image}.jpg",
            "width": WIDTH,
            "height": HEIGHT,
            "group": "barn-1",
            "split": None,
        },
        "image_url": f"api/images/{image}/pixels",
        "heat_url": f"api/images/{image}/heat?version=v1",
        "revision": 1,
        "status": "draft",
        "version": "v1",
        "categories": copy.deepcopy(CATEGORIES),
        "instances": [*revised, *proposed],
        "regions": [
            region(0, oval(195, 130, 26, 16, 0.3), 0.91, "Two animals may touch here"),
            region(1, oval(500, 190, 30, 14, 0.9), 0.74, "The outline is unclear"),
            region(2, oval(90, 320, 56, 30, 1.2), 0.58, "An animal may be missing"),
        ],
        "verified": [],
    }


def picture() -> bytes:
    """A JPEG of blobs on a mottled ground."""
    noise = np.random.default_rng(3).integers(70, 110, (HEIGHT // 8, WIDTH // 8, 3))
    ground = (noise * np.array([1.15, 1.0, 0.75])).clip(0, 255).astype(np.uint8)
    image = Image.fromarray(ground).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(image)
    for at, shape in enumerate(HERD):
        ring = oval(*shape)
        pen.polygon(list(zip(ring[::2], ring[1::2], strict=True)), fill=(215 - at * 34, 196, 176))
    sink = io.BytesIO()
    image.filter(ImageFilter.GaussianBlur(1)).save(sink, "JPEG", quality=88)
    return sink.getvalue()


def heat() -> bytes:
    """An RGBA heat-map at stride 4, hot where the regions lie."""
    y, x = np.mgrid[0 : HEIGHT // 4, 0 : WIDTH // 4] * 4.0
    value = np.zeros(x.shape)
    for cx, cy in ((195, 130), (500, 190), (90, 320)):
        value += np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / 1500)
    value = value.clip(0, 1)
    layers = [np.full_like(value, 255), 220 * (1 - value), 40 * (1 - value), 255 * value]
    sink = io.BytesIO()
    Image.fromarray(np.stack(layers, -1).astype(np.uint8), "RGBA").save(sink, "PNG")
    return sink.getvalue()


class StaleError(Exception):
    """The answer was to proposals that others have replaced."""


class Herd:
    """Documents by image id, every write, and switches to make the network misbehave."""

    def __init__(self) -> None:
        self.gate = threading.Event()  # writes wait here while it is clear
        self.turn = 0  # counts the tests
        self.reset()

    def reset(self) -> None:
        """Three fresh images and a network that behaves."""
        self.turn += 1
        self.documents = {name: document(name) for name in ("a", "b", "c")}
        self.writes: list[
            tuple[str, str, str, dict[str, Any]]
        ] = []  # method, route, If-Match, body
        self.reply: dict[str, Any] = {}  # to the last write
        self.offline = False
        self.expired = False
        self.refusal = ""  # the sentence that refuses every write
        self.losing = False  # the next write is stored, but its reply is lost
        self.gate.set()

    def propose(self, image: str, version: str = "v2") -> None:
        """The proposals and regions of another version take the place of the old ones."""
        stored = self.documents[image]
        kept = [item for item in stored["instances"] if not item["proposed"]]
        fresh = instance(9, oval(*HERD[1]), True, version=version)
        doubt = region(9, oval(330, 80, 30, 14, -0.5), 0.66, "A new doubt")
        stored.update(instances=[*kept, fresh], regions=[doubt], version=version)
        stored["heat_url"] = f"api/images/{image}/heat?version={version}"

    def save(self, image: str, body: dict[str, Any]) -> dict[str, Any]:
        """Store a new revision as the contract says; the proposals that stay are not sent."""
        stored = self.documents[image]
        held = {item["id"]: item for item in stored["instances"] if not item["proposed"]}
        given = [held[one] if isinstance(one, str) else one for one in body["instances"]]
        sent = {item["id"] for item in given}
        stays = [
            item
            for item in stored["instances"]
            if item["proposed"] and item["id"] not in sent and item["id"] not in body["rejected"]
        ]
        stored["instances"] = [*given, *stays]
        stored["revision"] += 1
        if stored["status"] == "unlabeled":
            stored["status"] = "draft"
        return stored

    def answer(self, image: str, rid: str, body: dict[str, Any]) -> dict[str, Any]:
        """Answer a region; accept and fix adopt the proposals whose box meets the region's."""
        stored = self.documents[image]
        found = next((item for item in stored["regions"] if item["id"] == rid), None)
        if found is None:
            raise StaleError
        words = {"accept": "accepted", "fix": "fixed", "skip": "skipped"}
        found["state"] = words[body["action"]]
        if body["action"] == "skip":
            return stored
        self.save(image, body)
        x, y, w, h = found["box"]
        for item in stored["instances"]:
            ring = item["parts"][0]["outer"]
            inside = (
                (px, py)
                for px, py in zip(ring[::2], ring[1::2], strict=True)
                if x <= px <= x + w and y <= py <= y + h
            )
            if any(True for _ in inside):
                item["proposed"] = False
        stored["verified"] = [*stored["verified"], *found["parts"]]
        stored["status"] = "partial"
        return stored

    def accept(self, image: str, body: dict[str, Any]) -> dict[str, Any]:
        """The whole image is verified and every proposal adopted, if these were looked at."""
        if body["version"] != self.documents[image]["version"]:
            raise StaleError
        stored = self.save(image, body)
        for item in stored["instances"]:
            item["proposed"] = False
        stored["verified"] = [{"outer": [0, 0, WIDTH, 0, WIDTH, HEIGHT, 0, HEIGHT], "holes": []}]
        stored["status"] = "verified"
        return stored


async def write(herd: Herd, request: Request, image: str, route: str, do: Write) -> Response:
    """Answer a request that changes an image's document, once the gate is open."""
    turn = herd.turn
    body = await request.json()
    await asyncio.to_thread(herd.gate.wait, 60)
    if herd.turn != turn:
        return JSONResponse({"error": "The page that asked is closed."}, 503)
    trouble = refused(herd, request)
    if trouble is not None:
        return trouble
    match = request.headers.get("if-match", "")
    revision, sent = herd.documents[image]["revision"], (request.method, route, match, body)
    if herd.writes and sent == herd.writes[-1]:
        return JSONResponse(herd.reply)  # the browser never got it
    if match.strip('"') != str(revision):
        return JSONResponse({"error": "saved elsewhere", "revision": revision}, 409)
    kept = copy.deepcopy(sent)
    try:
        herd.reply = do(body)
    except StaleError:
        return JSONResponse({"error": "new proposals arrived", "stale": True}, 409)
    herd.writes.append(kept)
    if herd.losing:
        herd.losing = False
        return JSONResponse({"error": "The proxy gave up."}, 502)
    return JSONResponse(herd.reply)


def refused(herd: Herd, request: Request) -> Response | None:
    """What the server says to a write that it does not even look at."""
    if herd.expired:
        return JSONResponse({"error": "no session"}, 401)
    if herd.offline:
        return JSONResponse({"error": "The disk is full."}, 503)
    if herd.refusal:
        return JSONResponse({"error": herd.refusal}, 400)
    if request.headers.get("x-herdmark") != "1":
        return JSONResponse({"error": "header missing"}, 403)
    return None


def build(herd: Herd, start: str) -> FastAPI:
    """The app: page, static files, routes."""
    app = FastAPI()

    @app.get("/")
    @app.get("/below/a/path/")
    def index(value: str | None = None) -> HTMLResponse:
        return HTMLResponse(PAGE % (value or start))

    add_pictures(app)
    add_documents(app, herd)
    app.mount("/herdmark-static", StaticFiles(directory=STATIC))
    return app


def add_pictures(app: FastAPI) -> None:
    """The routes of the picture and the heat-map, which all images share."""
    pixels, glow = picture(), heat()

    @app.get("/api/images/{image}/pixels")
    def image_bytes(image: str) -> Response:
        return Response(pixels, media_type="image/jpeg")

    @app.get("/api/images/{image}/heat")
    def heat_bytes(image: str) -> Response:
        return Response(glow, media_type="image/png")


def add_documents(app: FastAPI, herd: Herd) -> None:
    """The routes that read and change documents."""

    @app.get("/api/images/{image}/document")
    def read(image: str) -> Response:
        if herd.expired:
            return JSONResponse({"error": "no session"}, 401)
        if image not in herd.documents:
            return JSONResponse({"error": "There is no such image."}, 404)
        return JSONResponse(herd.documents[image])

    @app.put("/api/images/{image}/document")
    async def put(image: str, request: Request) -> Response:
        def save(body: dict[str, Any]) -> dict[str, Any]:
            return {"revision": herd.save(image, body)["revision"]}

        return await write(herd, request, image, image, save)

    @app.post("/api/images/{image}/regions/{rid}")
    async def answer(image: str, rid: str, request: Request) -> Response:
        do = partial(herd.answer, image, rid)
        return await write(herd, request, image, f"{image}/{rid}", do)

    @app.post("/api/images/{image}/accept")
    async def accept(image: str, request: Request) -> Response:
        return await write(herd, request, image, f"{image}/accept", partial(herd.accept, image))

    @app.get("/api/next")
    def following(after: str, dir: int) -> dict[str, str | None]:
        names = list(herd.documents)
        at = names.index(after) + dir if after in names else 0
        return {"image": names[at] if 0 <= at < len(names) else None}


class Server(uvicorn.Server):
    """uvicorn in a thread."""

    def __init__(self, app: FastAPI, port: int) -> None:
        super().__init__(
            uvicorn.Config(
                app, host="127.0.0.1", port=port, log_level="error", timeout_graceful_shutdown=1
            )
        )
        self.up = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Tell the waiting test that the port is open."""
        await super().startup(sockets)
        self.up.set()

    def __enter__(self) -> Server:
        self.thread.start()
        assert self.up.wait(60), "the test server did not start"
        return self

    def __exit__(self, *_: object) -> None:
        self.should_exit = True
        self.thread.join(5)
