"""Data of 0.1.0 under the present code: it loads, reads as it did, and its nodes go on from there.

The data and the answers of 0.1.0 come from `tests.fixtures.make_0_1_0`. A failure names each key and question whose
answer has changed.
"""

from __future__ import annotations

import json
import os
import subprocess
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest
from rq.job import Job, JobStatus
from rq.serializers import JSONSerializer

from tests.command import Command
from tests.fleet import Fleet
from tests.support import DELTAIC, wait_until
from tests.upgrade.answers import about_keys, differences, keys_of
from tests.upgrade.stored import FIXTURE, NODES, SETTINGS, answers_of, copied, decoded, recorded
from tests.upgrade.versions import failure_of
from tests.workers.resp.raw import Raw
from workers import jobs
from workers.config.loading import load_settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

THEN = recorded()
KEYS = [decoded(entry["key"]) for entry in THEN["n1"]["keys"]]
ENDED = {JobStatus.FINISHED, JobStatus.FAILED}


def assert_same(then: Any, now: Any) -> None:
    found = differences(then, now)
    assert not found, f"{len(found)} answers have changed since 0.1.0:\n" + "\n".join(found)


@pytest.fixture
def fleet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Fleet]:
    """Nodes that go on from a copy of the data."""
    with copied(tmp_path) as fleet:
        monkeypatch.setenv("DELTAIC_FILE", str(tmp_path / "fleet.toml"))
        yield fleet


def heal(fleet: Fleet) -> None:
    for node in fleet.nodes.values():
        node.heal()
    fleet.sync_all()
    fleet.agree()


# Loading


def test_every_node_answers_as_it_did_and_all_agree_on_what_they_agreed_on_under_0_1_0(fleet: Fleet) -> None:
    """Their keys with the writes behind them, their ids, clocks, digests and links, and what they know of members."""
    assert_same({name: THEN[name] for name in NODES}, {name: answers_of(fleet, name, KEYS) for name in NODES})
    heal(fleet)
    assert_same(THEN["healed"], answers_of(fleet, "n1", KEYS))
    for name in ("n2", "n3"):
        assert_same(THEN["healed"]["keys"], about_keys(fleet[name].resp_port, KEYS))


# Going on


def write_everywhere(fleet: Fleet, name: str) -> None:
    """Writes to every key, as fits its type."""
    port = fleet[name].resp_port
    mark = f"added by {name}".encode()
    with Raw(port) as client:
        for key in keys_of(port):
            type_ = client.call(b"TYPE", key)
            if type_ == b"set":
                replies = [client.call(b"SADD", key, mark)]
            elif type_ == b"hash":
                replies = [client.call(b"HSET", key, mark, b"v"), client.call(b"HINCRBY", key, b"counted by all", b"1")]
            elif type_ == b"ewflag":
                replies = [client.call(b"DELTAIC.EWENABLE", key)]
            elif type_ == b"dwflag":
                replies = [client.call(b"DELTAIC.DWDISABLE", key)]
            elif client.call(b"GET", key).lstrip(b"-").isdigit():
                replies = [client.call(b"INCRBY", key, b"1")]
            else:
                replies = [client.call(b"DELTAIC.MVSET", key, mark)]
            assert not [reply for reply in replies if isinstance(reply, Exception)], (key, replies)


def test_nodes_write_on_part_agree_and_finish_what_0_1_0_has_begun(fleet: Fleet) -> None:
    heal(fleet)
    before = about_keys(fleet["n1"].resp_port, KEYS)
    fleet.cut(["n1"], ["n2", "n3"])
    for name in ("n1", "n2"):
        write_everywhere(fleet, name)
    heal(fleet)
    after = about_keys(fleet["n1"].resp_port, KEYS)
    for name in ("n2", "n3"):
        assert_same(after, about_keys(fleet[name].resp_port, KEYS))
    for was, entry in zip(before, after, strict=True):
        assert_both_wrote(was, entry)

    fold_and_forget(fleet)
    assert "n2" not in fleet["n1"].clock()
    answers = answers_of(fleet, "n1", KEYS)
    siblings = {
        payload
        for entry in answers["keys"]
        for _type, _part, writes in entry["DELTAIC.SIBLINGS"]
        for payload in writes[1::2]
    }
    assert not {"null", "false"} & siblings, "removals that everybody has seen"
    for node in fleet.nodes.values():
        assert node.stop() == 0
    for node in fleet.nodes.values():
        node.start()
    for node in fleet.nodes.values():
        node.wait_until_serving()
    assert_same(answers, answers_of(fleet, "n1", KEYS))


def assert_both_wrote(was: dict[str, Any], entry: dict[str, Any]) -> None:
    """What n1 and n2 have written concurrently shows, as the type of the key has it."""
    if was["TYPE"] == "set":
        assert all(member in entry["SMEMBERS"] for member in ("added by n1", "added by n2")), entry
    elif was["TYPE"] == "hash":
        assert ["counted by all", "2"] in entry["HGETALL"], entry
    elif was["TYPE"] == "string" and isinstance(was["GET"], str) and was["GET"].lstrip("-").isdigit():
        assert int(entry["GET"]) == int(was["GET"]) + 2, entry
    elif was["TYPE"] == "string":
        assert entry["DELTAIC.MVGET"] == ["added by n2", "added by n1"], entry


def fold_and_forget(fleet: Fleet) -> None:
    """Compacts until the id n2, which was leaving, has left all clocks, and removals wait for nobody any more."""

    def done() -> bool:
        for name in NODES:
            jobs.compact(name)
        standings = [answers_of(fleet, name, [])["members"]["n2"]["standing"] for name in NODES]
        assert standings == ["FOLDED"] * len(NODES), standings
        return all(node.status().stable == node.status().clock for node in fleet.nodes.values())

    wait_until(done, 30, "n2 to be folded, and everything to be stable")
    fleet.agree()


# What else is stored


def test_jobs_that_0_1_0_has_queued_are_run(fleet: Fleet, tmp_path: Path) -> None:
    heal(fleet)
    with ExitStack() as stack, (tmp_path / "rq.log").open("wb") as log:
        process = subprocess.Popen([DELTAIC, "jobs"], env=os.environ, cwd=tmp_path, stdout=log, stderr=log)
        stack.callback(process.wait, 30)
        stack.callback(process.terminate)
        for name in ("gossip_round", "compact", "audit"):
            job = Job.fetch(f"left-{name}", connection=fleet.redis(), serializer=JSONSerializer)
            wait_until(lambda job=job: job.get_status() in ENDED, 30, f"{name} to be run")
            assert job.get_status() is JobStatus.FINISHED, failure_of(job)
            assert "skipped" not in job.return_value(), f"{job.func_name}: {job.return_value()}"


def test_a_backup_that_0_1_0_has_made_is_restored(tmp_path: Path) -> None:
    with Fleet(tmp_path, nodes=len(NODES), settings=SETTINGS) as fleet:
        for node in fleet.nodes.values():
            assert node.stop() == 0
        fleet.redis().flushall()
        Command(tmp_path / "fleet.toml")("restore", str(FIXTURE / "n1.image"), "--node", "n1")
        fleet["n1"].start("--unsponsored").wait_until_serving()
        keys = [decoded(entry["key"]) for entry in THEN["image"]["keys"]]
        assert_same(THEN["image"]["keys"], about_keys(fleet["n1"].resp_port, keys))
        for name in ("n2", "n3"):
            fleet[name].start().wait_until_serving()
        fleet.agree()
        assert_same(THEN["image"]["keys"], about_keys(fleet["n3"].resp_port, keys))


def test_the_fleet_file_and_every_setting_of_0_1_0_still_mean_what_they_meant() -> None:
    file = FIXTURE / "fleet.toml"
    assert list(load_settings(file).nodes) == list(NODES)
    then = {setting["name"]: setting for setting in json.loads((FIXTURE / "settings.json").read_text("utf-8"))}
    now = {setting["name"]: setting for setting in Command(file).json("settings")}
    fields = ("value", "default", "required", "variable")
    assert_same(
        {name: {field: setting[field] for field in fields} for name, setting in then.items()},
        {name: {field: now[name][field] for field in fields} for name in then if name in now},
    )
