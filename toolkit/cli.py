"""The `derm-toolkit` command: from photos to a trained, evaluated run folder. Commands are loaded when they are called."""

from __future__ import annotations

import importlib

import click

from derm_sdk import __version__
from derm_sdk.cli import DermGroup

_COMMANDS = {
    "data": "derm_toolkit.data.commands",
    "train": "derm_toolkit.training.commands",
    "average": "derm_toolkit.training.commands",
    "adopt": "derm_toolkit.training.commands",
    "evaluate": "derm_toolkit.evaluation.commands",
    "report": "derm_toolkit.reporting.commands",
    "compare": "derm_toolkit.evaluation.commands",
    "explain": "derm_toolkit.explanation.commands",
    "reproduce": "derm_toolkit.reproduction.commands",
}


class LazyGroup(DermGroup):
    """A group that imports a command's module only when the command, or its help, is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        module = _COMMANDS.get(name)
        return None if module is None else getattr(importlib.import_module(module), name)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="derm-toolkit")
def main() -> None:
    """Train and evaluate models for the Derm SDK on your own photos.

    A research tool, not a medical device.
    """
