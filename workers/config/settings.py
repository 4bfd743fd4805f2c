"""The fleet's settings: one file, overridden by the environment, read once at the entry point.

A bad value or an unknown setting is a `SettingsError` that names it. Every field says its unit in its name and, in its
description, what raising it costs; `deltaic settings` prints them all.
"""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict
from pydantic_settings.exceptions import SettingsError as UnreadableVariable

from crdt_core.commands.session import RESERVED
from crdt_core.errors import SettingsError, UnknownNode, brief
from workers.config.redis_url import options_of, shown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic_settings import PydanticBaseSettingsSource

__all__ = [
    "PACKAGED_FILE",
    "ClockSettings",
    "FleetSettings",
    "GossipSettings",
    "JobsSettings",
    "LimitSettings",
    "MembershipSettings",
    "NodeSettings",
    "PolicySettings",
    "SecuritySettings",
    "ValkeySettings",
    "check_name",
    "checked_node",
    "default_fleet_file",
    "load_settings",
]

ENV_PREFIX = "DELTAIC_"
FILE_VARIABLE = "DELTAIC_FILE"
PACKAGED_FILE = Path(__file__).with_name("deltaic.toml")  # the fleet that comes with Deltaic
CRON_NODES_VARIABLE = "DELTAIC_CRON_NODES"  # how `deltaic cron` tells the module of jobs its nodes, comma separated
NODE_NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")
TOKEN = re.compile(r"[!-~]+")
HOST_PORT = re.compile(r"(\[[0-9a-fA-F:]+\]|[^\s:]+):(\d{1,5})")

Positive = Annotated[int, Field(ge=1, le=10**12)]


class Section(BaseModel):
    """A section of the fleet file: frozen, and closed to settings it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class NodeSettings(Section):
    """One node: where its worker listens, and the Redis or Valkey that holds its replica."""

    grpc: str = Field(description="host:port where the worker's gRPC face is dialled")
    redis: str = Field(
        description="URL of the node's Redis: redis://, rediss:// or unix://; see `workers.config.redis_url`"
    )
    bind: str | None = Field(default=None, description="host:port the worker binds; default: the grpc address")
    resp: str | None = Field(
        default=None, description="host:port where the worker speaks the Redis protocol; default: nowhere"
    )
    jobs: str | None = Field(default=None, description="URL of the Redis of its RQ queue; default: the node's own")

    @field_validator("grpc", "bind", "resp")
    @classmethod
    def _host_port(cls, value: str | None) -> str | None:
        if value is None:
            return None
        match = HOST_PORT.fullmatch(value)
        if match is None or not 0 < int(match[2]) < 65536:
            raise ValueError("must be host:port")
        return value

    @field_validator("redis", "jobs")
    @classmethod
    def _redis_url(cls, value: str | None) -> str | None:
        if value is not None:
            options_of(value)
        return value

    @property
    def bind_address(self) -> str:
        """host:port the worker binds: where others dial it, unless a container or proxy stands between."""
        return self.bind or self.grpc

    @property
    def listens_at(self) -> dict[str, str]:
        """host:port of each face, by the name of its setting."""
        faces = {"bind" if self.bind else "grpc": self.bind_address}
        return {**faces, "resp": self.resp} if self.resp else faces

    @property
    def jobs_url(self) -> str:
        """The Redis that holds this node's RQ queue."""
        return self.jobs or self.redis


class GossipSettings(Section):
    """Anti-entropy: how often, with how many, and how long a node waits."""

    interval_s: Positive = Field(
        default=2, description="seconds between a node's rounds; more: later repair, less traffic"
    )
    fanout: Positive = Field(default=2, description="random peers a round; more: faster repair, more traffic")
    timeout_ms: Positive = Field(default=5000, description="how long an exchange waits for a peer's answer")
    chunk_bytes: Annotated[int, Field(ge=1024)] = Field(
        default=1 << 20, description="bytes of one message of a large patch; more: fewer messages, longer turns"
    )
    log_entries_max: Positive = Field(
        default=100_000, description="deltas a node keeps for peers that are away; more: memory in Redis"
    )
    log_entries_kept: Positive = Field(
        default=100, description="latest deltas that stay though every node has them, to be looked at"
    )
    batch_deltas: Positive = Field(default=512, description="deltas read from a peer's log at once; more: longer turns")
    touched_max: Positive = Field(
        default=200_000, description="recent writes indexed per origin for cheap patches; more: worker memory"
    )


class MembershipSettings(Section):
    """Who belongs to the fleet."""

    fence_after_s: Positive = Field(
        default=7 * 24 * 3600,
        description="how long a member may be away before the others go on without it; more: markers kept for longer",
    )


class JobsSettings(Section):
    """The periodic RQ jobs."""

    compaction_interval_s: Positive = Field(default=10, description="seconds between compactions of a node")
    audit_interval_s: Positive = Field(default=10, description="seconds between convergence audits")
    workers: Positive = Field(default=2, description="RQ worker processes of `deltaic jobs`")


class LimitSettings(Section):
    """What callers and peers may send. Beyond a limit nothing changes, and the error names the setting."""

    key_bytes_max: Positive = Field(default=1024, description="bytes of a key")
    value_bytes_max: Positive = Field(default=1 << 20, description="bytes of an element or value; more: longer turns")
    message_bytes_max: Annotated[int, Field(ge=1024, le=2**31 - 1)] = Field(
        default=64 << 20, description="bytes of one gRPC message, either way; more: worker memory"
    )
    concurrent_calls_max: Positive = Field(
        default=1000, description="gRPC calls under way at once, over all connections; more: worker memory"
    )
    batch_operations_max: Positive = Field(
        default=1000, description="operations of one gRPC batch; more: longer turns, in which nobody else is served"
    )
    stream_batches_max: Positive = Field(
        default=16, description="batches of one gRPC stream under way at once; more: worker memory"
    )
    inbox_entries_max: Positive = Field(
        default=10_000, description="messages waiting for a node; beyond it the oldest go, and rounds make up for them"
    )
    foreign_replicas_max: Annotated[int, Field(ge=0, le=2048)] = Field(
        default=256, description="replica ids of no node that callers' patches may bring; more: longer clocks for good"
    )
    write_timeout_ms: Positive = Field(default=10_000, description="how long a call waits for its commit")
    commit_timeout_ms: Positive = Field(
        default=5000, description="silence of Redis after which its connection is given up; more: later repair"
    )
    connections_max: Positive = Field(
        default=10_000,
        description="clients of the Redis face at once; more: worker memory (over TLS 60 kB each), open files",
    )
    output_bytes_max: Annotated[int, Field(ge=1 << 20)] = Field(
        default=256 << 20, description="what a client of the Redis face may leave unread before it is cut off"
    )
    calls_waiting_max: Positive = Field(
        default=10_000, description="calls that wait for their turn; more: worker memory, longer waits"
    )


class SecuritySettings(Section):
    """Who may talk to the workers' faces, and how; they are open to all and plain where none of it is set.

    Health checks need no password, so that whoever restarts workers need not know it.
    """

    password: SecretStr | None = Field(
        default=None,
        description="what gRPC calls show as `authorization: Bearer`, and Redis's clients with `AUTH`; better in a file"
        " or the environment",
    )
    password_file: Path | None = Field(default=None, description="file that holds the password, on one line")
    grpc_certificate: Path | None = Field(
        default=None, description="PEM file: the worker's certificate and chain; it then speaks TLS only"
    )
    grpc_key: Path | None = Field(default=None, description="PEM file: the certificate's key")
    grpc_ca: Path | None = Field(
        default=None, description="PEM file: whom clients trust, and who must have signed the clients' certificates"
    )
    resp_certificate: Path | None = Field(
        default=None, description="PEM file: certificate and chain of the Redis face, which then speaks TLS only"
    )
    resp_key: Path | None = Field(default=None, description="PEM file: the key of that certificate")
    resp_ca: Path | None = Field(
        default=None, description="PEM file: who must have signed the certificates of the Redis face's clients"
    )

    @field_validator("password")
    @classmethod
    def _is_token(cls, password: SecretStr | None) -> SecretStr | None:
        if password is not None and not TOKEN.fullmatch(password.get_secret_value()):
            raise ValueError("must be printable ASCII without spaces")
        return password

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if self.password is not None and self.password_file is not None:
            raise ValueError("password and password_file cannot both be set")
        if (self.grpc_certificate is None) != (self.grpc_key is None):
            raise ValueError("grpc_certificate and grpc_key need each other")
        if (self.resp_certificate is None) != (self.resp_key is None):
            raise ValueError("resp_certificate and resp_key need each other")
        if self.resp_ca is not None and self.resp_certificate is None:
            raise ValueError("resp_ca needs resp_certificate and resp_key beside it")
        return self


class ClockSettings(Section):
    """The hybrid logical clock's trust in other clocks."""

    skew_warn_ms: Positive = Field(
        default=500, description="a peer's stamp further ahead than this is counted and logged"
    )
    skew_refuse_ms: Positive = Field(default=60_000, description="a peer's stamp further ahead is not taken over")


class ValkeySettings(Section):
    """The embedded server of `deltaic fleet`; unused where `embedded` is false."""

    embedded: bool = Field(default=True, description="start a server for the nodes whose Redis URL names this port")
    port: Annotated[int, Field(ge=1, le=65535)] = Field(default=7000, description="port on 127.0.0.1")
    directory: Path = Field(default=Path(".deltaic/valkey"), description="where it keeps its append-only file")
    appendfsync: Annotated[str, Field(pattern="^(always|everysec|no)$")] = Field(
        default="everysec", description="always: nothing acknowledged is lost with the machine; slower"
    )


class PolicySettings(Section):
    """What the Redis face makes of a new key that begins with the policy's prefix; the longest prefix that says counts.

    It decides about new keys only: all nodes of a fleet should say the same, but nothing breaks where they do not.
    """

    sets: Literal["add-wins", "remove-wins"] | None = Field(
        default=None, description="who wins, an add or a concurrent remove, in sets that SADD and the like make"
    )
    strings: Literal["last-writer-wins", "multi-value"] | None = Field(
        default=None, description="what is left of concurrent writes to strings that SET and the like make"
    )


class FleetSettings(BaseSettings):
    """All settings of a fleet.

    `nodes` maps a node's name to its addresses, in the order of the file; `policies` the beginning of a key to what is
    made of it.
    """

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        env_prefix=ENV_PREFIX,
        env_nested_delimiter="__",
        nested_model_default_partial_update=True,
    )

    nodes: dict[str, NodeSettings] = Field(min_length=1)
    gossip: GossipSettings = GossipSettings()
    membership: MembershipSettings = MembershipSettings()
    jobs: JobsSettings = JobsSettings()
    limits: LimitSettings = LimitSettings()
    security: SecuritySettings = SecuritySettings()
    clock: ClockSettings = ClockSettings()
    valkey: ValkeySettings = ValkeySettings()
    policies: dict[str, PolicySettings] = {}

    @field_validator("policies")
    @classmethod
    def _prefixes(cls, policies: dict[str, PolicySettings]) -> dict[str, PolicySettings]:
        for prefix, policy in policies.items():
            if prefix.startswith(RESERVED.decode()):
                raise ValueError(f"keys that begin with {RESERVED.decode()!r} are reserved")
            if policy.sets is None and policy.strings is None:
                raise ValueError(f"{brief(prefix)} says nothing, of sets or strings")
        return policies

    @field_validator("nodes")
    @classmethod
    def _names(cls, nodes: dict[str, NodeSettings]) -> dict[str, NodeSettings]:
        for name in nodes:
            if NODE_NAME.fullmatch(name) is None:
                raise ValueError(f"node name {name!r} must match {NODE_NAME.pattern}")
        return nodes

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment comes before the file, whose content arrives as the constructor's arguments."""
        return env_settings, init_settings

    def node(self, name: str) -> NodeSettings:
        """The settings of node `name`; raises `UnknownNode`."""
        try:
            return self.nodes[name]
        except KeyError:
            raise UnknownNode(name, list(self.nodes)) from None

    def peers_of(self, name: str) -> dict[str, NodeSettings]:
        """All other nodes, by name."""
        return {peer: node for peer, node in self.nodes.items() if peer != name}


def default_fleet_file() -> Path:
    """`$DELTAIC_FILE`; else `deltaic.toml` of the working directory; else the fleet that comes with Deltaic."""
    named = os.environ.get(FILE_VARIABLE)
    if named:
        return Path(named)
    here = Path("deltaic.toml")
    return here if here.exists() else PACKAGED_FILE


def load_settings(path: Path | None = None) -> FleetSettings:
    """The settings of the fleet file `path`, overridden by the environment; raises `SettingsError`."""
    path = path or default_fleet_file()
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise SettingsError(str(path), f"cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise SettingsError(str(path), f"is no TOML: {error}") from error
    except RecursionError:
        raise SettingsError(str(path), "is no TOML: nested too deeply") from None
    _refuse_unknown_variables(os.environ)
    return checked(content)


def checked(content: Mapping[str, Any]) -> FleetSettings:
    """The settings in a fleet file's `content`, overridden by the environment; raises `SettingsError`."""
    for name in content:
        if name not in FleetSettings.model_fields:  # the constructor has arguments of its own, which are none of ours
            raise SettingsError(brief(name), f"no such section; there are {', '.join(FleetSettings.model_fields)}")
    try:
        return FleetSettings(**content)
    except ValidationError as error:
        raise _first_problem(error) from None  # its own text quotes what it was given
    except UnreadableVariable as error:
        raise SettingsError("in the environment", str(error)) from None


def check_name(name: str) -> None:
    """Raises `SettingsError` where no node may be called `name`."""
    if NODE_NAME.fullmatch(name) is None:
        raise SettingsError(f"nodes.{brief(name)}", f"a node's name must match {NODE_NAME.pattern}")


def checked_node(name: str, **addresses: str | None) -> NodeSettings:
    """The settings of a node called `name`, as a section of the fleet file would give them; raises `SettingsError`."""
    check_name(name)
    try:
        return NodeSettings(**addresses)
    except ValidationError as error:
        raise _first_problem(error, f"nodes.{name}.") from None


def _refuse_unknown_variables(environ: Mapping[str, str]) -> None:
    sections = FleetSettings.model_fields
    for variable in environ:
        if not variable.startswith(ENV_PREFIX) or variable in {FILE_VARIABLE, CRON_NODES_VARIABLE}:
            continue
        section = variable.removeprefix(ENV_PREFIX).split("__")[0].lower()
        if section not in sections:
            raise SettingsError(variable, f"no such setting; sections are {', '.join(sections)}")


def _first_problem(error: ValidationError, prefix: str = "") -> SettingsError:
    problem: dict[str, Any] = dict(error.errors(include_url=False)[0])
    name = prefix + ".".join(str(part) for part in problem["loc"])
    value = _showable(problem["loc"], problem["input"])
    if problem["type"] == "extra_forbidden":
        return SettingsError(name, f"unknown{f' (value {value})' if value else ''}")
    if problem["type"] == "missing":
        return SettingsError(name, "is missing")
    reason = problem["msg"].removeprefix("Value error, ")
    return SettingsError(name, f"{value} cannot be used: {reason}" if value else reason)


def _showable(place: tuple[int | str, ...], value: object) -> str | None:
    """A value for an error's sentence, unless it may be or hold a secret: a password, or tables it may stand in."""
    kept = place[0] == "security" or place[-1] in {"redis", "jobs"} or "password" in str(place[-1])
    if kept or not isinstance(value, str | int | float):
        return None
    return brief(shown(value)) if isinstance(value, str) and "://" in value else brief(value)
