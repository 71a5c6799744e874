"""`nfq-guard completion`: the shell's completion script."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class


@click.command(
    "completion",
    epilog="""\b
Examples:
  nfq-guard completion bash > /etc/bash_completion.d/nfq-guard
  nfq-guard completion zsh > "${fpath[1]}/_nfq-guard"
  nfq-guard completion fish > ~/.config/fish/completions/nfq-guard.fish""",
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print the script that teaches a shell to complete nfq-guard."""
    completion = get_completion_class(shell)
    assert completion is not None  # noqa: S101 - click has these three
    root = ctx.find_root().command
    click.echo(completion(root, {}, "nfq-guard", "_NFQ_GUARD_COMPLETE").source())
