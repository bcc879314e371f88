from __future__ import annotations

import hashlib
import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data_io import images
from data_io.errors import DataError

ORIENTATION = 0x0112
GPS = 0x8825


@pytest.fixture
def gradient() -> np.ndarray:
    """(24, 40, 3): red grows to the right, green downwards."""
    y, x = np.mgrid[:24, :40]
    return np.stack([x * 6, y * 10, np.full_like(x, 40)], axis=2).astype(np.uint8)


def save(path: Path, array: np.ndarray, orientation: int | None = None, **options: object) -> Path:
    exif = Image.Exif()
    if orientation is not None:
        exif[ORIENTATION] = orientation
        options["exif"] = exif
    Image.fromarray(array).save(path, **options)
    return path


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".webp"])
def test_lossless_formats_read_back_exactly(
    tmp_path: Path, gradient: np.ndarray, suffix: str
) -> None:
    options = {"lossless": True} if suffix == ".webp" else {}
    path = save(tmp_path / f"a{suffix}", gradient, **options)
    assert (images.read(path) == gradient).all()


def test_inspect_names_size_digest_and_absolute_path(
    tmp_path: Path, gradient: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save(tmp_path / "a.png", gradient)
    monkeypatch.chdir(tmp_path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert images.inspect("a.png") == images.ImageInfo(str(path), 40, 24, digest)


TURNS = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: np.rot90(a, 1),
}


@pytest.mark.parametrize("orientation", TURNS)
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_exif_rotation(tmp_path: Path, gradient: np.ndarray, orientation: int, suffix: str) -> None:
    path = save(tmp_path / f"a{suffix}", gradient, orientation)
    expected = TURNS[orientation](gradient)
    assert (images.read(path) == expected).all()
    info = images.inspect(path)
    assert (info.height, info.width) == expected.shape[:2]


def test_a_phone_photo_is_turned_in_its_thumbnail_and_its_web_copy(
    tmp_path: Path, gradient: np.ndarray
) -> None:
    big = np.kron(gradient, np.ones((40, 40, 1), np.uint8))
    path = save(tmp_path / "a.jpg", big, orientation=6)
    assert images.read(path).shape == (1600, 960, 3)
    thumbnail = Image.open(io.BytesIO(images.thumbnail_jpeg(path, side=128)))
    assert thumbnail.size == (77, 128)
    assert Image.open(io.BytesIO(images.web_jpeg(path))).size == (960, 1600)


def test_web_copies_carry_no_metadata(tmp_path: Path, gradient: np.ndarray) -> None:
    exif = Image.Exif()
    exif.get_ifd(GPS)[1] = "N"
    exif[0x010F] = "a camera"
    path = tmp_path / "a.jpg"
    Image.fromarray(gradient).save(path, exif=exif, comment=b"at the farm")
    for data in (images.web_jpeg(path), images.thumbnail_jpeg(path)):
        copy = Image.open(io.BytesIO(data))
        assert copy.format == "JPEG"
        assert not dict(copy.getexif())
        assert "comment" not in copy.info


@pytest.mark.parametrize(
    ("bits", "suffix"), [(8, ".png"), (12, ".png"), (14, ".tif"), (16, ".png")]
)
def test_deep_grey_is_scaled_by_its_actual_depth(tmp_path: Path, bits: int, suffix: str) -> None:
    ramp = np.linspace(0, 2**bits - 1, 60).astype(np.uint16).reshape(6, 10)
    pixels = images.read(save(tmp_path / f"a{suffix}", ramp))
    assert pixels.shape == (6, 10, 3)
    assert (pixels[0, 0] == 0).all()
    assert (pixels[-1, -1] == 255).all()
    assert np.abs(pixels[..., 0] - ramp * (255 / (2**bits - 1))).max() <= 0.5


def test_float_grey(tmp_path: Path) -> None:
    values = np.array([[0.0, 0.5], [1.0, np.nan]], np.float32)
    pixels = images.read(save(tmp_path / "a.tif", values))
    assert pixels[..., 0].tolist() == [[0, 128], [255, 0]]


def test_grey_palette_alpha_and_cmyk(tmp_path: Path) -> None:
    grey = np.full((4, 5), 77, np.uint8)
    assert (images.read(save(tmp_path / "l.png", grey)) == 77).all()
    clear = np.dstack([np.full((4, 5, 3), 200, np.uint8), np.full((4, 5), 0, np.uint8)])
    clear[0, :, 3] = 255
    pixels = images.read(save(tmp_path / "rgba.png", clear))
    assert (pixels[0] == 200).all()
    assert (pixels[1:] == 0).all()
    Image.fromarray(grey).convert("P").save(tmp_path / "p.png")
    assert (images.read(tmp_path / "p.png") == 77).all()
    Image.new("CMYK", (5, 4), (0, 255, 255, 0)).save(tmp_path / "c.jpg", quality=95)
    assert np.abs(images.read(tmp_path / "c.jpg").astype(int) - [255, 0, 0]).max() < 12


def header_only_png(path: Path, width: int, height: int) -> Path:
    def chunk(kind: bytes, body: bytes) -> bytes:
        crc = zlib.crc32(kind + body)
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", crc)

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 64)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + data)
    return path


@pytest.mark.parametrize("size", [(60_000, 60_000), (12_000, 12_000), (70_000, 10)])
def test_a_huge_image_is_refused_from_its_header(tmp_path: Path, size: tuple[int, int]) -> None:
    path = header_only_png(tmp_path / "huge.png", *size)
    for reader in (images.inspect, images.read, images.thumbnail_jpeg):
        with pytest.raises(DataError, match=r"huge\.png: .*million pixels.*;.*\.$"):
            reader(path)


def bad_files(folder: Path, gradient: np.ndarray) -> dict[str, Path]:
    whole = save(folder / "whole.jpg", np.kron(gradient, np.ones((9, 9, 1), np.uint8)))
    files = {name: folder / f"{name}.jpg" for name in ("truncated", "text", "empty", "absent")}
    files["truncated"].write_bytes(whole.read_bytes()[:-900])
    files["text"].write_text("a letter to the farmer\n" * 50)
    files["empty"].write_bytes(b"")
    files["png"] = header_only_png(folder / "damaged.png", 300, 300)
    return files


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("truncated", "truncated or damaged"),
        ("text", "not a JPEG"),
        ("empty", "empty"),
        ("absent", "no such file"),
        ("png", "truncated or damaged"),
    ],
)
def test_bad_files_get_one_sentence(
    tmp_path: Path, gradient: np.ndarray, name: str, word: str
) -> None:
    path = bad_files(tmp_path, gradient)[name]
    for reader in (images.inspect, images.read, images.web_jpeg):
        with pytest.raises(DataError, match=word) as caught:
            reader(path)
        assert str(path) in caught.value.sentence()
        assert "\n" not in caught.value.sentence()


def test_unreadable_exif_does_not_cost_the_picture(tmp_path: Path, gradient: np.ndarray) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(gradient).save(path, exif=b"Exif\0\0MM\0*\0\0\xff\xff broken")
    assert (images.read(path) == gradient).all()


def test_list_is_recursive_sorted_and_skips_hidden_and_foreign_files(tmp_path: Path) -> None:
    for name in ("b.PNG", "a/c.jpeg", "a/d.txt", ".hidden.jpg", ".git/e.jpg", "a/z/f.webp"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    names = [str(path.relative_to(tmp_path)) for path in images.list_images(tmp_path)]
    assert names == [os.path.join("a", "c.jpeg"), os.path.join("a", "z", "f.webp"), "b.PNG"]


def test_links_are_followed_once_and_not_out_of_bounds(tmp_path: Path) -> None:
    inside, outside = tmp_path / "in", tmp_path / "out"
    for folder in (inside, outside):
        folder.mkdir()
        (folder / "a.jpg").write_bytes(b"x")
    (inside / "loop").symlink_to(inside, target_is_directory=True)
    (inside / "other").symlink_to(outside, target_is_directory=True)
    (inside / "gone.jpg").symlink_to(tmp_path / "nothing.jpg")
    assert images.list_images(inside) == [inside / "a.jpg", inside / "other" / "a.jpg"]
    assert images.list_images(inside, within=inside) == [inside / "a.jpg"]


def test_listing_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such folder"):
        images.list_images(tmp_path / "absent")
