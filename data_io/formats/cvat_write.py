"""CVAT for images, XML 1.1, out (https://docs.cvat.ai/docs/manual/advanced/xml_format/)."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape, quoteattr

import numpy as np
from numpy.typing import NDArray

from data_io import geometry as geo
from data_io.errors import DataError
from data_io.formats.labels import Export, ExportImage, Written
from data_io.formats.text_write import (
    Crop,
    check_names,
    empty_ones,
    lost_fields,
    many,
    shapes_of,
    verified_state,
)
from data_io.types import Category, Instance, Ring, Source

SOURCES: Mapping[Source, str] = {"human": "manual", "edited": "semi-auto", "model": "auto"}
OCCLUDED = "occluded"  # the attribute that CVAT keeps apart from the others

_ILLEGAL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")  # in XML 1.0
_DEFAULTS = {"checkbox": ("false", "false\ntrue"), "number": ("", ""), "text": ("", "")}

Kinds = dict[str, dict[str, str]]  # category id -> attribute name -> CVAT's input type


def write_cvat(target: Path, export: Export) -> Written:
    """Write a CVAT for images file.

    A part without holes is a polygon with the vertices it has, any other a mask. Attributes that
    are true or false, numbers or texts are declared for their label and kept.

    Args:
        target: the file to create.
        export: what goes in.

    Raises:
        DataError: the name of an image or category cannot be written.
    """
    check_names(target, export)
    for name in (*export.names, *(category.name for category in export.categories)):
        if _ILLEGAL.search(name):
            why = "XML cannot hold a character of this name"
            raise DataError(target, why, "rename it", index=ascii(name))
    kinds = _kinds(export)
    expected: dict[str, list[geo.Rle]] = {}
    with target.open("x", encoding="utf-8", newline="\n") as stream:
        stream.writelines(_head(export, kinds))
        for number, (image, name) in enumerate(zip(export.images, export.names, strict=True)):
            rasters = expected[name] = []
            size = {"width": image.record.width, "height": image.record.height}
            stream.write(f"  <image{_keys({'id': number, 'name': name, **size})}>\n")
            stream.writelines(_image(export, image, kinds, rasters))
            stream.write("  </image>\n")
        stream.write("</annotations>\n")
    return Written(expected, tuple(_losses(export, kinds, expected)))


def _head(export: Export, kinds: Kinds) -> Iterator[str]:
    yield '<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n  <version>1.1</version>\n'
    yield f"  <meta>\n    <task>\n      <size>{len(export.images)}</size>\n"
    yield "      <mode>annotation</mode>\n      <labels>\n"
    for category in export.categories:
        yield from _label(category, kinds[category.id])
    yield "      </labels>\n    </task>\n  </meta>\n"


def _label(category: Category, kinds: Mapping[str, str]) -> Iterator[str]:
    yield f"        <label>\n          <name>{_text(category.name)}</name>\n"
    yield f"          <color>{_text(category.color)}</color>\n          <type>any</type>\n"
    yield "          <attributes>\n"
    for name, kind in kinds.items():
        default, values = _DEFAULTS[kind]
        yield f"            <attribute><name>{_text(name)}</name><mutable>False</mutable>"
        yield f"<input_type>{kind}</input_type><default_value>{default}</default_value>"
        yield f"<values>{values}</values></attribute>\n"
    yield "          </attributes>\n        </label>\n"


def _image(
    export: Export, image: ExportImage, kinds: Kinds, rasters: list[geo.Rle]
) -> Iterator[str]:
    """The lines of an image's shapes; the rasters of what is in them are appended."""
    labels = {category.id: category.name for category in export.categories}
    for place, (number, instance) in enumerate(image.instances):
        rle = export.raster(image, number, instance)
        shapes = shapes_of(instance.parts, rle)
        attributes = dict(_attributes(instance, kinds[instance.category]))
        occluded = instance.attributes.get(OCCLUDED) is True
        keys: dict[str, object] = {
            "label": labels[instance.category],
            "source": SOURCES[instance.source],
            OCCLUDED: int(occluded),
            "z_order": place,
        }
        if len(shapes) > 1:
            keys["group_id"] = place + 1
        for shape in shapes:
            tag, own = _shape(shape)
            yield f"    <{tag}{_keys({**keys, **own})}>\n"
            for name, text in attributes.items():
                yield f"      <attribute{_keys({'name': name})}>{_text(text)}</attribute>\n"
            yield f"    </{tag}>\n"
        if shapes:
            rasters.append(rle)


def _shape(shape: Ring | Crop) -> tuple[str, dict[str, object]]:
    if not isinstance(shape, Crop):
        return "polygon", {"points": ";".join(f"{x!r},{y!r}" for x, y in shape.tolist())}
    height, width = shape.mask.shape
    box = {"left": shape.x, "top": shape.y, "width": width, "height": height}
    return "mask", {"rle": ", ".join(map(str, _runs(shape.mask))), **box}


def _runs(mask: NDArray[np.bool_]) -> list[int]:
    """Run lengths row by row, the first one outside."""
    pixels = np.concatenate([[False], mask.ravel()])
    changes = np.flatnonzero(pixels[1:] != pixels[:-1])
    runs: list[int] = np.diff(changes, prepend=0, append=mask.size).tolist()
    return runs


def _keys(keys: Mapping[str, object]) -> str:
    return "".join(f" {key}={quoteattr(str(value))}" for key, value in keys.items())


def _text(text: str) -> str:
    """Escaped for between tags; a bare carriage return would be read as a line feed."""
    return escape(text, {"\r": "&#13;"})


# --- attributes -----------------------------------------------------------------------------------


def _kind(name: str, value: Any) -> str | None:
    """CVAT's input type for a value; None for what it has no type for."""
    if not name or _ILLEGAL.search(name):
        return None
    if isinstance(value, bool):
        return "checkbox"
    if isinstance(value, int) and abs(value) < 2**63:
        return "number"
    if isinstance(value, float) and math.isfinite(value):
        return "number"
    return "text" if isinstance(value, str) and not _ILLEGAL.search(value) else None


def _kinds(export: Export) -> Kinds:
    """The input type of each attribute; `text` where instances differ."""
    kinds: Kinds = {category.id: {} for category in export.categories}
    for image in export.images:
        for _, instance in image.instances:
            own = kinds[instance.category]
            for name, value in _others(instance):
                kind = _kind(name, value)
                if kind is not None:
                    own[name] = kind if own.get(name, kind) == kind else "text"
    return kinds


def _others(instance: Instance) -> Iterator[tuple[str, Any]]:
    """The attributes that CVAT does not keep apart."""
    for name, value in instance.attributes.items():
        if name != OCCLUDED or value is not True:
            yield name, value


def _attributes(instance: Instance, kinds: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for name, value in _others(instance):
        if _kind(name, value) is not None:
            yield name, str(value).lower() if isinstance(value, bool) else str(value)


def _losses(export: Export, kinds: Kinds, expected: Mapping[str, list[geo.Rle]]) -> Iterator[str]:
    instances = [one for image in export.images for _, one in image.instances]
    states = [verified_state(image) for image in export.images]
    lost = mixed = 0
    for one in instances:
        found = [
            (_kind(name, value), kinds[one.category].get(name)) for name, value in _others(one)
        ]
        lost += any(kind is None for kind, _ in found)
        mixed += any(kind is not None and kind != declared for kind, declared in found)
    if unsure := len(states) - states.count("whole"):
        yield f"CVAT cannot hold the verified area of {many(unsure, 'image')} not verified whole"
    if lost:
        yield (
            f"CVAT cannot hold attributes of {many(lost, 'instance')} that are neither true or"
            " false, numbers nor texts"
        )
    if mixed:
        yield (
            f"CVAT holds attributes of {many(mixed, 'instance')} as texts, because instances of"
            " the category differ in their type"
        )
    yield from empty_ones("CVAT", len(instances) - sum(map(len, expected.values())))
    yield from lost_fields("CVAT", instances, kept=("attributes", "source"))
