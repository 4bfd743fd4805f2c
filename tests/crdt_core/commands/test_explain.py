"""DELTAIC.EXPLAIN and DELTAIC.SIBLINGS: which writes make up a key, and why one of them shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.crdt_core.sites import START_MS

if TYPE_CHECKING:
    from tests.crdt_core.sites import Fleet


def test_explain_says_who_won_and_why(fleet: Fleet) -> None:
    fleet.c("INCRBY c 5")
    fleet.sync()
    fleet.b.wall_ms += 1
    fleet.a("SET c 100 EX 60")
    fleet.b("SET c 200")
    fleet.c("INCR c")
    fleet.sync()
    told = fleet.all("DELTAIC.EXPLAIN c")
    reasons = [(write["type"], write["part"], write["dot"], write["so"]) for write in told.pop("writes")]
    assert told == {"type": "string", "expires_ms": None, "hidden": [], "parts": 3}
    assert reasons == [
        ("string", "", "n1:1", "loses to n2:1, which is concurrent and later"),
        ("string", "", "n2:1", "wins: it is the latest"),
        ("string", "n3", "n1:1", "takes away 5 of what n3 has added"),
        ("string", "n3", "n2:1", "takes away 5 of what n3 has added"),
        ("string", "n3", "n3:2", "adds 1"),
        ("expiry", "", "n1:1", "does not count: it is about n1:1, and what shows is n2:1"),
    ]
    siblings = {(name, part): dots for name, part, dots in fleet.all("DELTAIC.SIBLINGS c")}
    assert siblings["string", "n3"] == {"n1:1": '{"spent":[5,0]}', "n2:1": '{"spent":[5,0]}', "n3:2": "[6,0]"}
    assert siblings["string", ""]["n2:1"] == f'["200",{START_MS + 1},0]'


def test_explain_names_what_is_hidden(fleet: Fleet) -> None:
    fleet.a("SADD k x")
    fleet.b("SET k v EX 5")
    fleet.sync()
    told = fleet.all("DELTAIC.EXPLAIN k")
    assert (told["type"], told["hidden"]) == ("string", ["orset"])
    assert [write["so"] for write in told["writes"]] == [
        "shows",
        "is hidden: string prevails over orset",
        "the key expires in 5000 ms",
    ]
    fleet.at(5_000)
    assert fleet.all("DELTAIC.EXPLAIN k")["type"] == "none"
    assert fleet.all("DELTAIC.EXPLAIN nothing") is None
    assert fleet.all("DELTAIC.SIBLINGS nothing") == []
