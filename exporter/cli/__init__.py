"""The commands."""

import gc
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Final

import click

from exporter import __version__
from exporter.cli.options import DEFAULT_ADDRESS

__all__ = ["DEFAULT_ADDRESS", "main"]

_NAMES: Final = ("serve", "check", "once", "simulate", "demo")


class _Commands(Mapping[str, click.Command]):
    """The commands by name; what one of them needs is imported when it is asked for."""

    def __getitem__(self, name: str) -> click.Command:
        if name not in _NAMES:
            raise KeyError(name)
        command: click.Command = getattr(_module(name), name)
        return command

    def __iter__(self) -> Iterator[str]:
        return iter(_NAMES)

    def __len__(self) -> int:
        return len(_NAMES)


@cache
def _module(name: str) -> ModuleType:
    """Import the module of a command.

    Garbage is not looked for meanwhile: what imports make stays, and a command can start sooner if
    nobody goes through it again and again.
    """
    gc.disable()
    try:
        return import_module(f"{__name__}.{name}")
    finally:
        gc.freeze()
        gc.enable()


@click.group(commands=_Commands(), context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="sentry-stats-exporter")
def main() -> None:
    """Prometheus exporter for Sentry's organization stats."""
