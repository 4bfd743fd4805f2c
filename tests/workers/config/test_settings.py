"""The settings themselves: frozen, described, and whole."""

from __future__ import annotations

import pytest
from pydantic import BaseModel, ValidationError

from crdt_core.errors import UnknownNode
from workers.config.settings import FleetSettings, NodeSettings, PolicySettings

NODE = NodeSettings(grpc="127.0.0.1:7101", redis="redis://127.0.0.1:7000/0")
SECTIONS: list[type[BaseModel]] = [NodeSettings, PolicySettings]
SECTIONS += [
    type(field.default) for field in FleetSettings.model_fields.values() if isinstance(field.default, BaseModel)
]


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.__name__)
def test_every_setting_is_described_and_every_section_refuses_unknown_ones(section: type[BaseModel]) -> None:
    assert section.__doc__
    for name, field in section.model_fields.items():
        assert field.description, f"{section.__name__}.{name}"
    with pytest.raises(ValidationError):
        section(**{"no_such_setting": 1, **NODE.model_dump()})


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError):
        NODE.grpc = "127.0.0.1:7102"  # type: ignore[misc]


def test_a_node_listens_at_its_bind_address_and_is_reached_at_the_other() -> None:
    node = NodeSettings(grpc="n1.example:7101", bind="0.0.0.0:7101", resp="0.0.0.0:7201", redis="redis://n1")
    assert node.bind_address == "0.0.0.0:7101"
    assert node.listens_at == {"bind": "0.0.0.0:7101", "resp": "0.0.0.0:7201"}
    assert NODE.listens_at == {"grpc": "127.0.0.1:7101"}


def test_jobs_are_in_the_node_s_own_redis_unless_it_says_otherwise() -> None:
    assert NODE.jobs_url == NODE.redis
    elsewhere = NodeSettings(grpc="n1:7101", redis="redis://n1", jobs="redis://jobs")
    assert elsewhere.jobs_url == "redis://jobs"


def test_nodes_are_found_by_name() -> None:
    fleet = FleetSettings(nodes={"n1": NODE, "n2": NODE})
    assert fleet.node("n2") is fleet.nodes["n2"]
    assert list(fleet.peers_of("n1")) == ["n2"]
    with pytest.raises(UnknownNode, match="unknown node 'n9'; this fleet has n1, n2"):
        fleet.node("n9")
