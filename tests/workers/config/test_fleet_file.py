"""The section of a node that is added: its addresses, its place in the file, and files that are left alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from crdt_core.errors import SettingsError
from workers.config.fleet_file import add_section, resp_beside, section_of
from workers.config.loading import PACKAGED_FILE, load_settings
from workers.config.settings import NodeSettings

if TYPE_CHECKING:
    from pathlib import Path

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


FILE = f'# the first line\n[nodes.n1]\ngrpc = "127.0.0.1:7101"\nredis = "{REDIS}"  # kept'


def test_a_section_is_added_at_the_end_and_the_rest_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "fleet.toml"
    path.write_text(FILE)
    assert add_section(path, "n6", node("127.0.0.1:7106", None)) == path
    assert path.read_text().startswith(FILE + "\n\n[nodes.n6]\n")
    assert list(load_settings(path).nodes) == ["n1", "n6"]


def test_the_packaged_file_is_copied_and_not_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    before = PACKAGED_FILE.read_bytes()
    changed = add_section(PACKAGED_FILE, "n6", node("127.0.0.1:7106", None))
    assert PACKAGED_FILE.read_bytes() == before
    assert changed.absolute() == tmp_path / "deltaic.toml"
    assert list(load_settings(changed).nodes) == ["n1", "n2", "n3", "n4", "n5", "n6"]


def test_a_file_that_cannot_be_changed_is_left_and_the_lines_are_shown(tmp_path: Path) -> None:
    path = tmp_path / "fleet.toml"
    path.write_text(FILE.replace("n1", "n6"))
    with pytest.raises(SettingsError, match=r"cannot be changed .*\[nodes\.n6\]; grpc = \"127\.0\.0\.1:7106\""):
        add_section(path, "n6", node("127.0.0.1:7106", None))
    assert path.read_text() == FILE.replace("n1", "n6")
