"""One request at a time, and of one client only the newest."""

from __future__ import annotations

import threading
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from app.assistant import PICTURES, Assistant, SupersededError
from app.click_engines import RefinerEngine
from data_io.errors import DataError
from data_io.types import ImageRecord
from model.assist.clicks import Click

HERE = Click(20.5, 20.5, True)


@pytest.fixture
def record(tmp_path: Path) -> ImageRecord:
    return photo(tmp_path, "one")


def photo(folder: Path, name: str) -> ImageRecord:
    pixels = np.zeros((60, 80, 3), np.uint8)
    pixels[10:30, 10:30] = 200
    Image.fromarray(pixels).save(folder / f"{name}.png")
    return ImageRecord(name, str(folder / f"{name}.png"), 80, 60, name, "barn")


class Answer:
    """Bright is animal; waits while it is told to."""

    def __init__(self) -> None:
        self.asked, self.go, self.begun = 0, threading.Event(), threading.Event()
        self.go.set()

    def __call__(self, crop):
        self.asked += 1
        self.begun.set()
        assert self.go.wait(30)
        return (crop[0] > 0).astype(np.float32) - 0.5


@pytest.fixture
def answer() -> Answer:
    return Answer()


@pytest.fixture
def assistant(tmp_path: Path, answer: Answer, monkeypatch: pytest.MonkeyPatch) -> Assistant:
    made = Assistant(SimpleNamespace(project=tmp_path, promoted=lambda: None))
    monkeypatch.setattr(made, "_ready", lambda: RefinerEngine(answer))
    return made


def test_clicks_boxes_and_points_are_answered(assistant, record):
    made = assistant.click(record, (), [HERE], 20.0, True, "me", 1)
    box = assistant.box(record, (8, 8, 32, 32), "me", 2)
    points = assistant.points(record, [(20, 11), (29, 20), (20, 29), (11, 20)], "me", 3)
    for parts in (made.added, box, points):
        ring = parts[0].outer
        np.testing.assert_allclose([*ring.min(0), *ring.max(0)], [10, 10, 30, 30], atol=1.5)
    assert made.removed == ()


def test_who_has_asked_something_newer_is_not_worked_for(assistant, record, answer):
    answer.go.clear()
    told: dict[int, object] = {}

    def ask(number: int) -> None:
        try:
            told[number] = assistant.click(record, (), [HERE], 20.0, True, "me", number)
        except SupersededError as error:
            told[number] = error

    threads = [threading.Thread(target=ask, args=(number,)) for number in (1, 2, 3)]
    threads[0].start()
    assert answer.begun.wait(30)
    for number, thread in enumerate(threads[1:], start=2):
        thread.start()
        while assistant._newest["me"] != number:
            pass
    answer.go.set()
    for thread in threads:
        thread.join(30)
    assert isinstance(told[2], SupersededError)
    assert not isinstance(told[1], SupersededError)
    assert not isinstance(told[3], SupersededError)


def test_clients_do_not_supersede_each_other(assistant, record):
    assistant.click(record, (), [HERE], 20.0, True, "me", 9)
    assistant.click(record, (), [HERE], 20.0, True, "you", 1)
    with pytest.raises(SupersededError):
        assistant.click(record, (), [HERE], 20.0, True, "me", 3)


def test_only_the_last_pictures_are_kept(assistant, tmp_path):
    for number in range(PICTURES + 2):
        one = photo(tmp_path, f"photo{number}")
        assistant.click(one, (), [HERE], 20.0, True, "me", number)
    assert list(assistant._pictures) == ["photo2", "photo3"]


class Slow(RefinerEngine):
    """An engine that must see an image before it can be clicked at."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer)
        self.seen: list[str] = []
        self.done = threading.Event()

    def attend(self, key, image):
        self.seen.append(key)
        if key == "last":
            self.done.set()

    def is_ready(self, key):
        return key in self.seen


def test_coming_images_are_looked_at_in_the_background(tmp_path, answer, monkeypatch, record):
    assistant = Assistant(SimpleNamespace(project=tmp_path, promoted=lambda: None))
    engine = Slow(answer)
    monkeypatch.setattr(assistant, "_ready", lambda: engine)
    assistant._engine = engine
    gone = photo(tmp_path, "gone")
    Path(gone.path).unlink()
    coming = [record, gone, photo(tmp_path, "next"), photo(tmp_path, "last")]
    assistant.attend(record, coming)
    assert engine.done.wait(30)
    assert engine.seen == ["one", "next", "last"]


def test_an_engine_that_needs_no_look_gets_none(assistant, record):
    assistant.attend(record, [record])
    assert assistant._ahead is None
    assert list(assistant._pictures) == ["one"]


def test_a_picture_that_is_gone_is_one_sentence_and_the_next_request_works(assistant, tmp_path):
    gone = photo(tmp_path, "gone")
    Path(gone.path).unlink()
    with pytest.raises(DataError, match=r"gone\.png"):
        assistant.click(gone, (), [HERE], 20.0, True, "me", 1)
    assert assistant.click(photo(tmp_path, "there"), (), [HERE], 20.0, True, "me", 2).added
