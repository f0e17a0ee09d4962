"""One fuzz target under atheris, in a process of its own: libFuzzer's flags are the arguments."""

import sys

import atheris

# Only what is imported here counts as covered: the exporter, and the libraries that it parses with.
with atheris.instrument_imports(include=["exporter", "h11", "yaml"]):
    from tests.reliability.fuzz.targets import TARGETS


def main() -> None:
    """Run until libFuzzer's limits are reached; the first argument is the target's name."""
    _, name, *flags = sys.argv
    # Where it merges, libFuzzer starts itself again, with this as the beginning of a shell command.
    program = f"{sys.executable} -m tests.reliability.fuzz.instrumented {name}"
    atheris.Setup([program, *flags], TARGETS[name].read)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
