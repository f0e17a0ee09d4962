"""One fuzz target under atheris, in a process of its own: libFuzzer's flags are the arguments."""

import sys

import atheris

# What parses; everything else counts as not covered, and runs at its usual speed.
_PARSERS = ["exporter.sentry", "exporter.config", "exporter.quota", "exporter.web", "h11", "yaml"]

with atheris.instrument_imports(include=_PARSERS):
    from tests.reliability.fuzz.targets import BUILD, TARGETS


def main() -> None:
    """Run until libFuzzer's limits are reached; the first argument is the target's name."""
    _, name, *flags = sys.argv
    # Where it merges, libFuzzer starts itself again, with this as the beginning of a shell command.
    program = f"{sys.executable} -m tests.reliability.fuzz.instrumented {name}"

    def read(data: bytes) -> None:
        try:
            TARGETS[name].read(data)
        except BaseException:
            # libFuzzer does not always come to write it.
            (BUILD / f"{name}.broken").write_bytes(data)
            raise

    atheris.Setup([program, *flags], read)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
