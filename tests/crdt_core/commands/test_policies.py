"""Policies by key prefix: what plain commands make where there is nothing, and what becomes of it concurrently.

Each rule by its name in docs/redis.md. Bans are sets where removes win, notes are multi-value strings.
"""

from __future__ import annotations

import pytest

from crdt_core.commands import CommandOptions, Policies
from crdt_core.commands.expiry import DeleteExpired
from crdt_core.types import MVREGISTER, ORSET, RWSET, STRING
from tests.crdt_core.sites import START_MS, WAYS, Fleet, Site, way_name

WRONG_TYPE = "WRONGTYPE Operation against a key holding the wrong kind of value"

OPTIONS = CommandOptions(Policies({b"ban": RWSET, b"ban:not": ORSET}, {b"note": MVREGISTER, b"note:not": STRING}))


@pytest.fixture(params=WAYS, ids=way_name)
def fleet(request: pytest.FixtureRequest) -> Fleet:
    made = Fleet(*request.param)
    for site in made.sites:
        site.options = OPTIONS
    return made


@pytest.fixture
def site() -> Site:
    made = Site("n1")
    made.options = OPTIONS
    return made


def types(site: Site, key: str) -> list[str]:
    """The names of the types that show under `key`, what prevails first."""
    return [found.type.name for found in site.replica.showing(key.encode())]


# What is made


@pytest.mark.parametrize(
    ("line", "type_"),
    [
        ("SADD ban x", "rwset"),
        ("SADD ban:1 x", "rwset"),
        ("SADD ban:not:1 x", "orset"),
        ("SADD other x", "orset"),
        ("SADD note x", "orset"),
        ("SUNIONSTORE ban:1 full", "rwset"),
        ("SINTERSTORE ban:1 full full", "rwset"),
        ("SDIFFSTORE ban:1 full none", "rwset"),
        ("SMOVE full ban:1 x", "rwset"),
        ("COPY full ban:1", "rwset"),
        ("RENAME full ban:1", "rwset"),
        ("DELTAIC.RWSADD ban:not:1 x", "rwset"),
        ("SET note v", "mvregister"),
        ("SET note v EX 5", "mvregister"),
        ("SET note:not v", "string"),
        ("SET ban v", "string"),
        ("SETEX note 5 v", "mvregister"),
        ("SETNX note v", "mvregister"),
        ("GETSET note v", "mvregister"),
        ("MSET note v", "mvregister"),
        ("MSETNX note v", "mvregister"),
        ("APPEND note v", "mvregister"),
        ("SETRANGE note 3 v", "mvregister"),
        ("INCRBYFLOAT note 1.5", "string"),
        ("COPY text note:1", "mvregister"),
        ("RENAME text note:1", "mvregister"),
        ("DELTAIC.MVSET note:not v", "mvregister"),
        ("INCR note", "string"),
        ("DECRBY note 5", "string"),
    ],
)
def test_the_longest_prefix_says_what_a_command_makes(site: Site, line: str, type_: str) -> None:
    site("SADD full x y")
    site("SET text v")
    site(line)
    words = line.split(" ")
    key = words[2] if words[0] in {"COPY", "RENAME", "SMOVE"} else words[1]
    assert types(site, key) == [type_]


def test_without_policies_sets_are_add_wins_and_strings_last_writer_wins() -> None:
    plain = Site("n1")
    plain("SADD ban x")
    plain("SET note v")
    assert (types(plain, "ban"), types(plain, "note")) == (["orset"], ["string"])


def test_a_prefix_that_is_empty_speaks_of_every_key() -> None:
    made = Site("n1")
    made.options = CommandOptions(Policies({b"": RWSET}, {b"": MVREGISTER, b"plain": STRING}))
    made("SADD s x")
    made("MSET k v plain v")
    assert (types(made, "s"), types(made, "k"), types(made, "plain")) == (["rwset"], ["mvregister"], ["string"])


def test_clients_are_told_sets_and_strings(site: Site) -> None:
    site("SADD ban x")
    site("SET note v")
    assert (site("TYPE ban"), site("TYPE note")) == ("set", "string")
    assert site("SCAN 0 TYPE set")[1] == ["ban"]
    assert (site("GET ban"), site("SADD note x")) == (WRONG_TYPE, WRONG_TYPE)


# Sets where removes win: every command


def test_every_set_command_works_where_removes_win(site: Site) -> None:
    assert site("SADD ban a b c") == 3
    assert site("SADD ban a") == 0
    assert site("SCARD ban") == 3
    assert site("SMEMBERS ban") == {"a", "b", "c"}
    assert (site("SISMEMBER ban a"), site("SMISMEMBER ban a z")) == (1, [1, 0])
    assert site("SRANDMEMBER ban") in {"a", "b", "c"}
    assert set(site("SRANDMEMBER ban -9")) <= {"a", "b", "c"}
    assert set(site("SSCAN ban 0")[1]) == {"a", "b", "c"}
    assert site("SREM ban a z") == 1
    assert site("SMEMBERS ban") == {"b", "c"}
    assert site("SMOVE ban other b") == 1
    assert (site("SMEMBERS ban"), site("SMEMBERS other")) == ({"c"}, {"b"})
    assert site("SMOVE other ban b") == 1
    assert (site("SUNION ban other"), site("SINTER ban other"), site("SDIFF ban other")) == (
        {"b", "c"},
        set(),
        {"b", "c"},
    )
    assert site("SINTERCARD 1 ban") == 2
    assert site("SUNIONSTORE ban:2 ban") == 2
    assert site("SPOP ban 5") == {"b", "c"}
    assert (site("EXISTS ban"), site("SCARD ban"), site("SPOP ban")) == (0, 0, None)
    assert site("SADD ban b") == 1
    assert site("SMEMBERS ban") == {"b"}
    assert site("DEL ban ban:2") == 2


def test_where_removes_win_a_remove_wins_over_a_concurrent_add(fleet: Fleet) -> None:
    fleet.a("SREM ban x")
    fleet.b("SADD ban x y")
    fleet.sync()
    assert fleet.all("SMEMBERS ban") == {"y"}
    assert fleet.all("SCARD ban") == 1
    fleet.c("SADD ban x")
    fleet.sync()
    assert fleet.all("SMEMBERS ban") == {"x", "y"}


def test_a_remove_of_a_present_member_wins_over_adding_it_again(fleet: Fleet) -> None:
    fleet.a("SADD ban x")
    fleet.sync()
    fleet.a("SREM ban x")
    fleet.b("SADD ban x")
    fleet.c("SADD ban x")
    fleet.sync()
    assert fleet.all("EXISTS ban") == 0


def test_a_pop_and_a_move_win_over_a_concurrent_add(fleet: Fleet) -> None:
    fleet.a("SADD ban x")
    fleet.a("SADD ban:2 y")
    fleet.sync()
    fleet.a("SPOP ban")
    fleet.a("SMOVE ban:2 other y")
    fleet.b("SADD ban x")
    fleet.b("SADD ban:2 y")
    fleet.sync()
    assert fleet.all("EXISTS ban ban:2") == 0
    assert fleet.all("SMEMBERS other") == {"y"}


def test_a_delete_of_the_set_denies_nothing_and_takes_back_the_removes_that_it_saw(fleet: Fleet) -> None:
    fleet.a("SADD ban x y")
    fleet.sync()
    fleet.a("SREM ban x")
    fleet.a("DEL ban")
    fleet.b("SADD ban x y z")
    fleet.sync()
    assert fleet.all("SMEMBERS ban") == {"x", "y", "z"}


def test_a_delete_of_a_set_that_is_empty_does_nothing_so_its_removes_win(fleet: Fleet) -> None:
    fleet.a("SADD ban x")
    fleet.sync()
    fleet.a("SREM ban x")
    assert fleet.a("DEL ban") == 0
    fleet.b("SADD ban x")
    fleet.sync()
    assert fleet.all("EXISTS ban") == 0


def test_a_remove_that_was_replaced_before_a_delete_is_over_also_where_only_the_remove_was_heard(fleet: Fleet) -> None:
    """Found by the specification: the patch held no trace of the add between the remove and the delete."""
    fleet.a("SREM ban x")
    fleet.c.hears_deltas((fleet.a,))
    fleet.c("SREM other x")
    fleet.a("SADD ban x")
    fleet.a("DEL ban")
    fleet.b("SADD ban x")
    fleet.sync()
    assert fleet.all("SMEMBERS ban") == {"x"}


def test_a_remove_that_an_add_has_replaced_in_a_transaction_with_a_delete_is_over(fleet: Fleet) -> None:
    fleet.a("SREM ban x")
    fleet.b.hears_deltas((fleet.a,))
    fleet.b("SADD ban x", "DEL ban")
    fleet.c("SADD ban x")
    fleet.sync()
    assert fleet.all("SMEMBERS ban") == {"x"}


def test_a_store_is_a_delete_and_adds_where_removes_win(fleet: Fleet) -> None:
    fleet.a("SADD ban x")
    fleet.a("SADD other y z")
    fleet.sync()
    fleet.a("SUNIONSTORE ban other")
    fleet.b("SREM ban y")
    fleet.c("SADD ban v")
    fleet.sync()
    assert fleet.all("SMEMBERS ban") == {"v", "z"}


def test_what_has_expired_leaves_a_concurrent_add_where_removes_win(fleet: Fleet) -> None:
    fleet.a("SADD ban x")
    fleet.sync()
    fleet.a("PEXPIRE ban 100")
    fleet.b("SADD ban y")
    fleet.at(100)
    fleet.a.run(DeleteExpired(fleet.a.wall_ms, 10))
    fleet.sync()
    assert fleet.all("SMEMBERS ban") == {"y"}
    assert fleet.all("TTL ban") == -1


def test_explain_tells_of_a_remove_that_wins(fleet: Fleet) -> None:
    fleet.a("SREM ban x")
    fleet.b("SADD ban x")
    fleet.sync()
    told = fleet.all("DELTAIC.EXPLAIN ban")
    assert (told["type"], told["hidden"]) == ("none", [])
    assert [(write["dot"], write["says"], write["so"]) for write in told["writes"]] == [
        ("n1:1", "false", "removes what it has seen, and keeps out what is concurrent"),
        ("n2:1", "true", "loses to n1:1, which is concurrent and removes"),
    ]


# Multi-value strings: every command


def test_every_string_command_works_on_multi_value_strings(site: Site) -> None:
    assert site("SET note abc") == "OK"
    assert (site("GET note"), site("STRLEN note"), site("GETRANGE note 1 -1")) == ("abc", 3, "bc")
    assert site("APPEND note d") == 4
    assert site("SETRANGE note 1 X") == 4
    assert site("GETSET note new") == "aXcd"
    assert (site("SETNX note no"), site("SET note no NX"), site("SET note yes XX GET")) == (0, None, "new")
    assert site("MGET note missing") == ["yes", None]
    assert site("INCR note") == "ERR value is not an integer or out of range"
    assert site("SET note 5 EX 100") == "OK"
    assert (site("INCR note"), site("DECRBY note 3"), site("INCRBYFLOAT note 0.5")) == (6, 3, "3.5")
    assert site("APPEND note 0") == 4
    assert site("TTL note") == 100
    assert site("SET note v KEEPTTL") == "OK"
    assert site("TTL note") == 100
    assert (site("PERSIST note"), site("TTL note")) == (1, -1)
    assert site("GETEX note EX 7") == "v"
    assert site("TTL note") == 7
    assert site("SET note w") == "OK"
    assert site("TTL note") == -1
    assert site("GETDEL note") == "w"
    assert (site("EXISTS note"), site("GET note")) == (0, None)
    assert types(site, "note") == []


def test_incr_keeps_the_time_to_live_of_a_register(site: Site) -> None:
    site("DELTAIC.REGISTER.SET k 5 TIMESTAMP 10")
    site("EXPIRE k 100")
    assert site("INCR k") == 6
    assert site("TTL k") == 100
    assert types(site, "k") == ["lwwregister"]


def test_multi_value_all_concurrent_values_are_kept_and_get_shows_the_newest(fleet: Fleet) -> None:
    fleet.b.wall_ms += 1
    fleet.a("SET note a")
    fleet.b("SET note b")
    fleet.c("SET note c")
    fleet.sync()
    assert fleet.all("GET note") == "b"
    assert fleet.all("DELTAIC.MVGET note") == ["b", "c", "a"]
    assert fleet.all("STRLEN note") == 1
    siblings = {(name, part): dots for name, part, dots in fleet.all("DELTAIC.SIBLINGS note")}
    assert siblings["mvregister", ""] == {
        "n1:1": f'["a",{START_MS},0]',
        "n2:1": f'["b",{START_MS + 1},0]',
        "n3:1": f'["c",{START_MS},0]',
    }
    assert [write["so"] for write in fleet.all("DELTAIC.EXPLAIN note")["writes"]] == [
        "stands beside n2:1, which is concurrent and later",
        "wins: it is the latest",
        "stands beside n2:1, which is concurrent and later",
    ]


@pytest.mark.parametrize("line", ["SET note d", "APPEND note d", "GETSET note d", "SETRANGE note 0 d", "MSET note d"])
def test_a_write_replaces_the_values_that_it_has_seen_and_no_other(fleet: Fleet, line: str) -> None:
    fleet.a("SET note a")
    fleet.b("SET note b")
    fleet.sync()
    fleet.a(line)
    fleet.c.wall_ms += 1
    fleet.c("SET note c")
    fleet.sync()
    written = "bd" if line.startswith("APPEND") else "d"
    assert fleet.all("DELTAIC.MVGET note") == ["c", written]
    fleet.a("SET note e")
    fleet.sync()
    assert fleet.all("DELTAIC.MVGET note") == ["e"]


def test_equal_concurrent_values_show_once(fleet: Fleet) -> None:
    fleet.a("SET note same")
    fleet.b("SET note same")
    fleet.sync()
    assert fleet.all("DELTAIC.MVGET note") == ["same"]


def test_a_delete_removes_the_values_that_it_saw(fleet: Fleet) -> None:
    fleet.a("SET note a")
    fleet.sync()
    fleet.a("DEL note")
    fleet.b("SET note b")
    fleet.sync()
    assert fleet.all("DELTAIC.MVGET note") == ["b"]


def test_a_later_write_is_the_newest_whatever_the_clocks_say(fleet: Fleet) -> None:
    fleet.a.wall_ms += 5_000
    fleet.a("SET note a")
    fleet.sync()
    fleet.b("SET note b")
    fleet.c("SET note c")
    fleet.sync()
    assert fleet.all("DELTAIC.MVGET note") == ["c", "b"]


def test_an_expiry_of_a_multi_value_string_is_about_the_write_that_get_shows(fleet: Fleet) -> None:
    fleet.a("SET note a")
    fleet.sync()
    fleet.a("SET note b")
    fleet.b("EXPIRE note 5")
    fleet.sync()
    assert (fleet.all("GET note"), fleet.all("TTL note")) == ("b", -1)
    fleet.b.wall_ms += 1
    fleet.a("SET note x EX 100")
    fleet.b("SET note y EX 10")
    fleet.sync()
    assert (fleet.c("GET note"), fleet.c("TTL note")) == ("y", 10)


def test_an_increment_of_a_multi_value_string_is_written_whole(fleet: Fleet) -> None:
    fleet.a("SET note 5")
    fleet.sync()
    fleet.a("INCR note")
    fleet.b("INCRBY note 3")
    fleet.sync()
    assert fleet.all("DELTAIC.MVGET note") == ["8", "6"]


def test_increments_of_what_is_not_there_add_under_any_policy(fleet: Fleet) -> None:
    fleet.a("INCR note")
    fleet.b("INCRBY note 3")
    fleet.sync()
    assert fleet.all("GET note") == "4"


def test_a_rename_takes_the_newest_value_along(fleet: Fleet) -> None:
    fleet.b.wall_ms += 1
    fleet.a("SET note a")
    fleet.b("SET note b")
    fleet.sync()
    fleet.c("RENAME note note:2")
    fleet.c("COPY note:2 plain")
    fleet.sync()
    assert (fleet.all("EXISTS note"), fleet.all("DELTAIC.MVGET note:2"), fleet.all("GET plain")) == (0, ["b"], "b")
    assert types(fleet.a, "plain") == ["mvregister"]


# What is there keeps its type


@pytest.mark.parametrize(
    ("made_by", "then", "type_"),
    [
        ("SADD s x", "SADD s y", "orset"),
        ("SADD s x", "SUNIONSTORE s s", "orset"),
        ("SADD s x", "SMOVE full s z", "orset"),
        ("SADD s x", "SREM s y", "orset"),
        ("SET s v", "SET s w", "string"),
        ("SET s v", "SET s w EX 9", "string"),
        ("SET s v", "APPEND s w", "string"),
        ("INCR s", "SET s w", "string"),
        ("SADD s x", "SET s w", "mvregister"),
        ("HSET s f v", "SET s w", "mvregister"),
        ("SET s v", "SUNIONSTORE s full", "rwset"),
    ],
)
def test_what_is_there_keeps_its_type_when_the_policy_changes(made_by: str, then: str, type_: str) -> None:
    site = Site("n1")
    site("SADD full z")
    site(made_by)
    site.options = CommandOptions(Policies({b"s": RWSET}, {b"s": MVREGISTER}))
    site(then)
    assert types(site, "s") == [type_]


@pytest.mark.parametrize(
    ("made_by", "then", "type_"), [("SADD ban x", "SADD ban y", "rwset"), ("SET note v", "SET note w", "mvregister")]
)
def test_what_is_there_keeps_its_type_when_the_policy_is_gone(site: Site, made_by: str, then: str, type_: str) -> None:
    site(made_by)
    site.options = CommandOptions()
    site(then)
    assert types(site, made_by.split(" ")[1]) == [type_]


def test_what_is_made_again_after_a_delete_is_what_the_policy_says_now(site: Site) -> None:
    site("SADD ban x")
    site("SET note v")
    site("SADD plain x")
    site("SET k v")
    site("DEL ban note plain k")
    site.options = CommandOptions(Policies({b"plain": RWSET}, {b"k": MVREGISTER}))
    site("SADD ban x")
    site("SET note v")
    site("SADD plain x")
    site("SET k v")
    assert [types(site, key) for key in ("ban", "note", "plain", "k")] == [
        ["orset"],
        ["string"],
        ["rwset"],
        ["mvregister"],
    ]


def test_nodes_that_disagree_make_a_conflict_that_is_told_and_ends_with_the_next_store_or_set(fleet: Fleet) -> None:
    fleet.b.options = CommandOptions()
    fleet.a("SADD ban x")
    fleet.b("SADD ban y")
    fleet.a("SET note a")
    fleet.b("SET note b")
    fleet.sync()
    assert (fleet.all("SMEMBERS ban"), fleet.all("GET note")) == ({"y"}, "b")
    assert fleet.all("DELTAIC.EXPLAIN ban")["hidden"] == ["rwset"]
    assert fleet.all("DELTAIC.EXPLAIN note")["hidden"] == ["mvregister"]
    fleet.c("SADD ban z")
    fleet.c("SET note c")
    fleet.sync()
    assert (fleet.all("SMEMBERS ban"), fleet.all("GET note")) == ({"y", "z"}, "c")
    assert types(fleet.a, "note") == ["string"]
    fleet.c("DEL ban")
    fleet.sync()
    assert types(fleet.a, "ban") == []


# Other faces


def test_commands_that_name_a_kind_read_and_write_what_a_policy_has_made(site: Site) -> None:
    site("SADD ban x y")
    site("SET note v")
    assert site("DELTAIC.SET.GET ban") == {"kind": "rwset", "members": ["x", "y"]}
    assert [site("DELTAIC.SET.REMOVE ban x"), site("DELTAIC.SET.REMOVE ban z")] == [1, 0]
    assert site("SMEMBERS ban") == {"y"}
    assert site("DELTAIC.REGISTER.GET note")["values"] == ["v"]
    site("DELTAIC.REGISTER.SET note w")
    assert site("GET note") == "w"
    site("DELTAIC.COUNTER.ADD note:c 5")
    assert site("INCR note:c") == 6
