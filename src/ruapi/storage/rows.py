"""Between structs and rows: one generic mapping, so that a new column is one new field.

Lists travel as JSON text, truth values as 0 and 1; everything else is what the database holds.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

import msgspec

Row = TypeVar("Row", bound=msgspec.Struct)

_JSON_FIELDS = frozenset({"models", "allowed_ips", "input_modalities", "output_modalities"})
_TRUTH_FIELDS = frozenset({"browser_use", "strict_losses", "allow_private_address", "stream"})
_SEARCH_LENGTH_MAX = 1_000  # longer than every name; SQLite refuses patterns of 50,000
_KEYWORDS = frozenset({"window", "usage"})


def columns(struct: type[msgspec.Struct], *, of: str = "") -> str:
    """The struct's columns, quoted where SQL needs it; ``of`` is a table's alias."""
    prefix = f"{of}." if of else ""
    return ", ".join(f'{prefix}"{name}"' if name in _KEYWORDS else prefix + name for name in struct.__struct_fields__)


def insert(struct: type[msgspec.Struct], table: str) -> str:
    """INSERT INTO table with every column of the struct."""
    marks = ", ".join("?" * len(struct.__struct_fields__))
    return f"INSERT INTO {table} ({columns(struct)}) VALUES ({marks})"


def upsert(struct: type[msgspec.Struct], table: str, *, keep: tuple[str, ...] = ()) -> str:
    """INSERT or, when the id is there, replace every other column but those to keep."""
    kept = {"id", *keep}
    updates = ", ".join(f"{name} = excluded.{name}" for name in struct.__struct_fields__ if name not in kept)
    return f"{insert(struct, table)} ON CONFLICT (id) DO UPDATE SET {updates}"


def to_row(record: msgspec.Struct) -> tuple[Any, ...]:
    """The values of a struct, as the database keeps them."""
    return tuple(
        msgspec.json.encode(value).decode() if name in _JSON_FIELDS else int(value) if name in _TRUTH_FIELDS else value
        for name, value in zip(record.__struct_fields__, msgspec.structs.astuple(record), strict=True)
    )


def from_row(struct: type[Row], row: tuple[Any, ...]) -> Row:
    """A struct from the values of its columns, in order."""
    values: dict[str, Any] = {}
    for name, value in zip(struct.__struct_fields__, row, strict=True):
        if name in _JSON_FIELDS:
            values[name] = _to_tuple(msgspec.json.decode(value))
        elif name in _TRUTH_FIELDS:
            values[name] = bool(value)
        else:
            values[name] = value
    return struct(**values)


def from_rows(struct: type[Row], rows: Iterable[tuple[Any, ...]]) -> list[Row]:
    """All rows as structs."""
    return [from_row(struct, row) for row in rows]


def one(look: Any, statement: str, *bindings: Any) -> tuple[Any, ...] | None:
    """The first row of a statement that is run to its end; None when there is none."""
    rows = list(look.execute(statement, bindings))
    return rows[0] if rows else None


def find(struct: type[Row], look: Any, table: str, column: str, value: Any) -> Row | None:
    """The row of a table whose unique column has the value."""
    row = one(look, f"SELECT {columns(struct)} FROM {table} WHERE {column} = ?", value)
    return None if row is None else from_row(struct, row)


def json_text(value: Any) -> str:
    """A value as JSON, for ``json_each`` and for columns that hold JSON."""
    return msgspec.json.encode(value).decode()


def containing(text: str) -> str:
    """A pattern for ``LIKE … ESCAPE '!'`` that finds the text anywhere; ``%`` and ``_`` mean themselves."""
    escaped = text[:_SEARCH_LENGTH_MAX].replace("!", "!!").replace("%", "!%").replace("_", "!_")
    return f"%{escaped}%"


def _to_tuple(value: Any) -> Any:
    return tuple(_to_tuple(item) for item in value) if isinstance(value, list) else value
