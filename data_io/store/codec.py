"""Records to columns and back: exact floats, no pickle, NaN refused before it is stored."""

from __future__ import annotations

import json
import uuid
import zlib
from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from typing import Any

import numpy as np
import orjson

from data_io.errors import DataError
from data_io.geometry import parts_to_json
from data_io.types import Instance, Part, Parts, Ring

_FREE = ("score", "attributes", "extras")  # of an instance: values that are not ours
_ZEROS = bytes(ord("0") if chr(code).isdigit() else code for code in range(128)) + bytes(128)
_LONG_INTEGER = b"0" * 19  # digits in a row; whatever has fewer fits into 64 bits
_LEVEL = 2  # of zlib: outlines shrink to less than half, four times as fast as by default


def new_id() -> str:
    """A fresh id, 16 hexadecimal digits: short enough for a URL, far too many to collide."""
    return uuid.uuid4().hex[:16]


def now() -> datetime:
    """The present, aware, in UTC."""
    return datetime.now(timezone.utc)


def time_to_text(time: datetime) -> str:
    """ISO 8601 in UTC; a naive time is taken as UTC."""
    aware = time if time.tzinfo else time.replace(tzinfo=timezone.utc)
    return aware.astimezone(timezone.utc).isoformat()


def time_of_text(text: str) -> datetime:
    """The inverse of `time_to_text`."""
    return datetime.fromisoformat(text)


def _plain(value: Any) -> Any:
    """numpy scalars and arrays and other mappings as what JSON knows."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} cannot be stored")


def to_json(value: Any, what: str) -> str:
    """Compact JSON text; `what` names the record in the error.

    Raises:
        DataError: NaN, infinity or something that is no plain data.
    """
    try:
        return json.dumps(
            value, default=_plain, allow_nan=False, separators=(",", ":"), ensure_ascii=False
        )
    except (TypeError, ValueError) as error:
        raise DataError(
            what, f"holds a value that cannot be stored ({error})", "use finite plain values"
        ) from error


def of_json(text: str) -> Any:
    """The inverse of `to_json`."""
    return json.loads(text)


def extras_to_text(extras: Mapping[str, Any], what: str) -> str | None:
    """Unknown keys as a nullable column; errors as in `to_json`."""
    return to_json(dict(extras), what) if extras else None


def extras_of_text(text: str | None) -> dict[str, Any]:
    """The inverse of `extras_to_text`."""
    found: dict[str, Any] = json.loads(text) if text else {}
    return found


def pack(value: Any, what: str) -> bytes:
    """Compressed JSON for the large columns; errors as in `to_json`."""
    return zlib.compress(to_json(value, what).encode(), _LEVEL)


def unpack(blob: bytes) -> Any:
    """The inverse of `pack`."""
    return quick_loads(zlib.decompress(blob))


def quick_loads(text: bytes) -> Any:
    """Values of JSON text, several times as fast on rings as `json`; its errors are those of that.

    An integer beyond 64 bits, which orjson would read as a float, stays what it is.
    """
    # Four times as fast as a regular expression; now and then a text or fraction is slow for it.
    long = _LONG_INTEGER in text.translate(_ZEROS)
    return json.loads(text) if long else orjson.loads(text)


def quick_dumps(value: Any, what: str) -> bytes:
    """JSON of plain finite values, as fast; integers beyond 64 bits are JSON, too."""
    try:
        return orjson.dumps(value)
    except TypeError:
        return to_json(value, what).encode()


def parts_to_blob(parts: Parts, what: str) -> bytes:
    """Rings as packed JSON; every float64 survives unchanged."""
    return pack(parts_to_json(parts), what)


def parts_of_blob(blob: bytes) -> Parts:
    """The inverse of `parts_to_blob`."""
    return _stored_parts(unpack(blob))


def _stored_parts(rows: list[dict[str, Any]]) -> Parts:
    """Parts from our own columns: checked when they were saved, so not number by number again."""
    return tuple(
        Part(_stored_ring(row["outer"]), tuple(_stored_ring(hole) for hole in row["holes"]))
        for row in rows
    )


def _stored_ring(flat: list[float]) -> Ring:
    return np.array(flat, dtype=np.float64).reshape(-1, 2)


def instances_to_blob(instances: Iterable[Instance], what: str) -> bytes:
    """Instances in their stacking order as packed JSON; their rings were checked before.

    Raises:
        DataError: a score, attribute or extra that cannot be stored.
    """
    rows = []
    for instance in instances:
        row = _instance_row(instance)
        # orjson, ten times as fast on rings, would store NaN as null.
        row |= {key: of_json(to_json(row[key], what)) for key in _FREE if row[key]}
        rows.append(row)
    return zlib.compress(quick_dumps(rows, what), _LEVEL)


def _instance_row(instance: Instance) -> dict[str, Any]:
    return {
        "id": instance.id,
        "category": instance.category,
        "parts": parts_to_json(instance.parts),
        "source": instance.source,
        "version": instance.version,
        "score": None if instance.score is None else float(instance.score),
        "iscrowd": bool(instance.iscrowd),
        "attributes": dict(instance.attributes),
        "extras": dict(instance.extras),
    }


def instances_of_blob(blob: bytes, merged: Mapping[str, str]) -> tuple[Instance, ...]:
    """The inverse of `instances_to_blob`.

    Args:
        blob: the stored column.
        merged: category id -> the category it was merged into; revisions are never rewritten,
            so merges are applied here, when they are read.
    """
    return tuple(
        Instance(
            id=row["id"],
            category=merged.get(row["category"], row["category"]),
            parts=_stored_parts(row["parts"]),
            source=row["source"],
            version=row["version"],
            score=row["score"],
            iscrowd=row["iscrowd"],
            attributes=row["attributes"],
            extras=row["extras"],
        )
        for row in unpack(blob)
    )
