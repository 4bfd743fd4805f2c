"""What a session remembers without asking anybody."""

from __future__ import annotations

import pytest

from deltaic import Client, InvalidArgument, Token
from tests.deltaic.scripted import token_of


@pytest.fixture
def session() -> Client:
    return Client("redis://127.0.0.1:1")


def test_a_new_session_has_seen_nothing(session: Client) -> None:
    assert session.token() == Token()
    assert session.node is None


@pytest.mark.parametrize("form", [lambda token: token, str, lambda token: str(token).encode()])
def test_tokens_are_taken_in_every_form(session: Client, form) -> None:
    session.read_after(form(token_of(n1=3)))
    session.read_after(form(token_of(n1=2, n2=1)))
    assert session.token() == token_of(n1=3, n2=1)


def test_text_that_is_no_token_is_refused(session: Client) -> None:
    with pytest.raises(InvalidArgument, match="token"):
        session.read_after("no token")


def test_other_sessions_of_a_client_are_apart(session: Client) -> None:
    other = session.session(token_of(n1=3))
    assert other.token() == token_of(n1=3)
    assert session.token() == Token()
    other.forget()
    assert other.token() == Token()
