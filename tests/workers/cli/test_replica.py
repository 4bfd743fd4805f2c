"""`deltaic replica`: its options reach the worker, and what cannot run says so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from crdt_core.errors import UnknownNode
from crdt_core.membership.evidence import OperatorOverride
from tests.workers.cli.invoking import invoke
from workers.cli import replica as module

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("usual_logging")


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What the worker would have been run with."""
    found: list[dict[str, Any]] = []

    async def run_worker(settings: Any, name: str, **options: Any) -> None:
        found.append({"nodes": list(settings.nodes), "name": name, **options})

    monkeypatch.setattr(module, "run_worker", run_worker)
    return found


def test_the_options_reach_the_worker(nobody: Path, ran: list[dict[str, Any]]) -> None:
    invoke(nobody, "replica", "n2")
    invoke(nobody, "replica", "n2", "--takeover", "--trust-redis", "--log-level", "error")
    invoke(nobody, "replica", "n2", "--unsponsored")
    assert ran == [
        {"nodes": ["n1", "n2", "n3"], "name": "n2", "takeover": takeover, "override": OperatorOverride(*override)}
        for takeover, override in ((False, ()), (True, (True, False)), (False, (False, True)))
    ]


def test_every_level_of_the_log_is_offered_once(nobody: Path, ran: list[dict[str, Any]]) -> None:
    refused = invoke(nobody, "replica", "n2", "--log-level", "loud")
    assert refused.exit_code == 2
    assert "'debug', 'info', 'warning', 'error'" in refused.output
    assert ran == []


def test_a_node_that_the_fleet_does_not_know_does_not_run(nobody: Path) -> None:
    assert isinstance(invoke(nobody, "replica", "n9").exception, UnknownNode)
