"""`deltaic completion`: the script with which a shell completes this command's names and options."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

__all__ = ["completion"]

_VARIABLE = "_DELTAIC_COMPLETE"
"""The environment variable by which the shell asks the command for completions; click derives it from the name."""


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the script that lets SHELL complete this command.

    bash: eval "$(deltaic completion bash)" in ~/.bashrc. zsh: the same with zsh, in ~/.zshrc, after compinit. fish:
    deltaic completion fish > ~/.config/fish/completions/deltaic.fish
    """
    complete_class = get_completion_class(shell)
    assert complete_class is not None
    click.echo(complete_class(ctx.find_root().command, {}, "deltaic", _VARIABLE).source())
