"""The names of keys. They are stored: data of 0.1.0 is found under them."""

from __future__ import annotations

from workers.wire.keys import AUDIT, FLEET, Keys, queue_name


def test_all_keys_of_a_node_share_its_hash_tag() -> None:
    keys = Keys("n1")
    assert keys.header == "deltaic:{n1}"
    named = [keys.state, keys.log, keys.alive, keys.met, keys.inbox, keys.links, keys.quarantine]
    assert named == [
        f"deltaic:{{n1}}:{name}" for name in ("state", "log", "alive", "met", "inbox", "links", "quarantine")
    ]
    assert keys.answer("7f") == "deltaic:{n1}:answer:7f"
    assert keys.published == "deltaic:{n1}:published"
    assert keys.probe == "deltaic:{n1}:probe"
    assert keys.lock("gossip") == "deltaic:{n1}:lock:gossip"
    assert keys.record(b"obj:\xff") == b"deltaic:{n1}:obj:\xff"
    assert keys.members.startswith(b"deltaic:{n1}:obj:deltaic:")


def test_every_incarnation_of_a_node_has_a_log_of_its_own() -> None:
    assert Keys("n1", "n1").log == Keys("n1").log == "deltaic:{n1}:log"
    assert Keys("n1", "n1.2").log == "deltaic:{n1}:log.2"
    assert Keys("n1", "n1.3-7fa0").log == "deltaic:{n1}:log.3-7fa0"
    assert Keys("n1", "n1.2").header == Keys("n1").header


def test_keys_of_the_fleet_have_no_hash_tag() -> None:
    assert (FLEET, AUDIT, queue_name("n1")) == ("deltaic:fleet", "deltaic:audit", "deltaic-n1")
