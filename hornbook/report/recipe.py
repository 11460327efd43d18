"""The recipe as a report prints it: tables of ``key = value``, changed keys marked."""

import json
from typing import Any

Row = tuple[str, str, str | None]  # key, value, the default where it was changed


def recipe_tables(
    config: dict[str, Any], changed: dict[str, Any]
) -> list[tuple[str, list[Row]]]:
    """``config`` as (table name, rows), every nested table by its dotted name."""
    tables: list[tuple[str, list[Row]]] = []
    _collect(config, "", changed, tables)
    return tables


def _collect(
    table: dict[str, Any],
    name: str,
    changed: dict[str, Any],
    tables: list[tuple[str, list[Row]]],
) -> None:
    rows: list[Row] = []
    nested: list[tuple[str, dict[str, Any]]] = []
    for key, value in table.items():
        path = f"{name}.{key}" if name else str(key)
        if isinstance(value, dict):
            nested.append((path, value))
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            nested += [(f"{path}.{k}", item) for k, item in enumerate(value)]
        else:
            default = wording(changed[path]) if path in changed else None
            rows.append((str(key), wording(value), default))
    if rows:
        tables.append((name, rows))
    for path, value in nested:
        _collect(value, path, changed, tables)


def wording(value: Any) -> str:
    """A value as TOML spells it; ``none`` for what is not set."""
    if value is None:
        return "none"
    if isinstance(value, float):
        short = f"{value:g}"
        return short if set("e.n") & set(short) else f"{short}.0"
    return json.dumps(value, ensure_ascii=False)
