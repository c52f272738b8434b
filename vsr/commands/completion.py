"""`vsr completion`: the script that makes a shell complete our flags."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print the completion script of SHELL (bash, zsh or fish), to be read by the shell when it starts.

    \b
    vsr completion bash >> ~/.bashrc
    vsr completion zsh  >> ~/.zshrc
    vsr completion fish > ~/.config/fish/completions/vsr.fish
    """
    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(ctx.find_root().command, {}, "vsr", "_VSR_COMPLETE").source())
