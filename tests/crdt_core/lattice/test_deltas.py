"""Deltas and patches are plain values: equal by content, unchangeable, and addressed by key, type and part."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest

from crdt_core.lattice.clocks import Dot, Stamp, VersionVector
from crdt_core.lattice.deltas import Delta, Patch, PatchPart, Write

NOW = Stamp(1, 0)


def test_a_write_and_a_part_of_a_patch_begin_with_their_address() -> None:
    address = (b"fruit", "orset", b"apple")
    assert Write(*address, True)[:3] == PatchPart(*address, {Dot("n1", 1): True})[:3] == address
    assert Write(b"fruit", "orset", None, None).part is None, "the part of a clear"


def test_deltas_and_patches_are_equal_by_content_and_cannot_be_changed() -> None:
    write = Write(b"fruit", "orset", b"apple", True)
    delta, same = (Delta(Dot("n1", 2), VersionVector(n1=1), NOW, (write,)) for _ in range(2))
    assert delta == same
    patch, equal = (Patch("n1", None, VersionVector(n1=2), VersionVector(), NOW, ()) for _ in range(2))
    assert patch == equal
    for value, field in ((delta, "dot"), (patch, "clock")):
        with pytest.raises(FrozenInstanceError):
            setattr(value, field, None)
