"""Lines of the exposition formats. Pure.

Sample lines are the same in the text format 0.0.4 and in OpenMetrics; the lines about a family
differ.
"""

from collections.abc import Iterable, Sequence

from exporter.publish.family import Family, Type


def label_set(names: Iterable[str], values: Iterable[str]) -> str:
    """Return ``{name="value",…}``, escaped; nothing for no labels."""
    pairs = [f'{name}="{escaped(value)}"' for name, value in zip(names, values, strict=True)]
    inside = ",".join(pairs)
    return f"{{{inside}}}" if inside else ""


def escaped(value: str) -> str:
    """Return ``value`` as it is written between the quotes of a label."""
    quoted = value.replace("\\", r"\\").replace('"', r"\"")
    # Prometheus reads a NUL byte as the end of the page. Doubled, the character that stands for it
    # makes no two labels the same.
    marked = quoted.replace("\ufffd", "\ufffd\ufffd").replace("\0", "\ufffd0")
    return marked.replace("\n", r"\n")


def header(family: Family, *, openmetrics: bool) -> str:
    """Return the lines before a family's samples."""
    if not openmetrics:
        return f"# HELP {family.name} {family.help}\n# TYPE {family.name} {family.type}\n"
    name = family.name.removesuffix("_total") if family.type is Type.COUNTER else family.name
    unit = f"# UNIT {name} {family.unit}\n" if family.unit else ""
    return f"# HELP {name} {family.help}\n# TYPE {name} {family.type}\n{unit}"


def sample(family: Family, labels: Sequence[str], value: float) -> str:
    """Return the line of one sample."""
    return line(family.name, label_set(family.labels, labels), value)


def line(name: str, labels: str, value: float) -> str:
    """Return the line of one sample whose label set is written already."""
    return f"{name}{labels} {number(value)}\n"


def number(value: float) -> str:
    """Return ``value`` as the formats write it, integers without a point."""
    return str(int(value)) if value == int(value) else repr(value)
