"""What is said of a Redis that is away: once that it is lost, once that it has returned."""

from __future__ import annotations

import structlog

from workers.wire.outages import Outages, PeerFailures

URL = "redis://:s3cret@10.0.0.1:6379/0"


def test_the_first_failure_and_the_last_return_are_said_without_the_password() -> None:
    outages = Outages()
    with structlog.testing.capture_logs() as logs:
        for reason in ("refused", "still refused"):
            outages.failed(URL, "one", reason)
            outages.failed(URL, "two", reason)
        outages.answered(URL, "one")
        outages.answered(URL, "one")
        outages.answered(URL, "two")
    lost, returned = logs
    assert (lost["event"], lost["reason"], lost["url"]) == ("redis_lost", "refused", "redis://:***@10.0.0.1:6379/0")
    assert (returned["event"], returned["url"], returned["after_s"]) == ("redis_returned", lost["url"], 0)


def test_each_redis_counts_for_itself_and_each_outage_anew() -> None:
    outages = Outages()
    with structlog.testing.capture_logs() as logs:
        for url in ("redis://a", "redis://b", "redis://a"):
            outages.failed(url, "one", "refused")
            outages.answered(url, "one")
    assert [(line["event"], line["url"]) for line in logs] == [
        (event, url) for url in ("redis://a", "redis://b", "redis://a") for event in ("redis_lost", "redis_returned")
    ]


def test_a_connection_that_is_closed_holds_no_return_up_and_is_none() -> None:
    outages = Outages()
    with structlog.testing.capture_logs() as logs:
        outages.failed(URL, "one", "refused")
        outages.failed(URL, "two", "refused")
        outages.closed(URL, "one")
        outages.answered(URL, "one")
        outages.answered(URL, "two")
        outages.closed(URL, "two")
    assert [line["event"] for line in logs] == ["redis_lost", "redis_returned"]


def test_what_fails_with_a_peer_is_said_once_and_once_that_it_succeeds_again() -> None:
    failures = PeerFailures("send_failed", "send_succeeded", node="n1")
    with structlog.testing.capture_logs() as logs:
        failures.succeeded("n2")
        for peer in ("n2", "n2", "n3", "n4"):
            failures.failed(peer, "refused")
        failures.forget("n3")
        for peer in ("n2", "n2", "n3"):
            failures.succeeded(peer)
        failures.failed("n2", "refused again")
    assert [(line["event"], line["peer"], line.get("reason")) for line in logs] == [
        ("send_failed", "n2", "refused"),
        ("send_failed", "n3", "refused"),
        ("send_failed", "n4", "refused"),
        ("send_succeeded", "n2", None),
        ("send_failed", "n2", "refused again"),
    ]
    assert {line["node"] for line in logs} == {"n1"}
