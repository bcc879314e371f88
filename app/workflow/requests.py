"""What a request asks to store, and whether an earlier copy of it has stored that already.

A browser that never got the reply repeats its request as it was. It must learn whether the first
copy was stored, also when others have saved since: without that, a merge cannot tell an animal
somebody else deleted from one that never arrived.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from app.workflow.client import instances_of_client, rejected_of_client, same_shape
from app.workflow.views import View
from data_io.errors import DataError
from data_io.store import Store
from data_io.types import Instance


def received(
    store: Store, seen: View, base: int, body: Mapping[str, Any]
) -> tuple[tuple[Instance, ...], tuple[str, ...]]:
    """Instances and deletions after this request; what the body leaves out stays as it was.

    An instance may be sent as its id alone: it is as in revision `base`.
    """
    rejected = tuple(dict.fromkeys((*seen.rejected, *rejected_of_client(body.get("rejected")))))
    if body.get("instances") is None:
        return seen.instances, rejected
    # A tab opened, or an edit undone, from before a merge still names the merged category.
    categories = {category.id: category.id for category in store.categories()}
    categories |= store.merged_categories()
    stood = seen.revision if seen.number == base else store.revision(seen.record.id, base)
    kept = {one.id: one for one in stood.instances} if stood else {}
    sent = body["instances"]
    return instances_of_client(sent, seen.record, seen.known, categories, kept), rejected


def made_from(store: Store, seen: View, base: int, author: str) -> View | None:
    """The image as revision `base` + 1 left it, if `author` made that; None otherwise.

    A request from `base` can be stored as this revision only, so it tells the fate of a request
    whose reply got lost.
    """
    if seen.number <= base:
        return None
    newest = seen.number == base + 1
    made = seen.revision if newest else store.revision(seen.record.id, base + 1)
    if made is None or made.author != author:
        return None
    return replace(seen, revision=made)


def holds(store: Store, seen: View, base: int, body: Mapping[str, Any]) -> bool:
    """True when the revision seen is what a save from `base` with this body would store."""
    with suppress(DataError):  # what fits no revision was never stored
        return is_as_seen(seen, *received(store, seen, base, body))
    return False


def is_as_seen(seen: View, instances: Sequence[Instance], rejected: Sequence[str]) -> bool:
    """True when storing these would add nothing to the revision seen."""
    return tuple(rejected) == seen.rejected and same_instances(instances, seen.instances)


def holds_answer(store: Store, made: View, base: int, body: Mapping[str, Any]) -> bool:
    """True when revision `made` is what was sent from `base`, then adopted proposals."""
    try:
        instances, rejected = received(store, made, base, body)
    except DataError:  # see `holds`
        return False
    kept, adopted = made.instances[: len(instances)], made.instances[len(instances) :]
    if rejected != made.rejected or not same_instances(instances, kept):
        return False
    before = store.revision(made.record.id, base)
    old = {one.id for one in before.instances} if before else set()
    return all(one.source == "model" and one.id not in old for one in adopted)


def same_instances(some: Sequence[Instance], others: Sequence[Instance]) -> bool:
    """True when both hold the same instances in the same order."""
    return len(some) == len(others) and all(
        a.id == b.id and same_shape(a, b) and dict(a.attributes) == dict(b.attributes)
        for a, b in zip(some, others, strict=True)
    )
