"""Passwords and other secrets in files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from crdt_core.errors import SettingsError
from workers.config.secret_files import content_of, password_in

if TYPE_CHECKING:
    from pathlib import Path


def test_a_password_is_one_line(tmp_path: Path) -> None:
    file = tmp_path / "password"
    for content in ("s3cret", "s3cret\n", "s3cret\r\n"):
        file.write_text(content, "ascii", newline="")
        assert password_in("a.password_file", file) == "s3cret"
    assert password_in("a.password_file", None) is None
    assert content_of("a.key", None) is None


@pytest.mark.parametrize("content", [b"", b"\n", b"s3cret two", b"s3cret\n\n", b"s3cr\xc3\xa9t", b"s3cret\x00"])
def test_another_file_is_refused_and_not_quoted(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "password"
    file.write_bytes(content)
    with pytest.raises(SettingsError, match=r"a\.password_file.*one line") as refused:
        password_in("a.password_file", file)
    assert "s3cr" not in str(refused.value)


def test_a_file_that_cannot_be_read_is_named_with_its_setting(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"a\.key: .*missing cannot be read"):
        content_of("a.key", tmp_path / "missing")
