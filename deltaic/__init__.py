"""Deltaic: active-active replicated data types, and a client of a fleet of nodes.

The types, as objects of their own:

    >>> import deltaic
    >>> here, there = deltaic.ORSet("n1"), deltaic.ORSet("n2")
    >>> here.add("apple")
    >>> there.merge(here)
    >>> there.value()
    {'apple'}

The client of a running fleet, blocking and asyncio:

    client = deltaic.Client(["redis://127.0.0.1:7201", "redis://127.0.0.1:7202"])
    client.counter("hits").increment()

`docs/client.md` is the guide. `crdt_core` holds the types, `workers` the fleet.
"""

from crdt_core.library import (
    DWFlag,
    EWFlag,
    GCounter,
    GSet,
    LWWRegister,
    MVRegister,
    ORSet,
    PNCounter,
    RWSet,
)
from deltaic.async_client import AsyncClient, AsyncSession
from deltaic.client import Client, Session
from deltaic.errors import (
    CallerError,
    DeltaicError,
    InvalidArgument,
    NodesBehind,
    NoNodeAnswers,
    OutcomeUnknown,
    Refused,
    WorldError,
)
from deltaic.options import ClientOptions
from deltaic.tokens import Token

__all__ = [
    "AsyncClient",
    "AsyncSession",
    "CallerError",
    "Client",
    "ClientOptions",
    "DWFlag",
    "DeltaicError",
    "EWFlag",
    "GCounter",
    "GSet",
    "InvalidArgument",
    "LWWRegister",
    "MVRegister",
    "NoNodeAnswers",
    "NodesBehind",
    "ORSet",
    "OutcomeUnknown",
    "PNCounter",
    "RWSet",
    "Refused",
    "Session",
    "Token",
    "WorldError",
    "__version__",
]

__version__ = "0.2.0.dev0"
