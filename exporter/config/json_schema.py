"""The file's JSON Schema, for editors."""

from typing import Any, Final

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from exporter.config.models import FileEntry

_EMPTY: Final[tuple[object, ...]] = (None, [], {})


class _FileSchema(GenerateJsonSchema):
    """Leaves out what the file does not have: nulls, and defaults that say nothing."""

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
    generated = FileEntry.model_json_schema(schema_generator=_FileSchema)
    return {"$schema": _FileSchema.schema_dialect, **generated}
