"""`deltaic acl`: prints the Redis users for one Redis of the fleet, with the rights that each needs and no others."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import click

from crdt_core.errors import SettingsError
from workers.config.loading import load_settings
from workers.wire.access import Role, acl_file, set_user_commands

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["acl"]

_PASSWORDS = "--passwords"


@click.command()
@click.argument("nodes", metavar="NODE...", nargs=-1, required=True)
@click.option(
    _PASSWORDS,
    "passwords_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Print a Redis ACL file instead, with the hashes of the passwords in this file.",
)
@click.pass_context
def acl(ctx: click.Context, nodes: tuple[str, ...], passwords_file: Path | None) -> None:
    """Print the Redis users for the Redis of NODE.

    Name all nodes that share it. The users are deltaic-owner for the worker of NODE, deltaic-peer for the other nodes,
    deltaic-jobs for its RQ workers and scheduler, and deltaic-inspector for people who look. So in the fleet file of a
    node's own machine, its own Redis URL names deltaic-owner, and the URLs of the other nodes name deltaic-peer.

    Without an option, the output is for redis-cli. It gives the users their rights, and leaves their passwords as they
    are: a new user has none, so nobody can log in. Then give each a password, and close the user that may do anything:

    \b
      deltaic acl n1 | redis-cli
      redis-cli ACL SETUSER deltaic-peer '>a password'
      redis-cli ACL SETUSER default off

    The file of --passwords is TOML: owner, peer, jobs and inspector, each with its password. The output is a whole ACL
    file (`aclfile` in the configuration of Redis): the user default can do nothing but PING there. Redis 7 or Valkey is
    needed.

    After an upgrade of Deltaic, print it again: a new version may need other rights.
    """
    settings = load_settings(ctx.obj)
    for name in nodes:
        settings.node(name)
    lines = set_user_commands(nodes) if passwords_file is None else acl_file(nodes, _passwords(passwords_file))
    click.echo("\n".join(lines))


def _passwords(path: Path) -> Mapping[Role, str]:
    """Return the passwords in the file `path`, by role; raises `SettingsError`, which quotes none of them."""
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise SettingsError(_PASSWORDS, f"{path} cannot be read: {error.strerror}") from error
    except ValueError:
        raise SettingsError(_PASSWORDS, f"{path} is not valid TOML") from None
    if set(content) != set(Role) or not all(isinstance(value, str) and value for value in content.values()):
        raise SettingsError(_PASSWORDS, f"{path} must have {', '.join(Role)}, each with a password, and nothing else")
    return {role: content[role] for role in Role}
