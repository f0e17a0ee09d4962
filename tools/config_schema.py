"""The JSON Schema of the configuration file, for editors.

``python -m tools.config_schema docs/config.schema.json`` writes it.
"""

import json
import sys
from pathlib import Path
from typing import Any, Final

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from exporter.config.models import ConfigFile

_EMPTY: Final[tuple[object, ...]] = (None, [], {})


class _FileSchema(GenerateJsonSchema):
    """Omits what the file does not have: nulls, and defaults that are empty."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        described = super().default_schema(schema)
        if described.get("default") in _EMPTY:
            described.pop("default", None)
        return described

    def field_title_should_be_set(self, _schema: Any) -> bool:
        return False


def schema() -> dict[str, Any]:
    """Return the JSON Schema of the configuration file."""
    generated = ConfigFile.model_json_schema(schema_generator=_FileSchema)
    return {"$schema": _FileSchema.schema_dialect, **generated}


def document() -> str:
    """Return the text of the schema's file."""
    return f"{json.dumps(schema(), indent=2)}\n"


def main() -> None:
    """Write the schema into the file that the command line names."""
    Path(sys.argv[1]).write_text(document(), "utf-8")


if __name__ == "__main__":
    main()
