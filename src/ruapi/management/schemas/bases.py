"""What every schema is built on, and the shape of errors."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class Body(BaseModel):
    """Base of what is sent to us."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Row(BaseModel):
    """Base of what we send."""

    model_config = ConfigDict(extra="ignore", protected_namespaces=())


class Page(Row):
    """A part of a list. ``next`` goes into the parameter that continues it; it is absent at the end."""

    has_more: bool
    next: str | None = Field(description="Pass this on to get what follows; null at the end.")


def body_example(**values: Any) -> ConfigDict:
    """The configuration of a body with an example, which tests send as it is."""
    return ConfigDict(extra="forbid", strict=True, json_schema_extra={"examples": [values]})


class ErrorDetail(Row):
    """What is wrong."""

    code: str = Field(description="For programs; it does not change.", examples=["not_found"])
    message: str = Field(description="For people.", examples=["There is no such key."])
    fields: dict[str, str] = Field(
        default={}, description="Absent unless single fields are at fault: what is wrong with each."
    )


class ErrorAnswer(Row):
    """The shape of every error."""

    error: ErrorDetail
    request_id: str = Field(description="Also in the header x-request-id.")
