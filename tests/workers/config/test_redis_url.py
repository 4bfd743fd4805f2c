"""Redis URLs: what they say, what is refused, and that no password of theirs is ever shown."""

from __future__ import annotations

import ssl

import pytest
import trustme

from crdt_core.errors import SettingsError
from workers.config.redis_url import check_url, options_of, publishable, redacted, tls_of


def test_a_url_is_read_as_redis_py_reads_it() -> None:
    options = options_of("redis://user:p%40ss@10.0.0.1:6380/3")
    assert (options.host, options.port, options.db) == ("10.0.0.1", 6380, 3)
    assert (options.username, options.password) == ("user", "p@ss")
    assert options_of("unix:///run/valkey.sock?db=2").path == "/run/valkey.sock"


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://10.0.0.1", "must be redis://, rediss:// or unix://"),
        ("10.0.0.1:6379", "must be redis://, rediss:// or unix://"),
        ("redis://:s3cret@10.0.0.1:port", "must be redis://, rediss:// or unix://"),
        ("redis://:s3cret@10.0.0.1?socket_timeout=1", "has an unknown option"),
        ("redis://:s3cret@10.0.0.1?ssl_no_such=1", "has an unknown option"),
    ],
)
def test_what_would_not_hold_for_every_connection_is_refused_without_a_quote(url: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as refused:
        options_of(url)
    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize(
    "url", ["redis://127.0.0.1:7000/0", "redis://valkey", "redis://a-b.example:59999/15", "redis://1/999"]
)
def test_a_plain_url_is_checked_without_redis_py_and_redis_py_takes_it(url: str) -> None:
    check_url(url)
    assert options_of(url).host


@pytest.mark.parametrize("url", ["http://h", "redis://h:port", "redis://h?timeout=1", "redis://:s3cret@h:x", "h:1"])
def test_any_other_url_is_checked_by_redis_py(url: str) -> None:
    for check in (check_url, options_of):
        with pytest.raises(ValueError, match=r"must be|unknown option"):
            check(url)


def test_tls_is_spoken_by_scheme_with_the_files_that_are_named(tmp_path) -> None:
    assert tls_of("redis://10.0.0.1") is None
    ca = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(ca)
    context = tls_of(f"rediss://10.0.0.1?ssl_ca_certs={ca}")
    assert context is not None
    assert context.verify_mode is ssl.CERT_REQUIRED
    with pytest.raises(SettingsError, match=r"Redis URL rediss://:\*\*\*@h\?ssl_ca_certs=.*: its TLS files cannot"):
        tls_of(f"rediss://:s3cret@h?ssl_ca_certs={tmp_path / 'missing.pem'}")


@pytest.mark.parametrize(
    "url",
    [
        "redis://:s3cret@h",
        "redis://user:s3cret@h/0",
        "redis://user:s3/cret@h",
        "redis://user:s3?cret@h",
        "redis://h?password=s3cret",
        "rediss://h?ssl_password=s3cret&ssl_ca_certs=/ca.pem",
    ],
)
def test_a_password_is_never_shown_nor_published(url: str) -> None:
    assert "s3" not in redacted(url)
    assert "cret" not in redacted(url)
    assert publishable(url) == ""


@pytest.mark.parametrize("url", ["redis://10.0.0.1:6379/0", "unix:///run/valkey.sock?db=2", "no url at all"])
def test_what_has_no_password_is_shown_as_it_is(url: str) -> None:
    assert redacted(url) == publishable(url) == url
