"""CVAT XML: polygons, masks and groups round trip; no entity, bomb or broken tag gets through."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_io import geometry as geo
from data_io.errors import DataError
from data_io.formats import cvat_xml
from data_io.formats.cvat import read_cvat, write_cvat
from data_io.formats.labels import Export, LabelFile
from data_io.types import Category, Instance
from tests.data_io.formats.herds import (
    CATEGORIES,
    HOLED,
    TWO_PARTS,
    box_part,
    check_round_trip,
    export_of,
    herds,
    instance,
    read_or_refuse,
    stuck_after,
)

TEXT = st.text(
    st.characters(
        codec="utf-8", exclude_categories=["Cc", "Cs", "Cn"], include_characters="\r\n\t"
    ),
    max_size=5,
)
# One type for each name: where instances differ, CVAT has texts only.
ATTRIBUTES = st.fixed_dictionaries(
    {},
    optional={
        "lying": st.booleans(),
        "occluded": st.just(True),
        "weight": st.integers(-(2**62), 2**62) | st.floats(allow_nan=False, allow_infinity=False),
        "name <&\"'> \n": TEXT,
    },
)
POLYGON = '<polygon label="cow" source="manual" occluded="0" points="5,5;25,5;25,25;5,25"/>'
MASK = '<mask label="cow" rle="0, 2, 1, 3" left="3" top="4" width="3" height="2"/>'


def xml(*shapes: str, head: str = "<?xml version='1.0'?>", meta: str = "", image: str = "") -> str:
    keys = image or 'id="3" name="a.jpg" width="60" height="40"'
    return f"{head}<annotations>{meta}<image {keys}>{''.join(shapes)}</image></annotations>"


def read(folder: Path, content: str | bytes) -> LabelFile:
    path = folder / "a.xml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_cvat(path)


# --- round trips ----------------------------------------------------------------------------------


@given(herds(ATTRIBUTES))
@settings(max_examples=60, deadline=None)
def test_a_herd_comes_back_pixel_for_pixel(
    tmp_path_factory: pytest.TempPathFactory, export: Export
) -> None:
    target = tmp_path_factory.mktemp("cvat") / "out.xml"
    written = write_cvat(target, export)
    file = read_cvat(target, export.pictures())

    def check(stored: Instance, one: Instance) -> None:
        assert one.source == stored.source
        assert one.attributes == stored.attributes
        kinds = {name: type(value) for name, value in stored.attributes.items()}
        assert {name: type(value) for name, value in one.attributes.items()} == kinds

    check_round_trip(export, written, file, lambda category: category.name, check)
    assert [category.name for category in file.categories] == [one.name for one in CATEGORIES]
    ElementTree.parse(target)


def test_what_is_written_is_what_cvat_describes(tmp_path: Path) -> None:
    parts = (TWO_PARTS[0], HOLED[0])
    attributes = {"n": 2, "note": " a\r\n\tb ", "occluded": True}
    seen = instance(TWO_PARTS[1:], source="model", attributes=attributes)
    export = export_of([(16, 12, [instance(parts), seen]), (9, 9, [])])
    target = tmp_path / "out.xml"
    write_cvat(target, export)
    root = ElementTree.parse(target).getroot()
    assert root.findtext("version") == "1.1"
    label = root.find("meta/task/labels/label")
    assert label is not None
    assert (label.findtext("name"), label.findtext("color")) == ("cow", "#e69f00")
    assert label.findtext("attributes/attribute/input_type") == "number"
    assert [dict(image.attrib) for image in root.findall("image")] == [
        {"id": "0", "name": "cam 1/0.jpg", "width": "16", "height": "12"},
        {"id": "1", "name": "cam 1/1.jpg", "width": "9", "height": "9"},
    ]
    ring, mask, last = list(root.findall("image")[0])
    assert (ring.tag, ring.get("points")) == ("polygon", "0.0,0.0;2.25,0.0;2.25,5.0;0.0,5.0")
    assert [row.get("z_order") for row in (ring, mask, last)] == ["0", "0", "1"]
    assert [row.get("group_id") for row in (ring, mask, last)] == ["1", "1", None]
    assert [row.get("source") for row in (ring, mask, last)] == ["manual", "manual", "auto"]
    assert [row.get("occluded") for row in (ring, mask, last)] == ["0", "0", "1"]
    box = [int(mask.get(key, "")) for key in ("left", "top", "width", "height")]
    assert box == [1, 1, 12, 10]
    runs = [int(run) for run in mask.get("rle", "").split(", ")]
    pixels = np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(10, 12)
    assert pixels.tolist() == geo.mask_of_parts(HOLED, 12, 16)[1:11, 1:13].tolist()
    first, second = read_cvat(target).images[0].instances
    assert (first.parts[0].outer == TWO_PARTS[0].outer).all()
    assert [len(part.holes) for part in first.parts] == [0, 1]
    assert second.attributes == attributes


def test_losses_are_said_with_numbers_and_only_when_they_happen(tmp_path: Path) -> None:
    nothing = instance((box_part(2.1, 2.1, 2.2, 2.2),))
    rich = instance(HOLED, score=0.5, attributes={"a": [1], "b": "x"}, version="v1", iscrowd=True)
    other = instance(HOLED, attributes={"b": True, "c": float("nan"), "d": "\x00"})
    export = export_of([(16, 12, [rich, other, nothing]), (16, 12, []), (16, 12, [])])
    areas = [geo.full_image(12, 16), (), (box_part(0, 0, 3, 3),)]
    images = [
        dataclasses.replace(image, verified=area)
        for image, area in zip(export.images, areas, strict=True)
    ]
    written = write_cvat(tmp_path / "out.xml", dataclasses.replace(export, images=images))
    losses = "\n".join(written.losses)
    for words in (
        "verified area of 2 images",
        "attributes of 2 instances that are neither",
        "attributes of 1 instance as texts",
        "1 instance without a pixel",
        "scores of 1 instance",
        "version of 1 instance",
        "crowd mark of 1 instance",
    ):
        assert words in losses
    assert len(written.losses) == 7
    one, two = read_cvat(tmp_path / "out.xml").images[0].instances
    assert (one.attributes, two.attributes) == ({"b": "x"}, {"b": "true"})
    assert write_cvat(tmp_path / "two.xml", export_of([(16, 12, [instance(HOLED)])])).losses == ()


def test_names_xml_cannot_hold_are_refused(tmp_path: Path) -> None:
    export = export_of([(16, 12, [])], categories=(Category("c", "a\ufffe", "#000000", 1),))
    with pytest.raises(DataError, match="rename"):
        write_cvat(tmp_path / "out.xml", export)
    export = dataclasses.replace(export_of([(16, 12, [])]), names=["../a.jpg"])
    with pytest.raises(DataError, match="rename"):
        write_cvat(tmp_path / "out.xml", export)
    assert list(tmp_path.iterdir()) == []


# --- reading --------------------------------------------------------------------------------------

META = """<meta><job><labels>
  <label><name> cow </name><color>#fff</color><attributes><attribute><name>lying</name>
    <input_type>checkbox</input_type></attribute><attribute><name>age</name>
    <input_type>number</input_type></attribute></attributes></label>
  <label><name>sheep</name></label></labels></job></meta>"""


def test_reads_what_cvat_writes(tmp_path: Path) -> None:
    ring = 'label="cow" points="40,5;50,5;50,9"'
    content = xml(
        f'<polygon {ring} z_order="2" group_id="4"/>',
        '<box label="calf" xtl="5" ytl="3" xbr="25.00" ybr="9" z_order="-1" source="semi-auto"/>',
        '<box label="calf" xtl="10" ytl="10" xbr="30" ybr="14" rotation="30.00" source="file"/>',
        '<ellipse label="cow" cx="30" cy="20" rx="10" ry="5" rotation="90" source="auto"/>',
        f'<polygon {ring} z_order="1" occluded="1"><attribute name="lying">True</attribute>'
        '<attribute name="age">4</attribute><attribute name="other">4</attribute></polygon>',
        '<mask label="cow" rle="0, 2, 1, 3" left="3" top="4" width="3" height="2" group_id="4"'
        ' z_order="2"></mask>',
        '<tag label="sunny" source="manual"></tag>',
        f'<polygon {ring} z_order="high" group_id="x"/>',
        meta=META,
    )
    file = read(tmp_path, content)
    assert file.refused == ()
    assert [repair.field for repair in file.repaired] == ["tag", "group_id", "z_order"]
    assert [one.key for one in file.categories] == ["cow", "sheep", "calf"]
    (image,) = file.images
    assert (image.key, image.verified, image.complete) == ("image 3", None, True)
    box, turned, ellipse, odd, rich, grouped = image.instances
    assert [one.source for one in image.instances[:3]] == ["edited", "human", "model"]
    assert geo.box_of_parts(box.parts) == (5, 3, 20, 6)
    # Clockwise on the screen: what was the top-left corner goes up, towards the middle.
    assert turned.parts[0].outer[0] == pytest.approx([20 - 5 * 3**0.5 + 1, 12 - 5 - 3**0.5])
    assert geo.box_of_parts(ellipse.parts) == pytest.approx((25, 10, 10, 20))
    assert len(ellipse.parts[0].outer) == 64
    assert odd.attributes == {}
    assert rich.attributes == {"lying": True, "age": 4, "other": "4", "occluded": True}
    assert [geo.box_of_parts((part,)) for part in grouped.parts] == [(40, 5, 10, 4), (3, 4, 3, 2)]
    mask = geo.mask_of_parts(grouped.parts[1:], 40, 60)[4:6, 3:6]
    assert mask.tolist() == [[True, True, False], [True, True, True]]


def test_a_folder_is_read_by_its_file(tmp_path: Path) -> None:
    (tmp_path / "annotations.xml").write_text(xml(POLYGON))
    assert len(read_cvat(tmp_path).images) == 1
    with pytest.raises(DataError, match="no such file"):
        read_cvat(tmp_path / "absent.xml")


def changed(text: str, **keys: object) -> str:
    """The element with other values for some of its keys."""
    element = ElementTree.fromstring(text)
    for key, value in keys.items():
        element.set(key, str(value))
    return ElementTree.tostring(element, encoding="unicode")


@pytest.mark.parametrize(
    ("shape", "field", "word"),
    [
        (changed(POLYGON, points="1,1;9,9"), "points", "3 vertices"),
        (changed(POLYGON, points="1,1;9;9,3,4"), "points", "x,y;x,y"),
        (changed(POLYGON, points="1,1;9,nan;3,4"), "points", "finite"),
        (changed(POLYGON, points="1,1;9,1e309;3,4"), "points", "finite"),
        (changed(POLYGON, points="1,1;9,1_0;3,4"), "points", "finite"),
        (changed(POLYGON, points="1,1;9 8,1;3,4"), "points", "finite"),
        (changed(POLYGON, points="1,1;1e14,5;3,4"), "points", "longer"),
        (changed(POLYGON, points=""), "points", "x,y;x,y"),
        (changed(POLYGON, points="100,1;101,1;101,9"), "points", "outside"),
        (changed(POLYGON, label=" "), "label", "not a text"),
        (changed(POLYGON, label="x" * 81), "label", "80"),
        ('<polygon points="1,1;9,1;9,9"/>', "label", "not a text"),
        ('<polyline label="cow" points="1,1;9,9"/>', "", "polyline is no outline"),
        ('<points label="cow" points="1,1"/>', "", "points is no outline"),
        ('<skeleton label="cow"><points label="x" points="1,1"/></skeleton>', "", "skeleton"),
        ('<blob label="cow"/>', "", "no shape of CVAT"),
        ('<box label="cow" xtl="1" ytl="1" xbr="x" ybr="9"/>', "xbr", "finite"),
        ('<box label="cow" xtl="1" ytl="1" ybr="9"/>', "xbr", "missing"),
        ('<box label="cow" xtl="1" ytl="1" xbr="1" ybr="9"/>', "points", "no area"),
        ('<ellipse label="cow" cx="9" cy="9" rx="1e14" ry="9"/>', "points", "longer"),
        (changed(MASK, rle="0, 2, 1, 4"), "rle", "add up"),
        (changed(MASK, rle="0, 2, 1"), "rle", "add up"),
        (changed(MASK, rle="-2, 4, 1, 3"), "rle", "no list"),
        (changed(MASK, rle="1000000000000000000, 6"), "rle", "no list"),
        (changed(MASK, rle="1e309, 6"), "rle", "no list"),
        (changed(MASK, rle="0.5, 5.5"), "rle", "no list"),
        (changed(MASK, rle="6"), "rle", "no pixel"),
        (changed(MASK, rle=""), "rle", "add up"),
        (changed(MASK, width=10**12, height=10**12), "width", "does not fit"),
        (changed(MASK, width=0), "width", "does not fit"),
        (changed(MASK, left="x"), "left", "not an integer"),
        (changed(MASK, left=10**18), "rle", "outside"),
        ('<mask label="cow" rle="0, 1" left="0" top="0" width="1"/>', "height", "missing"),
    ],
)
def test_bad_shapes_cost_a_sentence_each(tmp_path: Path, shape: str, field: str, word: str) -> None:
    file = read(tmp_path, xml(POLYGON, shape, MASK))
    (image,) = file.images
    assert len(image.instances) == 2
    assert not image.complete
    (error,) = file.refused
    assert (error.index, error.field) == ("image 3, shape at position 1", field)
    assert word in error.sentence()


@pytest.mark.parametrize(
    ("keys", "word"),
    [
        ('name="../a.jpg" width="9" height="9"', "leads out"),
        ('name="C:\\a.jpg" width="9" height="9"', "leads out"),
        ('name="&#10;" width="9" height="9"', "not a text"),
        ('width="9" height="9"', "not a text"),
        ('name="b.jpg" height="9"', "missing"),
        ('name="b.jpg" width="9" height="0"', "cannot be"),
        ('name="b.jpg" width="90000" height="90000"', "cannot be"),
        ('name="b.jpg" width="9.5" height="9"', "not an integer"),
        ('name="a.jpg" width="60" height="40"', "same name"),
    ],
)
def test_bad_images_cost_a_sentence_each(tmp_path: Path, keys: str, word: str) -> None:
    content = xml(POLYGON).replace("</annotations>", f"<image {keys}>{MASK}</image></annotations>")
    file = read(tmp_path, content)
    assert [len(image.instances) for image in file.images] == [1]
    (error,) = file.refused
    assert word in error.sentence()


def test_what_leaves_the_image_is_cut_with_a_repair(tmp_path: Path) -> None:
    ring = changed(POLYGON, points="-5,5;25,5;25,25;-5,25")
    file = read(tmp_path, xml(ring, changed(MASK, left=-1, top=39)))
    assert file.refused == ()
    boxes = [geo.box_of_parts(one.parts) for one in file.images[0].instances]
    assert boxes == [(0, 5, 25, 20), (0, 39, 1, 1)]
    assert len(file.repaired) == 2


def test_a_broken_end_costs_what_comes_after_it(tmp_path: Path) -> None:
    more = xml(POLYGON).replace("</annotations>", '<image id="4" name="b.jpg" width="9" hei')
    file = read(tmp_path, more)
    assert [image.file_name for image in file.images] == ["a.jpg"]
    assert "broken at line 1" in file.refused[0].sentence()
    with pytest.raises(DataError, match="broken"):
        read(tmp_path, xml(POLYGON)[:80])


# --- hostile --------------------------------------------------------------------------------------

LAUGHS = "<!DOCTYPE x [<!ENTITY a 'ha'>" + "".join(
    f"<!ENTITY {chr(98 + k)} '{f'&{chr(97 + k)};' * 20}'>" for k in range(12)
)


@pytest.mark.parametrize(
    ("content", "word"),
    [
        ("", "broken"),
        ("annotations", "broken"),
        ("<labels/>", "not an XML file of CVAT"),
        ("<annotations><track id='0'/></annotations>", "CVAT for video"),
        (LAUGHS + "]><annotations>&m;</annotations>", "document type"),
        ("<!DOCTYPE x SYSTEM 'file:///etc/passwd'><annotations/>", "document type"),
        ("<!DOCTYPE x [<!ENTITY a SYSTEM 'file:///etc/passwd'>]><annotations/>", "document type"),
        ("<annotations>&a;</annotations>", "broken"),
        ("<annotations>" + "<a>" * 100_000, "nested too deep"),
        ("<annotations>" + "a" * 3_000_000, "too long"),
        ("<annotations><image name='" + "a" * 12_000_000, "more than 8 million"),
        ("<annotations><meta>" + "<label><name>%d</name></label>" * 10_001, "labels"),
        ("<?xml version='1.0' encoding='utf-7'?><annotations/>", "broken"),
        ("<?xml version='1.0' encoding='idna'?><annotations/>", "broken"),
        ("<?xml version='1.0' encoding='none'?><annotations/>", "broken"),
        (b"\xff\xd8\xff\xe0", "broken"),
        (b"\x00" * 100, "broken"),
    ],
)
def test_hostile_files_end_in_one_sentence(tmp_path: Path, content: str | bytes, word: str) -> None:
    if isinstance(content, str) and "%d" in content:
        content %= tuple(range(10_001))
    with pytest.raises(DataError, match=word) as caught, stuck_after():
        read(tmp_path, content)
    assert "\n" not in caught.value.sentence()


def test_limits_are_on_the_whole_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cvat_xml, "_MAX_SHAPES", 2)
    file = read(tmp_path, xml(POLYGON, POLYGON))
    assert len(file.images[0].instances) == 2
    with pytest.raises(DataError, match="more than 2 shapes"):
        read(tmp_path, xml(POLYGON, POLYGON, POLYGON))
    monkeypatch.setattr(cvat_xml, "_MAX_BYTES", 99)
    with pytest.raises(DataError, match="million bytes"):
        read(tmp_path, xml(POLYGON))


WORDS = st.sampled_from(
    ["", "0", "-1", "1e309", "nan", "9" * 400, "10e18", "../x", "cow", "0, 6", "1,1;9,1;9,9", "é"]
)
PLACES = ["left", "top", "width", "height", "xtl", "ytl", "xbr", "ybr", "cx", "cy", "rx", "ry"]
OTHERS = ["label", "points", "rle", "z_order", "group_id", "occluded", "source", "rotation"]
KEYS = st.sampled_from(PLACES + OTHERS)
TAGS = st.sampled_from(["polygon", "mask", "box", "ellipse", "tag", "points", "attribute", "x"])


@st.composite
def elements(draw: st.DrawFn) -> str:
    start = draw(st.sampled_from([POLYGON, MASK, f"<{draw(TAGS)} label='cow'/>"]))
    return changed(start, **draw(st.dictionaries(KEYS, WORDS, max_size=8)))


@given(st.lists(elements(), max_size=5), st.dictionaries(KEYS, WORDS, max_size=2))
@settings(max_examples=150, deadline=None)
def test_hostile_values_anywhere(
    tmp_path_factory: pytest.TempPathFactory, shapes: list[str], keys: dict[str, Any]
) -> None:
    image = changed("<image id='3' name='a.jpg' width='60' height='40'/>", **keys)[7:-3]
    folder = tmp_path_factory.mktemp("fuzz")
    read_or_refuse(lambda: read(folder, xml(*shapes, image=image, meta=META)))


@given(st.binary(max_size=40), st.integers(0, 900), st.integers(0, 3))
@settings(max_examples=100, deadline=None)
def test_damaged_files(tmp_path_factory: Any, data: bytes, place: int, lost: int) -> None:
    good = xml(POLYGON, MASK, meta=META).encode()
    folder = tmp_path_factory.mktemp("fuzz")
    for content in (good[:place], good[:place] + data + good[place + lost :]):
        read_or_refuse(lambda content=content: read(folder, content))
