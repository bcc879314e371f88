"""CVAT's XML as a stream: its labels and one image after the other, whatever the file's size.

A document type declaration, which alone could declare entities or default values, is refused, so
that nothing in a file grows while it is read and nothing outside of it is looked at.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from xml.parsers import expat

from data_io.errors import DataError

Labels = dict[str, dict[str, str]]  # label -> attribute name -> input type

_MAX_BYTES = 500_000_000
_CHUNK = 1 << 20
_MAX_QUIET = 8  # chunks without a tag: the parser looks at an open tag again with each chunk
_MAX_SHAPES = 500_000  # in a file; an instance needs about a thousand bytes
_MAX_IMAGES = 500_000
_MAX_LABELS = 10_000
_MAX_DEPTH = 20
_MAX_TEXT = 1_000_000  # characters between two tags


@dataclass(frozen=True)
class RawShape:
    """An element inside an image: its tag, its keys, and the texts of its `attribute` elements."""

    tag: str
    keys: dict[str, str]
    attributes: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class RawImage:
    """An image element: its keys and what is in it, in the order of the file."""

    keys: dict[str, str]
    shapes: list[RawShape] = field(default_factory=list)


def images_in(file: Path, labels: Labels) -> Iterator[RawImage]:
    """The images of a CVAT for images file, one by one.

    Args:
        file: the XML file.
        labels: filled with the labels that the file declares before its images.

    Raises:
        DataError: unreadable, too large, not CVAT for images, or broken from some place on; the
            images before that place have come out.
    """
    document = _Document(file, labels)
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = document.doctype
    parser.StartElementHandler = document.start
    parser.EndElementHandler = document.end
    parser.CharacterDataHandler = document.text
    fault: DataError | None = None
    for chunk in _chunks(file):
        try:
            parser.Parse(chunk, not chunk)
            document.count_chunk()
        except DataError as error:
            fault = error
        except (expat.ExpatError, LookupError, ValueError) as error:  # also unknown encodings
            why = f"the XML is broken at line {parser.ErrorLineNumber}"
            fault = DataError(file, why, "export it from CVAT again")
            fault.__cause__ = error
        yield from document.done
        document.done.clear()
        if fault is not None:
            raise fault


def _chunks(file: Path) -> Iterator[bytes]:
    """The bytes of a file, and an empty piece as the last."""
    if not file.is_file():
        raise DataError(file, "there is no such file", "check the path")
    try:
        if file.stat().st_size > _MAX_BYTES:
            why = f"the file has more than {_MAX_BYTES / 1e6:g} million bytes"
            raise DataError(file, why, "export the task in several parts")
        with file.open("rb") as stream:
            while chunk := stream.read(_CHUNK):
                yield chunk
    except OSError as error:
        raise DataError(file, "the file cannot be read", "check its permissions") from error
    yield b""


class _Document:
    """What the parser's events add up to."""

    def __init__(self, file: Path, labels: Labels) -> None:
        self.done: list[RawImage] = []
        self._file = file
        self._labels = labels
        self._path: list[str] = []  # open elements
        self._image = RawImage({})
        self._words: list[str] = []  # text since the last tag
        self._length = 0
        self._label = ""
        self._name = ""  # of the attribute element that is open
        self._shapes = self._images = self._quiet = 0

    def doctype(self, *_: object) -> None:
        """Refuse what no file of CVAT has."""
        raise self._refuse("the XML declares a document type", "export it from CVAT again")

    def count_chunk(self) -> None:
        """Refuse an element too long to be looked at again with each chunk."""
        self._quiet += 1
        if self._quiet > _MAX_QUIET:
            why = f"an element has more than {_MAX_QUIET} million characters"
            raise self._refuse(why, "export it from CVAT again")

    def start(self, tag: str, keys: dict[str, str]) -> None:
        """An opening tag."""
        self._path.append(tag)
        self._quiet = self._length = 0
        self._words.clear()
        depth, inside = len(self._path), self._path[1:2]
        if depth > _MAX_DEPTH:
            raise self._refuse("the XML is nested too deep", "export it from CVAT again")
        if depth == 1 and tag != "annotations":
            raise self._refuse("this is not an XML file of CVAT", "export as CVAT for images 1.1")
        if depth == 2 and tag == "track":
            raise self._refuse("this is CVAT for video", "export as CVAT for images 1.1")
        if depth == 2 and tag == "image":
            self._images = self._limited(self._images, _MAX_IMAGES, "images")
            self._image = RawImage(keys)
        elif depth == 3 and inside == ["image"]:
            self._shapes = self._limited(self._shapes, _MAX_SHAPES, "shapes")
            self._image.shapes.append(RawShape(tag, keys))
        elif tag == "attribute":
            self._name = keys.get("name", "")

    def end(self, tag: str) -> None:
        """A closing tag."""
        text = "".join(self._words)
        above, depth, inside = self._path[-2:-1], len(self._path), self._path[1:2]
        self._path.pop()
        self._quiet = self._length = 0
        self._words.clear()
        if inside == ["meta"]:
            self._meta(above, tag, text)
        elif inside == ["image"] and depth == 2:
            self.done.append(self._image)
        elif inside == ["image"] and depth == 4 and tag == "attribute":
            self._image.shapes[-1].attributes[self._name] = text

    def text(self, data: str) -> None:
        """Characters between tags."""
        self._length += len(data)
        if self._length > _MAX_TEXT:
            raise self._refuse("a text is too long", "export it from CVAT again")
        self._words.append(data)

    def _meta(self, above: list[str], tag: str, text: str) -> None:
        if above == ["label"] and tag == "name":
            self._label = text.strip()
            self._labels.setdefault(self._label, {})
            self._limited(len(self._labels), _MAX_LABELS, "labels")
        elif above == ["attribute"] and tag == "name":
            self._name = text
        elif above == ["attribute"] and tag == "input_type" and self._label in self._labels:
            self._labels[self._label][self._name] = text.strip()

    def _limited(self, count: int, most: int, noun: str) -> int:
        if count >= most:
            why = f"the file holds more than {most} {noun}"
            raise self._refuse(why, "export the task in several parts")
        return count + 1

    def _refuse(self, why: str, remedy: str) -> DataError:
        return DataError(self._file, why, remedy)
