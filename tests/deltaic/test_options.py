"""A client's settings, and what is no setting."""

from __future__ import annotations

import math

import pytest

from deltaic import ClientOptions, InvalidArgument


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("reply_timeout_s", 0),
        ("deadline_s", -1.0),
        ("connect_timeout_s", math.inf),
        ("backoff_max_s", math.nan),
        ("await_timeout_s", "1"),
        ("connections_max", 0),
        ("connections_max", 1.5),
        ("connections_max", True),
    ],
)
def test_a_bad_value_is_named(name: str, value: object) -> None:
    with pytest.raises(InvalidArgument, match=name):
        ClientOptions(**{name: value})


def test_a_node_must_be_able_to_say_that_it_lacks_something() -> None:
    with pytest.raises(InvalidArgument, match="await_timeout_s"):
        ClientOptions(reply_timeout_s=1, await_timeout_s=1)


def test_the_defaults_are_in_order() -> None:
    options = ClientOptions()
    assert options.connect_timeout_s < options.reply_timeout_s < options.deadline_s
