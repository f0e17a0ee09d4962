"""What the models of the settings have in common: strict models, and keys with descriptions."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


def key(description: str, default: Any = ..., alias: str | None = None) -> Any:
    """Return a key of the file, and what editors show about it; without a default it is required.

    ``alias`` is the key's name in the file where the attribute has another one.
    """
    return Field(default, description=description, alias=alias)


class Model(BaseModel):
    """A mapping of the file with these keys and no others."""

    # Errors of pydantic's own would repeat the input, and a token in it.
    model_config = ConfigDict(
        extra="forbid", frozen=True, validate_default=True, hide_input_in_errors=True
    )
