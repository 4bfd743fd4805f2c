"""A proof: compares what the store holds with the replica in memory, some records at a time, while both go on changing.

The store may lose records, or a stranger may change them, and no commit notices. A proof begins before the store is
asked. It leaves out what a commit had under way then, and what has changed since. Of everything else, the store must
hold exactly what memory says.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from crdt_core.codec.records import STATE, Record, object_hashes, object_record, part_record, parts_hash

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from crdt_core.replica.catalogue import Catalogue

__all__ = ["CATALOGUE", "Proof", "Shelf", "collections_of", "fields_of", "hash_of", "record_of"]


class Shelf(NamedTuple):
    """One hash of the store: that of the parts of a collection, or `CATALOGUE`."""

    key: bytes
    type_name: str


CATALOGUE = Shelf(b"", "")
"""The hash that lists all objects: its fields are their keys."""


class Proof:
    """What memory knows of the stored records of `catalogue`, from the making of the proof until its `end`."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._changed = catalogue.watch()
        self._unconfirmed = set(catalogue.in_flight)
        self._unconfirmed_keys = set(catalogue.keys_in_flight)

    def end(self) -> None:
        """Stop observing what changes. Idempotent."""
        self._catalogue.unwatch(self._changed)

    def wrong(self, shelf: Shelf, found: Iterable[tuple[bytes, bytes | None]]) -> list[bytes]:
        """Return the fields of `shelf` that do not hold what memory says. `None` stands for a field without a value."""
        if shelf is CATALOGUE:
            touched = self._unconfirmed_keys | {key for key, _, _ in (*self._changed, *self._unconfirmed)}
        else:
            touched = {part for *of, part in (*self._changed, *self._unconfirmed) if tuple(of) == shelf and part}
        wrong = []
        for field, value in found:
            record = record_of(self._catalogue, shelf, field) if field not in touched else None
            if record is not None and record.value != value:
                wrong.append(field)
        return wrong

    def has_other_size(self, shelf: Shelf, size: int) -> bool:
        """Return whether `size` is not the number of fields of `shelf`; false if that may have just changed."""
        touched = (*self._changed, *self._unconfirmed)
        if shelf is CATALOGUE:
            return not touched and not self._unconfirmed_keys and size != len(self._catalogue.heads)
        found = self._catalogue.find(*shelf)
        return all(key != shelf.key for key, _, _ in touched) and size != (found.size if found else 0)


def collections_of(catalogue: Catalogue, key: bytes) -> list[Shelf]:
    """Return the hashes of the collections under `key`."""
    head = catalogue.heads.get(key)
    return [Shelf(key, object_.type.name) for object_, _ in object_hashes(head)] if head is not None else []


def fields_of(catalogue: Catalogue, shelf: Shelf) -> Iterator[bytes]:
    """Iterate over the fields that `shelf` should have. Those that come or go meanwhile are left out, or not."""
    if shelf is CATALOGUE:
        return catalogue.heads.walk()
    found = catalogue.find(*shelf)
    return found.walk() if found is not None else iter(())


def hash_of(catalogue: Catalogue, shelf: Shelf) -> bytes | None:
    """Return the name of the hash; `None` for a collection that is gone."""
    if shelf is CATALOGUE:
        return STATE
    found = catalogue.find(*shelf)
    return parts_hash(catalogue.heads[shelf.key], found) if found is not None else None


def record_of(catalogue: Catalogue, shelf: Shelf, field: bytes) -> Record | None:
    """Return the record that persists `field` of `shelf` as memory has it; `None` if the collection is gone.

    A record without a value removes the field.
    """
    if shelf is CATALOGUE:
        head = catalogue.heads.get(field)
        return Record(STATE, field, None) if head is None else object_record(head, catalogue.replica_index)
    found = catalogue.find(*shelf)
    return part_record(catalogue.heads[shelf.key], found, field, catalogue.replica_index) if found else None
