"""Reads the files that settings name: passwords, certificates and keys. No error quotes their content."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crdt_core.errors import SettingsError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["content_of", "password_in"]


def password_in(setting: str, path: Path | None) -> str | None:
    """Return the password in the file that `setting` names; `None` if it is not set. Raises `SettingsError`."""
    content = content_of(setting, path)
    if content is None:
        return None
    password = content.decode("ascii", "replace").removesuffix("\n").removesuffix("\r")
    if not password or not all("!" <= letter <= "~" for letter in password):
        raise SettingsError(setting, "must hold one line of printable ASCII without spaces")
    return password


def content_of(setting: str, path: Path | None) -> bytes | None:
    """Return the content of the file that `setting` names; `None` if it is not set. Raises `SettingsError`."""
    if path is None:
        return None
    try:
        return path.read_bytes()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a path"
        raise SettingsError(setting, f"{path} cannot be read: {reason}") from error
