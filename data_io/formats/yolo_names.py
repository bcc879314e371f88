"""The class names in the `data.yaml` of a YOLO dataset, without a YAML library.

Reads three ways of writing one key and no other YAML, so nothing in the file can do harm.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from data_io.formats.text import Entry, read_text

_MAX_BYTES = 1_000_000
_MAX_CLASSES = 10_000
_QUOTED = re.compile(r""""(?:[^"\\]|\\.)*"|'(?:[^']|'')*'""")
_TOKEN = re.compile(rf"""\s*({_QUOTED.pattern}|[\[\]{{}},:]|[^\s\[\]{{}},:"'][^\[\]{{}},:\n]*)""")
_NO_PLAIN = tuple("&*!|>%@`{}[],?#-\"'")  # what a text without quotes cannot begin with here

Item = tuple[str | None, str]  # key, None in a list, and what stands behind it


def class_names(config: Path) -> dict[int, str]:
    """The `names` by class index: a list, an inline list or a mapping of numbers to texts.

    Raises:
        DataError: unreadable, without `names`, or they are written in another way.
    """
    entry = Entry(config, "", {})
    lines = read_text(config, _MAX_BYTES).replace("\r\n", "\n").split("\n")
    starts = [k for k, line in enumerate(lines) if re.match(r"names\s*:(\s|$)", line)]
    if len(starts) != 1:
        why = "the key names is there twice" if starts else "the key names is missing"
        raise entry.refuse(why, "choose the data.yaml of a YOLO dataset", "names")
    first, rest = lines[starts[0]].split(":", 1)[1].strip(), lines[starts[0] + 1 :]
    try:
        items = list(islice(_items(first, rest), _MAX_CLASSES + 1))
        names = {_index(key, place): _scalar(text) for place, (key, text) in enumerate(items)}
    except ValueError as error:
        why = "the names are neither a list nor a mapping of numbers to texts"
        raise entry.refuse(why, "write one name a line, as in 0: cow", "names") from error
    if len(names) < len(items) or len(items) > _MAX_CLASSES:
        why = "a class is there twice, or there are too many"
        raise entry.refuse(why, "give each class one name", "names")
    return names


def yaml_text(text: str) -> str:
    """The text in quotes, as JSON and YAML both read it; what YAML cannot print is escaped."""
    odd = r"[\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]"
    quoted = json.dumps(text, ensure_ascii=False)
    return re.sub(odd, lambda letter: f"\\u{ord(letter[0]):04x}", quoted)


def _items(first: str, rest: list[str]) -> Iterator[Item]:
    if first.startswith(("[", "{")):
        return _inline("\n".join([first, *rest]))
    if first and not first.startswith("#"):
        raise ValueError
    return _block(rest)


def _index(key: str | None, place: int) -> int:
    if key is not None and not re.fullmatch(r"[0-9]{1,9}", key):
        raise ValueError
    return place if key is None else int(key)


def _block(lines: list[str]) -> Iterator[Item]:
    """The items of the lines up to the next key."""
    for line in lines:
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if item := re.match(r"\s*-\s+(?=\S)", line):
            yield None, line[item.end() :]
        elif item := re.match(r"\s+([^\s:]+)\s*:\s+(?=\S)", line):
            yield item[1], line[item.end() :]
        elif line[0].isspace() or line[0] == "-":
            raise ValueError
        else:
            return


def _inline(text: str) -> Iterator[Item]:
    """The items between the first bracket and the one that closes it."""
    tokens = _tokens(text)
    mapping = next(tokens) == "{"
    closing = "}" if mapping else "]"
    while (word := next(tokens, "")) != closing:
        if mapping and next(tokens, "") != ":":
            raise ValueError
        yield (word, next(tokens, "")) if mapping else (None, word)
        after = next(tokens, "")
        if after == closing:
            return
        if after != ",":
            raise ValueError


def _tokens(text: str) -> Iterator[str]:
    place = 0
    while match := _TOKEN.match(text, place):
        yield match[1].strip()
        place = match.end()


def _scalar(text: str) -> str:
    """A text with or without quotes, and what stands behind it if that is only a comment."""
    quoted = _QUOTED.match(text)
    if quoted is None:
        comment = re.search(r"\s#", text)
        plain = (text[: comment.start()] if comment else text).strip()
        if not plain or plain.startswith(_NO_PLAIN) or ": " in plain:
            raise ValueError
        return plain
    behind = text[quoted.end() :].strip()
    if behind and not behind.startswith("#"):
        raise ValueError
    if text[0] == "'":
        return quoted[0][1:-1].replace("''", "'")
    return str(json.loads(quoted[0]))  # a JSON text is a YAML text as well
