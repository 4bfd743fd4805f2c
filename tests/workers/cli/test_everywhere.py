"""`diff` and `sync` ask all nodes. With a node that is away, they are tested beside the other commands of keys."""

from __future__ import annotations


def test_diff_shows_views_that_parted_and_met_again(fleet, deltaic, key):
    fleet["n1"].add(key, "fig", "apple")
    fleet.agree()
    fleet.cut_by_redis(["n1", "n2"], ["n3", "n4", "n5"])
    fleet["n1"].remove(key, "apple")
    fleet.agree("n1", "n2")
    parted = deltaic.run("diff", key)
    assert parted.returncode == 1
    rows = [row.split(maxsplit=2) for row in parted.stdout.splitlines()[2:7]]
    assert [row[0] for row in rows] == ["n1", "n2", "n3", "n4", "n5"]
    assert rows[1][2].strip() == "{fig} lacks apple"
    assert rows[4][2].strip() == "{fig, apple}"
    fleet.heal()
    fleet.agree()
    assert "5 nodes agree" in deltaic("diff", key)


def test_diff_shows_dots_and_prints_json(fleet, deltaic, key):
    fleet["n2"].set(key, "tea")
    fleet.agree()
    dot = f"n2:{fleet['n2'].clock()['n2']}"
    assert f'{dot} ["tea",' in deltaic("diff", key, "--dots")
    found = deltaic.json("diff", key)
    assert found["agree"] is True
    assert found["nodes"]["n5"]["value"] == ["tea"]
    assert found["nodes"]["n5"]["siblings"][""][dot][0] == "tea"


def test_sync_brings_over_what_was_missed(fleet, deltaic, key):
    fleet["n1"].increment(key)
    shown = deltaic("sync", "n2")
    assert shown.splitlines()[2].split()[:5] == ["n2", "n1", "n3", "n4", "n5"]
    fleet.agree()
    assert len(deltaic("sync").splitlines()) == 7
