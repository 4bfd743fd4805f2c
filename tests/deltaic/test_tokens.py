"""Tokens as texts, as what has been seen, and as what is no token."""

from __future__ import annotations

from base64 import urlsafe_b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deltaic import InvalidArgument, Token
from tests.deltaic.scripted import token_of

CLOCKS = st.dictionaries(st.sampled_from(["n1", "n2", "n3.2", "eu-west_1"]), st.integers(1, 2**40))


def made(clock: dict[str, int]) -> Token:
    return token_of(**clock)


@given(CLOCKS)
def test_the_text_is_read_back(clock: dict[str, int]) -> None:
    token = made(clock)
    assert Token.parse(str(token)) == token
    assert hash(Token.parse(str(token))) == hash(token)
    assert bool(token) is bool(clock)


@given(CLOCKS, CLOCKS)
def test_what_is_merged_is_the_least_that_covers_both(one: dict[str, int], other: dict[str, int]) -> None:
    merged = made(one).merged(made(other))
    assert merged.covers(made(one))
    assert merged.covers(made(other))
    assert merged == made(other).merged(made(one))
    assert merged == made({replica: max(one.get(replica, 0), other.get(replica, 0)) for replica in one | other})


@pytest.mark.parametrize(
    "text", ["", "x", "OK", "e30", urlsafe_b64encode(b"[1]"), urlsafe_b64encode(b'{"n1":0}'), "ü", b"\xff", "{}"]
)
def test_what_is_no_token(text: str | bytes) -> None:
    with pytest.raises(InvalidArgument, match="no token"):
        Token.parse(text)


def test_a_token_is_shown_to_people_as_what_it_names() -> None:
    assert repr(token_of(n2=1, n1=4)) == "Token(n1:4 n2:1)"
