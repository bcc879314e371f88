"""Categories: added, renamed, recolored and merged at any time; their COCO ids never change."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, func, insert, or_, select, update

from data_io.errors import DataError
from data_io.store import codec, schema
from data_io.store.codec import new_id
from data_io.store.database import Database
from data_io.types import Category

NAME_LENGTH = 80
# Okabe and Ito's qualitative colors, without black: told apart under the common color deficiencies.
PALETTE = ("#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7")
_COLOR = re.compile(r"#[0-9a-f]{6}")
_table = schema.categories


def clean_name(name: str) -> str:
    """The name as it is stored: stripped, Unicode NFC.

    Raises:
        DataError: empty, longer than 80 characters or holding control characters.
    """
    clean = unicodedata.normalize("NFC", str(name)).strip()
    if not 1 <= len(clean) <= NAME_LENGTH:
        why = f"a category name has 1 to {NAME_LENGTH} characters, this one {len(clean)}"
        raise DataError("category", why, "choose another name", field="name")
    if any(unicodedata.category(letter).startswith("C") for letter in clean):
        why = "a category name cannot hold control characters"
        raise DataError(f"category {clean!r}", why, "type the name again", field="name")
    return clean


def _clean_color(color: str) -> str:
    clean = str(color).strip().lower()
    if not _COLOR.fullmatch(clean):
        raise DataError("category", f"{color!r} is no color", "write #rrggbb", field="color")
    return clean


def _free_color(taken: list[str]) -> str:
    """The palette color used least often, the earliest of equals."""
    return min(PALETTE, key=taken.count)


def merged_map(connection: Connection) -> dict[str, str]:
    """Merged category id -> the category that took it over (never itself a merged one)."""
    rows = connection.execute(
        select(_table.c.id, _table.c.merged_into).where(_table.c.merged_into.is_not(None))
    )
    return {row.id: row.merged_into for row in rows}


def category_rows(connection: Connection) -> list[Category]:
    """Live categories in the order they were added."""
    rows = connection.execute(
        select(_table).where(_table.c.merged_into.is_(None)).order_by(_table.c.coco_id)
    )
    return [
        Category(row.id, row.name, row.color, row.coco_id, codec.extras_of_text(row.extras))
        for row in rows
    ]


def require_categories(connection: Connection, ids: set[str], what: str) -> None:
    """Refuse category ids that the project does not know (merged ones are known).

    Raises:
        DataError: the first unknown id.
    """
    unknown = ids - set(connection.execute(select(_table.c.id)).scalars())
    if unknown:
        why = f"category {min(unknown)!r} is not in this project"
        raise DataError(what, why, "add the category first", field="category")


def _live(connection: Connection, category: str) -> Category:
    found = {one.id: one for one in category_rows(connection)}.get(category)
    if found is None:
        raise DataError(f"category {category}", "is not in this project", "reload the categories")
    return found


def _completed(connection: Connection, known: Category, extras: Mapping[str, Any]) -> Category:
    """A known category, given the extras of a file where it has none of its own."""
    if known.extras or not extras:
        return known
    text = codec.extras_to_text(extras, f"category {known.name}")
    connection.execute(update(_table).where(_table.c.id == known.id).values(extras=text))
    return replace(known, extras=dict(extras))


class Categories(Database):
    """The classes the user labels."""

    def categories(self) -> list[Category]:
        """Live categories in the order they were added; merged ones are gone from it."""
        with self._read() as connection:
            return category_rows(connection)

    def merged_categories(self) -> dict[str, str]:
        """Merged category id -> id of the live category that took it over."""
        with self._read() as connection:
            return merged_map(connection)

    def category_names(self) -> dict[str, str]:
        """Category id -> name; a merged id, which older versions predict, has its target's."""
        with self._read() as connection:
            names = {one.id: one.name for one in category_rows(connection)}
            merged = merged_map(connection)
        return {**names, **{id: names[target] for id, target in merged.items()}}

    def add_category(
        self, name: str, color: str | None = None, extras: Mapping[str, Any] | None = None
    ) -> Category:
        """Add a category, or return the one that has this name already.

        Args:
            name: 1 to 80 characters after stripping.
            color: ``#rrggbb``; None takes the next color of the palette.
            extras: unknown COCO keys; a category that has some keeps its own.

        Raises:
            DataError: a name or color that cannot be used.
        """
        clean = clean_name(name)
        chosen = None if color is None else _clean_color(color)
        with self._write() as connection:
            live = category_rows(connection)
            for one in live:
                if one.name == clean:
                    return _completed(connection, one, extras or {})
            highest = connection.execute(select(func.max(_table.c.coco_id))).scalar()
            color = chosen or _free_color([one.color for one in live])
            added = Category(new_id(), clean, color, (highest or 0) + 1, dict(extras or {}))
            connection.execute(
                insert(_table).values(
                    id=added.id,
                    name=added.name,
                    color=added.color,
                    coco_id=added.coco_id,
                    extras=codec.extras_to_text(added.extras, f"category {clean}"),
                )
            )
            return added

    def rename_category(self, id: str, name: str) -> Category:
        """Give a category another name; every revision shows it at once.

        Raises:
            DataError: unknown category, unusable name, or a name another category has.
        """
        clean = clean_name(name)
        with self._write() as connection:
            old = _live(connection, id)
            if any(one.name == clean and one.id != id for one in category_rows(connection)):
                why = "another category has this name"
                remedy = "merge the two or choose another name"
                raise DataError(f"category {clean!r}", why, remedy, field="name")
            connection.execute(update(_table).where(_table.c.id == id).values(name=clean))
            return replace(old, name=clean)

    def recolor_category(self, id: str, color: str) -> Category:
        """Give a category another color, ``#rrggbb``.

        Raises:
            DataError: unknown category or no color.
        """
        clean = _clean_color(color)
        with self._write() as connection:
            old = _live(connection, id)
            connection.execute(update(_table).where(_table.c.id == id).values(color=clean))
            return replace(old, color=clean)

    def merge_categories(self, source: str, target: str) -> Category:
        """Make everything labeled `source` read as `target`; no revision is rewritten.

        Returns:
            The target category.

        Raises:
            DataError: an unknown category, or a category merged into itself.
        """
        if source == target:
            remedy = "choose two different ones"
            raise DataError(f"category {source}", "cannot be merged into itself", remedy)
        with self._write() as connection:
            _live(connection, source)
            kept = _live(connection, target)
            # Older merges into `source` move along, so a lookup never needs two steps.
            connection.execute(
                update(_table)
                .where(or_(_table.c.id == source, _table.c.merged_into == source))
                .values(merged_into=target)
            )
            return kept
