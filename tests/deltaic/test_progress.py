"""What a session has seen, and which nodes are known to have seen as much."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from deltaic.errors import InvalidArgument
from deltaic.progress import Progress
from deltaic.tokens import Token
from tests.deltaic.scripted import token_of


def reply(**clock: int) -> bytes:
    return str(token_of(**clock)).encode()


def test_one_who_has_seen_nothing_may_use_any_node() -> None:
    assert Progress(Token()).is_met_by("n1")


def test_a_reply_tells_what_the_session_and_the_node_have_seen() -> None:
    progress = Progress(Token())
    progress.saw("n1", reply(n1=3))
    assert progress.token == token_of(n1=3)
    assert progress.is_met_by("n1")
    assert not progress.is_met_by("n2")


def test_a_node_that_reached_the_token_will_do_until_the_session_has_seen_more_elsewhere() -> None:
    progress = Progress(token_of(n1=3))
    progress.reached("n2", token_of(n1=3))
    assert progress.is_met_by("n2")
    progress.saw("n1", reply(n1=4))
    assert not progress.is_met_by("n2")


def test_replies_that_overtake_each_other_take_nothing_back() -> None:
    progress = Progress(Token())
    progress.saw("n1", reply(n1=4))
    progress.saw("n1", reply(n1=3))
    assert progress.token == token_of(n1=4)
    assert progress.is_met_by("n1")


def test_a_node_that_was_lost_is_not_believed_any_more() -> None:
    progress = Progress(Token())
    progress.saw("n1", reply(n1=3))
    progress.lost_sight_of("n1")
    assert not progress.is_met_by("n1")
    progress.saw("n1", reply(n1=3))
    assert progress.is_met_by("n1")


def test_forgetting_begins_anew() -> None:
    progress = Progress(token_of(n1=3))
    progress.forget()
    assert not progress.token
    assert progress.is_met_by("n2")


def test_a_reply_that_is_no_token_is_an_error() -> None:
    with pytest.raises(InvalidArgument):
        Progress(Token()).saw("n1", b"OK")


def test_threads_lose_nothing_of_what_each_other_has_seen() -> None:
    progress = Progress(Token())
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: progress.must_see(token_of(**{f"n{number}": number})), range(1, 101)))
    assert progress.token == token_of(**{f"n{number}": number for number in range(1, 101)})
