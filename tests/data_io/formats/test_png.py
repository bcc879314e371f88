"""Label PNGs: numbers in, numbers out, and hostile files that cost a sentence."""

from __future__ import annotations

import io
import struct
import zlib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from PIL import Image, PngImagePlugin

from data_io import geometry as geo
from data_io.errors import DataError
from data_io.formats import png
from data_io.formats.labels import ExportImage, Picture, PicturesInFolders
from data_io.formats.voc_names import COLOR_MAP, COLORS, PALETTE
from tests.data_io.formats.herds import HOLED, box_part, export_of, instance

SMALL = st.tuples(st.integers(1, 12), st.integers(1, 12))


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def raw_png(width: int, height: int, depth: int, kind: int, rows: bytes, *more: bytes) -> bytes:
    """A PNG of any header, filter bytes included in `rows`; `more` chunks come before the data."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0))
    data = chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(more) + data


@given(npst.arrays(st.sampled_from([np.uint8, np.uint16]), SMALL))
@settings(max_examples=50, deadline=None)
def test_numbers_come_back_with_their_depth(
    tmp_path_factory: pytest.TempPathFactory, numbers: png.Numbers
) -> None:
    folder = tmp_path_factory.mktemp("png")
    png.write_png(folder / "a/grey.png", numbers)
    found = png.read_png(folder / "a/grey.png", numbers.shape[::-1])
    assert found.dtype == numbers.dtype
    assert (found == numbers).all()
    if numbers.dtype == np.uint8:
        png.write_png(folder / "index.png", numbers, PALETTE)
        assert (png.read_png(folder / "index.png") == numbers).all()
        assert (png.read_png(folder / "index.png", colors=COLORS) == numbers).all()


def test_the_same_numbers_are_the_same_bytes(tmp_path: Path) -> None:
    numbers = np.arange(300, dtype=np.uint16).reshape(15, 20)
    for name in ("a.png", "b.png"):
        png.write_png(tmp_path / name, numbers[:, ::-1])
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


@pytest.mark.parametrize(
    ("depth", "kind"), [(1, 0), (2, 0), (4, 0), (8, 0), (16, 0), (1, 3), (2, 3), (4, 3), (8, 3)]
)
def test_samples_of_any_depth_are_numbers(tmp_path: Path, depth: int, kind: int) -> None:
    top = 2**depth - 1
    row = {1: b"\x40", 2: b"\x30", 4: b"\x0f", 8: b"\x00\xff", 16: b"\x00\x00\xff\xff"}[depth]
    palette = [chunk(b"PLTE", bytes(range(3)) * 2**depth)] if kind == 3 else []
    file = tmp_path / "a.png"
    file.write_bytes(raw_png(2, 1, depth, kind, b"\x00" + row, *palette))
    assert png.read_png(file).tolist() == [[0, top]]


def test_colors_are_numbers_where_a_map_explains_them(tmp_path: Path) -> None:
    colors = {0x000000: 0, 0x0A0B0C: 7, 0xE0E0C0: 255}
    pixels = np.array([[[10, 11, 12], [0, 0, 0], [224, 224, 192]]], dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert png.read_png(tmp_path / "a.png", colors=colors).tolist() == [[7, 0, 255]]
    with pytest.raises(DataError, match="10,11,12 is in no label map"):
        png.read_png(tmp_path / "a.png", colors={0: 0, 0xE0E0C0: 255})
    with pytest.raises(DataError, match="colors instead of numbers"):
        png.read_png(tmp_path / "a.png")
    indexed = Image.fromarray(np.array([[1, 0, 2]], dtype=np.uint8))
    indexed.putpalette(bytes([0, 0, 0, 10, 11, 12, 224, 224, 192]))
    indexed.save(tmp_path / "b.png")
    assert png.read_png(tmp_path / "b.png", colors=colors).tolist() == [[7, 0, 255]]
    assert png.read_png(tmp_path / "b.png", colors={0: 0}).tolist() == [[1, 0, 2]]


def test_the_color_map_is_vocs() -> None:
    known = {0: (0, 0, 0), 1: (128, 0, 0), 10: (64, 128, 0), 20: (0, 64, 128)}
    known |= {21: (128, 64, 128), 255: (224, 224, 192)}
    assert {index: tuple(COLOR_MAP[index].tolist()) for index in known} == known
    assert len(COLORS) == 256


def good_png() -> bytes:
    stream = io.BytesIO()
    noise = np.random.default_rng(3).integers(0, 9, (30, 40), dtype=np.uint8)
    Image.fromarray(noise).save(stream, "PNG")
    return stream.getvalue()


BOMB = raw_png(60_000, 60_000, 8, 0, b"\x00" * 99)
SECOND = chunk(b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0))
TEXT = chunk(b"zTXt", b"a\x00\x00" + zlib.compress(b" " * 10_000_000))


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"", "not a PNG"),
        (b"a text", "not a PNG"),
        (b"\xff\xd8\xff\xe0" + b"x" * 99, "not a PNG"),
        (good_png()[:20], "not a PNG"),
        (good_png()[:200], "damaged"),
        (good_png()[:60] + b"\x00" * 400, "damaged"),
        (BOMB, "60000 x 60000"),
        (raw_png(0, 9, 8, 0, b""), "0 x 9"),
        (raw_png(4, 4, 8, 0, b"", SECOND), "damaged"),
        (raw_png(4, 4, 8, 0, b"\x00" * 20, TEXT), "damaged"),
        (raw_png(4, 4, 7, 0, b"\x00" * 20), "damaged"),
        (raw_png(4, 4, 8, 4, b"\x00" * 36), "colors"),
        (raw_png(4, 4, 8, 9, b"\x00" * 36), "colors"),
    ],
)
def test_hostile_files_cost_a_sentence(tmp_path: Path, content: bytes, word: str) -> None:
    file = tmp_path / "a.png"
    file.write_bytes(content)
    with pytest.raises(DataError, match=word):
        png.read_png(file)


@given(st.data())
@settings(max_examples=100, deadline=None)
def test_damaged_bytes_raise_nothing_but_sentences(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    content = bytearray(good_png())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    file = tmp_path_factory.mktemp("png") / "a.png"
    file.write_bytes(bytes(content[: data.draw(st.integers(0, len(content)))]))
    try:
        assert png.read_png(file, (40, 30), COLORS).shape == (30, 40)
    except DataError as error:
        assert "\n" not in error.sentence()  # noqa: PT017


def test_a_second_header_is_never_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[object] = []
    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load", lambda self: decoded.append(self))
    second = chunk(b"IHDR", struct.pack(">IIBBBBB", 9_000, 9_000, 8, 0, 0, 0, 0))
    (tmp_path / "a.png").write_bytes(raw_png(4, 4, 8, 0, b"", second))
    with pytest.raises(DataError, match="damaged"):
        png.read_png(tmp_path / "a.png")
    assert decoded == []


def test_missing_files_folders_and_other_sizes(tmp_path: Path) -> None:
    for file in (tmp_path / "absent.png", tmp_path):
        with pytest.raises(DataError, match="cannot be read"):
            png.read_png(file)
    png.write_png(tmp_path / "a.png", np.zeros((3, 4), np.uint8))
    with pytest.raises(DataError, match="4 x 3 pixels, its picture 3 x 4"):
        png.read_png(tmp_path / "a.png", (3, 4))


# --- regions --------------------------------------------------------------------------------------


@given(npst.arrays(st.sampled_from([np.uint8, np.int32]), SMALL, elements=st.integers(0, 5)))
@settings(max_examples=50, deadline=None)
def test_windows_outlines_and_rasters_agree_with_plain_comparison(numbers: png.Numbers) -> None:
    values = np.unique(numbers).tolist()
    found = png.windows(Path("a.png"), numbers, {0})
    assert list(found) == [value for value in values if value != 0]
    rles = png.rasters(numbers)
    assert list(rles) == values
    for value in values:
        mask = numbers == value
        assert rles[value] == geo.rle_of_mask(mask)  # no run of length zero but the first
        if value:
            rows, columns = np.nonzero(mask)
            y, x = found[value]
            assert (y.start, y.stop) == (rows.min(), rows.max() + 1)
            assert (x.start, x.stop) == (columns.min(), columns.max() + 1)
            parts = png.outline(mask[y, x], found[value])
            assert (geo.mask_of_parts(parts, *numbers.shape) == mask).all()


def test_noise_is_refused_before_it_costs_time() -> None:
    noise = np.random.default_rng(1).integers(0, 256, (1200, 1200), dtype=np.uint8)
    with pytest.raises(DataError, match="change too often"):
        png.windows(Path("photo.png"), noise, {0})
    spread = np.zeros((1000, 1000), dtype=np.uint16)
    spread[0, :300] = spread[-1, -300:] = np.arange(1, 301)
    assert len(png.windows(Path("a.png"), spread, {0})) == 300
    tall = np.zeros((4000, 4000), dtype=np.uint16)
    tall[0, :1000] = tall[-1, -1000:] = np.arange(1, 1001)
    with pytest.raises(DataError, match="change too often"):
        png.windows(Path("a.png"), tall, {0})


# --- painting -------------------------------------------------------------------------------------


@given(st.data())
@settings(max_examples=50, deadline=None)
def test_painting_is_what_a_loop_over_masks_gives(data: st.DataObject) -> None:
    shape = data.draw(SMALL)
    masks = data.draw(st.lists(npst.arrays(np.bool_, shape), max_size=4))
    verified = data.draw(st.none() | npst.arrays(np.bool_, shape))
    expected = np.zeros(shape, dtype=np.int32)
    for number, mask in enumerate(masks, start=1):
        expected[mask] = number
    assert (png.paint([geo.rle_of_mask(mask) for mask in masks], *shape) == expected).all()
    if verified is not None:
        expected[~verified] = -1
    height, width = shape
    rows = [instance(geo.parts_of_mask(mask)) for mask in masks]
    export = export_of([(width, height, rows)])
    (image,) = export.images
    area = None if verified is None else geo.parts_of_mask(verified)
    lost: Counter[str] = Counter()
    found = png.painting(export, ExportImage(image.record, image.instances, area), lost)
    kept = [number for number in np.unique(expected).tolist() if number > 0]
    assert [position + 1 for position in found.kept] == kept
    for number, (old, rle) in enumerate(zip(kept, found.rasters, strict=True), start=1):
        assert ((found.numbers == number) == (expected == old)).all()
        assert geo.same_raster(rle, geo.rle_of_mask(expected == old))
    assert ((found.numbers == -1) == (expected == -1)).all()
    assert lost["empty"] == sum(not mask.any() for mask in masks)
    assert len(masks) - len(kept) == lost["empty"] + lost["hidden"] + lost["outside"]


def test_each_kind_of_loss_is_counted_once_and_said() -> None:
    rows = [
        instance((box_part(0, 0, 4, 4),)),  # hidden
        instance((box_part(0, 0, 5, 5),)),  # covered
        instance((box_part(0, 0, 4, 4),)),  # whole
        instance((box_part(8, 0, 12, 4),)),  # cut
        instance((box_part(12, 0, 14, 4),)),  # outside
        instance((box_part(2.1, 2.1, 2.2, 2.2),)),  # empty
    ]
    export = export_of([(16, 12, rows)])
    (image,) = export.images
    lost: Counter[str] = Counter()
    half = (box_part(0, 0, 10, 12),)
    png.painting(export, ExportImage(image.record, image.instances, half), lost)
    assert lost == {"hidden": 1, "covered": 1, "cut": 1, "outside": 1, "empty": 1}
    sentences = png.painted_losses("X", lost)
    assert len(sentences) == 5
    assert all("1 instance " in sentence for sentence in sentences)
    assert png.painted_losses("X", Counter()) == []


# --- names ----------------------------------------------------------------------------------------


def photo(file: Path, width: int = 16, height: int = 12) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (width, height)).save(file)


def test_a_picture_beside_label_files_of_its_name_is_found(tmp_path: Path) -> None:
    photo(tmp_path / "JPEGImages/1.jpg")
    photo(tmp_path / "SegmentationClass/1.png")
    photo(tmp_path / "SegmentationObject/1.png")
    pictures = PicturesInFolders([tmp_path, tmp_path / "JPEGImages"])
    file = tmp_path / "SegmentationClass/1.png"
    assert png.picture_of(file, pictures, ["absent", "1"]) == Picture("1.jpg", 16, 12)
    with pytest.raises(DataError, match=r"no picture called 2.*--images"):
        png.picture_of(tmp_path / "2.png", pictures, ["2", "3"])
    photo(tmp_path / "a/4.jpg")
    photo(tmp_path / "b/4.jpg")
    with pytest.raises(DataError, match="fits"):
        png.picture_of(tmp_path / "4.png", PicturesInFolders([tmp_path]), ["4"])


@pytest.mark.parametrize(
    ("names", "word"),
    [
        (["a.jpg", "a.png"], "a.jpg and a.png"),
        ([".cam/a.jpg"], "hidden"),
        (["../a.jpg"], "cannot be written"),
    ],
)
def test_label_names_that_clash_or_hide_are_refused(names: list[str], word: str) -> None:
    export = export_of([(16, 12, [instance(HOLED)])] * len(names))
    content = type(export)(export.images, names, export.categories)
    with pytest.raises(DataError, match=word):
        png.label_files(Path("out"), content, lambda _, name: name.rsplit(".", 1)[0] + ".png")
