"""The entry point of ``sentry-stats-exporter`` and of ``python -m exporter``."""

import sys

from exporter import signals


def main() -> None:
    """Run the command that the arguments name."""
    signals.watch(sys.argv[1:])
    # Only now: importing the commands takes most of a second, during which signals may come.
    from exporter.cli import main as commands  # noqa: PLC0415

    commands()


if __name__ == "__main__":
    main()
