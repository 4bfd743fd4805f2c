"""Bytes as JSON values, and plain values of them.

Keys, parts and texts are bytes. In JSON they are strings where they are UTF-8, and wrapped as base64 elsewhere.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from typing import Any

from crdt_core.errors import Malformed, brief

__all__ = ["decode_text", "encode_text", "encode_value"]

_INT64 = range(-(2**63), 2**63)


def encode_text(text: bytes) -> str | dict[str, str]:
    """Return bytes as a JSON value: the text itself where it is UTF-8, else wrapped as base64.

    >>> encode_text("né".encode()), encode_text(b"\\xff")
    ('né', {'b64': '/w=='})
    """
    try:
        return text.decode()
    except UnicodeDecodeError:
        return {"b64": b64encode(text).decode()}


def decode_text(value: Any) -> bytes:
    """Return the bytes in a JSON value, the inverse of `encode_text`. Raises `Malformed`."""
    try:
        if isinstance(value, str):
            return value.encode()
        if isinstance(value, dict) and value.keys() == {"b64"} and isinstance(value["b64"], str):
            return b64decode(value["b64"], validate=True)
    except ValueError:
        pass
    raise Malformed("text", f"{brief(value)} is neither a string nor base64")


def encode_value(value: Any) -> Any:
    """Return a value of bytes, integers, lists and dicts as a JSON value. An integer beyond 64 bits becomes text.

    >>> encode_value({b"hits": 2**64, b"tags": [b"new", b"\\xff"]})
    {'hits': '18446744073709551616', 'tags': ['new', {'b64': '/w=='}]}
    """
    if isinstance(value, bytes):
        return encode_text(value)
    if isinstance(value, list):
        return [encode_value(item) for item in value]
    if isinstance(value, dict):
        return {str(encode_text(name)): encode_value(item) for name, item in value.items()}
    return value if not isinstance(value, int) or value in _INT64 else str(value)
