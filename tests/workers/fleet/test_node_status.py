"""The status of one node: when it is up, when it waits, and when it takes part."""

from __future__ import annotations

from crdt_core.types.members import Standing
from workers.config.settings import NodeSettings
from workers.fleet.node_status import NodeStatus

SETTINGS = NodeSettings(grpc="h:1", redis="redis://h")


def test_a_node_is_up_while_its_heartbeat_is_fresh_or_it_answers() -> None:
    assert not NodeStatus("n1", SETTINGS).up
    assert NodeStatus("n1", SETTINGS, beat_age_ms=2999).up
    assert not NodeStatus("n1", SETTINGS, beat_age_ms=3000).up
    assert NodeStatus("n1", SETTINGS, beat_age_ms=60_000, serving=True).up


def test_only_a_worker_that_runs_and_does_not_serve_waits() -> None:
    said = {"waits": "for n2"}
    assert NodeStatus("n1", SETTINGS, beat_age_ms=0, heartbeat=said).waits == "for n2"
    assert NodeStatus("n1", SETTINGS, beat_age_ms=9000, heartbeat=said).waits is None
    assert NodeStatus("n1", SETTINGS, serving=True, heartbeat=said).waits is None


def test_a_node_takes_part_while_its_id_is_active() -> None:
    assert NodeStatus("n1", SETTINGS).takes_part
    assert not NodeStatus("n1", SETTINGS, standing=Standing.LEAVING).takes_part
    assert not NodeStatus("n1", SETTINGS, standing=None).takes_part
