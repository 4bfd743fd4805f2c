"""What the payloads and parts of several types are made of."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import strategies as st

from crdt_core.lattice.siblings import ObservedReset
from crdt_core.types.counters import Share, share_of
from crdt_core.types.registers import Stamped

__all__ = ["BYTES", "ELEMENTS", "ENCODED_NAMES", "NAMES", "STAMPED", "float_shares", "shares"]

NAMES = ("n1", "n2", "n3", "n4", "n5")
ENCODED_NAMES = tuple(name.encode() for name in NAMES)
ELEMENTS = (b"a", b"b", b"\xfe")

BYTES = st.one_of(st.binary(max_size=8), st.text(max_size=8).map(str.encode))
STAMPED = st.builds(Stamped, BYTES, st.integers(-(2**63), 2**63 - 1), st.integers(0, 2**63 - 1))

_TOTALS_MAX = 10**39
_TOTALS = st.one_of(st.integers(0, 20), st.sampled_from([2**63 - 1, 2**63, 2**64, _TOTALS_MAX]))


def shares(decrements: st.SearchStrategy[int] = _TOTALS) -> st.SearchStrategy[Share | ObservedReset]:
    """Shares with a base that is no larger than they are, and observed resets."""
    share = st.builds(
        lambda n, m, base_n, base_m: Share(n + base_n, m + base_m, base_n, base_m),
        _TOTALS.filter(lambda total: total < _TOTALS_MAX),
        decrements.filter(lambda total: total < _TOTALS_MAX),
        _TOTALS,
        decrements,
    )
    return st.one_of(share, st.builds(ObservedReset, _TOTALS, decrements))


_FLOAT_TOTALS = st.one_of(
    _TOTALS,
    st.builds(Fraction, st.integers(0, 2**70), st.sampled_from([1, 2, 2**64, 2**120])),
    st.sampled_from([2**140, 2**16384 - 2**16320]),
)


def float_shares() -> st.SearchStrategy[Share | ObservedReset]:
    """Shares, and observed resets, of totals that INCRBYFLOAT leads to."""
    share = st.builds(
        lambda n, m, base_n, base_m: share_of(n + base_n, m + base_m, base_n, base_m), *[_FLOAT_TOTALS] * 4
    )
    reset = st.builds(lambda n, m: ObservedReset(*share_of(n, m, 0, 0)[:2]), _FLOAT_TOTALS, _FLOAT_TOTALS)
    return st.one_of(share, reset)
