"""What a node that is added is given beside what it was told."""

from __future__ import annotations

import pytest

from workers.config.fleet_file import resp_beside, section_of
from workers.config.settings import NodeSettings

REDIS = "redis://127.0.0.1/0"


def node(grpc: str, resp: str | None) -> NodeSettings:
    return NodeSettings(grpc=grpc, resp=resp, redis=REDIS)


@pytest.mark.parametrize(
    ("others", "grpc", "resp"),
    [
        ([("[::1]:7101", "[::1]:7201"), ("[::1]:7102", "[::1]:7202")], "[::1]:7106", "[::1]:7206"),
        ([("paris:7101", "paris:6379"), ("osaka:7101", "osaka:6379")], "lima:7101", "lima:6379"),
        ([("replica-n1:7101", "0.0.0.0:7201"), ("replica-n2:7102", "0.0.0.0:7202")], "replica-n3:7103", "0.0.0.0:7203"),
        ([("127.0.0.1:7101", "127.0.0.1:7201")], "127.0.0.1:7102", "127.0.0.1:7202"),
        ([("127.0.0.1:7101", None)], "127.0.0.1:7106", None),
        ([("127.0.0.1:7101", "127.0.0.1:7201"), ("127.0.0.1:7102", None)], "127.0.0.1:7106", None),
        ([("127.0.0.1:7101", "127.0.0.1:7201"), ("127.0.0.1:7102", "127.0.0.1:9000")], "127.0.0.1:7106", None),
        ([("127.0.0.1:7101", "127.0.0.1:7201")], "127.0.0.1:65500", None),
    ],
)  # fmt: skip
def test_a_node_speaks_the_redis_protocol_where_the_others_do(
    others: list[tuple[str, str | None]], grpc: str, resp: str | None
) -> None:
    assert resp_beside([node(*other) for other in others], grpc) == resp


def test_the_section_of_a_node_names_all_of_its_addresses() -> None:
    section = section_of("n6", node("127.0.0.1:7106", "127.0.0.1:7206"))
    assert section.splitlines() == [
        "[nodes.n6]",
        'grpc = "127.0.0.1:7106"',
        'resp = "127.0.0.1:7206"',
        f'redis = "{REDIS}"',
    ]
