"""Videos: the right frames at the right times, upright; and extraction that goes on."""

from __future__ import annotations

import errno
import itertools
import os
import re
import struct
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data_io import atomic, images, video
from data_io.errors import DataError, StoreError

WIDTH, HEIGHT, COUNT, RATE = 64, 48, 30, 15.0
CODECS = {".avi": "MJPG", ".mp4": "mp4v"}
BITS = 5


def picture(index: int) -> np.ndarray:
    """(48, 64, 3) RGB: the index in white bars on the left half, red above and blue below right."""
    pixels = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    for bit in range(BITS):
        pixels[8 * bit : 8 * bit + 8, :32] = 255 * (index >> bit & 1)
    pixels[:24, 32:, 0] = 255
    pixels[24:, 32:, 2] = 255
    return pixels


def number(pixels: np.ndarray) -> int:
    """The index a frame shows."""
    bars = [pixels[8 * bit + 2 : 8 * bit + 6, 4:28].mean() > 128 for bit in range(BITS)]
    return sum(1 << bit for bit, on in enumerate(bars) if on)


def film(path: Path, count: int = COUNT, rate: float = RATE) -> Path:
    """A video of `count` numbered frames."""
    code = cv2.VideoWriter.fourcc(*CODECS[path.suffix])
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, code, rate, (WIDTH, HEIGHT))
    if not writer.isOpened():
        pytest.skip(f"this OpenCV cannot write {CODECS[path.suffix]}")
    for index in range(count):
        writer.write(cv2.cvtColor(picture(index), cv2.COLOR_RGB2BGR))
    writer.release()
    return path


@pytest.fixture(params=CODECS)
def recording(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return film(tmp_path / f"barn{request.param}")


@pytest.fixture
def avi(tmp_path: Path) -> Path:
    return film(tmp_path / "barn.avi")


def turned(path: Path, matrix: tuple[int, ...]) -> Path:
    """An MP4 whose track header asks for a rotation, as phones write it."""
    content = bytearray(path.read_bytes())
    # ISO 14496-12, 8.3.2: the matrix starts 40 bytes after the name of a version 0 track header.
    start = content.index(b"tkhd") + 44
    content[start : start + 36] = struct.pack(">9i", *matrix)
    path.write_bytes(content)
    return path


def test_every_frame_comes_in_order_with_its_time_and_pixels(recording: Path) -> None:
    found = list(video.frames(recording))
    assert [index for index, _, _ in found] == list(range(COUNT))
    assert [seconds for _, seconds, _ in found] == pytest.approx(np.arange(COUNT) / RATE, abs=1e-3)
    for index, _, pixels in found:
        assert (pixels.shape, pixels.dtype) == ((HEIGHT, WIDTH, 3), np.uint8)
        assert number(pixels) == index
        middle = [pixels[4:20, 40:60].mean((0, 1)), pixels[28:44, 40:60].mean((0, 1))]
        assert np.abs(np.array(middle) - [[255, 0, 0], [0, 0, 255]]).max() < 12


@pytest.mark.parametrize(
    ("fps", "wanted"),
    [
        (1.0, [0, 15]),
        (5.0, range(0, COUNT, 3)),
        (7.5, range(0, COUNT, 2)),
        (0.1, [0]),
        (RATE, range(COUNT)),
        (60.0, range(COUNT)),
        (float("inf"), range(COUNT)),
    ],
)
def test_a_rate_takes_the_frames_at_its_times(recording: Path, fps: float, wanted: range) -> None:
    assert [index for index, _, _ in video.frames(recording, fps)] == list(wanted)


@pytest.mark.parametrize("fps", [2.0, 4.0, 10.0, 14.9])
def test_each_frame_is_the_nearest_to_its_time(avi: Path, fps: float) -> None:
    found = [seconds for _, seconds, _ in video.frames(avi, fps)]
    assert len(found) == pytest.approx(COUNT / RATE * fps, abs=1)
    for k, seconds in enumerate(found):
        assert abs(seconds - k / fps) <= 0.5 / RATE + 1e-6
    assert all(a < b for a, b in itertools.pairwise(found))


def test_probe_says_what_the_video_is(recording: Path) -> None:
    info = video.probe(recording)
    assert (info.width, info.height, info.frames) == (WIDTH, HEIGHT, COUNT)
    assert (info.fps, info.seconds) == (pytest.approx(RATE), pytest.approx(COUNT / RATE))


@pytest.mark.parametrize(
    ("matrix", "turns"),
    [
        ((0, 1 << 16, 0, -(1 << 16), 0, 0, HEIGHT << 16, 0, 1 << 30), -1),
        ((-(1 << 16), 0, 0, 0, -(1 << 16), 0, WIDTH << 16, HEIGHT << 16, 1 << 30), 2),
        ((0, -(1 << 16), 0, 1 << 16, 0, 0, 0, WIDTH << 16, 1 << 30), 1),
    ],
)
def test_a_turned_video_comes_upright(tmp_path: Path, matrix: tuple[int, ...], turns: int) -> None:
    path = turned(film(tmp_path / "phone.mp4"), matrix)
    info = video.probe(path)
    assert (info.width, info.height) == ((WIDTH, HEIGHT) if turns == 2 else (HEIGHT, WIDTH))
    for index, _, pixels in video.frames(path, 5):
        assert pixels.shape == (info.height, info.width, 3)
        assert number(np.rot90(pixels, -turns)) == index


def test_a_trimmed_video_shows_what_it_was_trimmed_to(tmp_path: Path) -> None:
    path = film(tmp_path / "phone.mp4")
    content = bytearray(path.read_bytes())
    # ISO 14496-12, 8.6.6: the length of the first edit stands 12 bytes after the list's name.
    start = content.index(b"elst") + 12
    (length,) = struct.unpack(">I", content[start : start + 4])
    content[start : start + 4] = struct.pack(">I", length // 2)
    path.write_bytes(content)
    assert [number(pixels) for _, _, pixels in video.frames(path)] == list(range(COUNT // 2))


# --- extraction -----------------------------------------------------------------------------------


def test_pictures_are_named_by_frame_so_that_names_follow_time(
    recording: Path, tmp_path: Path
) -> None:
    told: list[tuple[int, int]] = []
    pictures = video.extract(
        recording, tmp_path / "out", 5, progress=lambda done, total: told.append((done, total))
    )
    assert [path.name for path in pictures] == [f"{n:06d}.jpg" for n in range(0, COUNT, 3)]
    assert {path.parent for path in pictures} == {tmp_path / "out" / "barn"}
    assert told == [(done, 10) for done in range(1, 11)]
    assert images.list_images(tmp_path / "out") == pictures
    for path in pictures:
        pixels = images.read(path)
        assert (pixels.shape, number(pixels)) == ((HEIGHT, WIDTH, 3), int(path.stem))


def test_png_keeps_every_pixel(avi: Path, tmp_path: Path) -> None:
    pictures = video.extract(avi, tmp_path / "out", 1, kind="png")
    frames = [pixels for _, _, pixels in video.frames(avi, 1)]
    assert all((images.read(p) == f).all() for p, f in zip(pictures, frames, strict=True))


def test_an_interrupted_extraction_goes_on_and_keeps_what_is_there(
    avi: Path, tmp_path: Path
) -> None:
    asked = iter([False] * 4 + [True])
    begun = video.extract(avi, tmp_path, stop=lambda: next(asked))
    assert len(begun) == 4
    times = [path.stat().st_mtime_ns for path in begun]
    (tmp_path / "barn" / f"{atomic.PARTIAL}1").write_bytes(b"half")
    done = video.extract(avi, tmp_path)
    assert done[:4] == begun
    assert len(done) == COUNT
    assert [path.stat().st_mtime_ns for path in begun] == times
    names = sorted(path.name for path in (tmp_path / "barn").iterdir())
    assert names == [f"{n:06d}.jpg" for n in range(COUNT)] + [video.MARKER]


def test_another_rate_adds_to_the_same_folder(avi: Path, tmp_path: Path) -> None:
    coarse = video.extract(avi, tmp_path, 5)
    fine = video.extract(avi, tmp_path, 15)
    assert set(coarse) < set(fine)
    assert len(fine) == COUNT


@pytest.mark.parametrize("other", ["video", "kind", "folder"])
def test_frames_of_another_video_are_never_mixed_in(avi: Path, tmp_path: Path, other: str) -> None:
    kind: video.Kind = "jpg"
    if other == "folder":
        (tmp_path / "barn").mkdir()
        (tmp_path / "barn" / "holiday.jpg").write_bytes(b"mine")
    else:
        video.extract(avi, tmp_path, 1)
        if other == "video":
            film(avi, count=20)
        else:
            kind = "png"
    before = sorted((tmp_path / "barn").iterdir())
    pictures = video.extract(avi, tmp_path, 1, kind=kind)
    assert {path.parent.name[:5] for path in pictures} == {"barn-"}
    assert video.extract(avi, tmp_path, 1, kind=kind) == pictures
    assert sorted((tmp_path / "barn").iterdir()) == before
    (pictures[0].parent / video.MARKER).unlink()
    with pytest.raises(DataError, match="holds other files"):
        video.extract(avi, tmp_path, 1, kind=kind)


def test_too_many_pictures_are_refused_before_the_first(
    avi: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(video, "MAX_FRAMES", 10)
    with pytest.raises(DataError, match="more than 10 pictures; take fewer frames a second"):
        video.extract(avi, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert len(video.extract(avi, tmp_path / "out", 5)) == 10


def test_a_container_that_counts_wrong_does_not_lift_the_limit(
    avi: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(video, "MAX_FRAMES", 10)
    monkeypatch.setattr(video, "_count", lambda capture: 0)
    with pytest.raises(DataError, match="more than 10 pictures"):
        video.extract(avi, tmp_path)
    assert len(list((tmp_path / "barn").glob("*.jpg"))) == 10


def test_a_full_disk_is_a_sentence_and_no_half_picture(
    avi: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = itertools.count()

    def fill(path: Path, content: bytes) -> None:
        if next(written) == 3:
            path.write_bytes(content[:10])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        path.write_bytes(content)

    monkeypatch.setattr(atomic, "write_through", fill)
    with pytest.raises(StoreError, match="the disk is full"):
        video.extract(avi, tmp_path)
    names = sorted(path.name for path in (tmp_path / "barn").iterdir())
    assert names == ["000000.jpg", "000001.jpg", video.MARKER]


# --- bad files ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "empty"),
        (b"no video at all", "whatever its name says"),
        (b"ffconcat version 1.0\nfile other.avi\n", "whatever its name says"),
        (b"#EXTM3U\n#EXTINF:1,\n/etc/hostname\n", "whatever its name says"),
        (b"RIFF\x00\x01\x00\x00AVI " + b"\x00" * 300, "damaged"),
        (b"\x00\x00\x00\x18ftypmp42" + b"\xff" * 300, "damaged"),
        (b"\x1aE\xdf\xa3" + b"\x80" * 300, "damaged"),
        (b"\x00\x00\x01\xba" + b"\x00" * 300, "damaged"),
    ],
)
@pytest.mark.parametrize("suffix", [".mp4", ".avi"])
def test_what_is_no_video_is_a_sentence(
    tmp_path: Path, content: bytes, told: str, suffix: str
) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_bytes(content)
    calls: list[Callable[[], object]] = [
        lambda: video.probe(path),
        lambda: list(video.frames(path)),
        lambda: video.extract(path, tmp_path),
    ]
    for call in calls:
        with pytest.raises(DataError, match=told) as error:
            call()
        assert error.value.remedy
    assert not (tmp_path / "a").exists()


def test_a_missing_file_and_a_negative_rate_are_sentences(avi: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        video.probe(tmp_path / "none.mp4")
    for fps in (-1.0, float("nan")):
        with pytest.raises(DataError, match="frames a second"):
            list(video.frames(avi, fps))


def test_too_many_pixels_are_refused(avi: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(video, "MAX_PIXELS", WIDTH * HEIGHT - 1)
    with pytest.raises(DataError, match="million pixels"):
        video.probe(avi)


def test_a_video_that_breaks_off_gives_what_it_has_and_says_so(avi: Path, tmp_path: Path) -> None:
    content = avi.read_bytes()
    avi.write_bytes(content[: len(content) // 2])
    folder = re.escape(str(tmp_path / "barn"))
    with pytest.raises(DataError, match=rf"breaks off after \d+ of {COUNT} frames.*{folder}"):
        video.extract(avi, tmp_path)
    pictures = images.list_images(tmp_path / "barn")
    assert 4 < len(pictures) < COUNT  # without the one that was cut through
    assert [number(images.read(path)) for path in pictures] == list(range(len(pictures)))


def index_first(path: Path) -> Path:
    """The same MP4 as it is written for streaming: its index before its pictures."""
    content = path.read_bytes()
    start = content.index(b"moov") - 4
    index = bytearray(content[start:])
    place = index.index(b"stco") + 8
    (chunks,) = struct.unpack(">I", index[place : place + 4])
    form = f">{chunks}I"
    offsets = struct.unpack_from(form, index, place + 4)
    struct.pack_into(form, index, place + 4, *(one + len(index) for one in offsets))
    head = int.from_bytes(content[:4], "big")
    path.write_bytes(content[:head] + index + content[head:start])
    return path


def test_an_mp4_that_breaks_off_says_so(tmp_path: Path) -> None:
    path = index_first(film(tmp_path / "a.mp4"))
    assert len(list(video.frames(path))) == COUNT
    content = path.read_bytes()
    path.write_bytes(content[: -len(content) // 3])
    with pytest.raises(DataError, match=rf"breaks off after \d+ of {COUNT} frames"):
        list(video.frames(path))


def test_an_mp4_cut_off_before_its_index_is_refused(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mp4")
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(DataError, match="damaged"):
        video.probe(path)


@settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=20), st.data())
def test_flipped_bytes_cost_a_sentence_at_most(
    recording: Path, flips: list[tuple[int, int]], data: st.DataObject
) -> None:
    content = bytearray(recording.read_bytes())
    for place, value in flips:
        content[place % len(content)] = value
    cut = data.draw(st.integers(len(content) // 2, len(content)))
    path = recording.with_name(f"flipped{recording.suffix}")
    path.write_bytes(content[:cut])
    try:
        for index, _, pixels in video.frames(path):
            assert pixels.ndim == 3
            assert index < 10_000
    except DataError:
        pass


def test_ffmpeg_stays_silent(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(b"\x00\x00\x00\x18ftypmp42" + b"\xff" * 300)
    with pytest.raises(DataError):
        video.probe(path)
    assert capfd.readouterr() == ("", "")
