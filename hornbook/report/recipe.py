"""The recipe as a report prints it: tables of ``key = value``, changed keys marked."""

import json
from typing import Any

# Key, value, and the default where it was changed ("" on all but the first row of a list).
Row = tuple[str, str, str | None]
LONG_LIST = 26  # characters; a longer list gets a row for each of its items


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
        elif isinstance(value, list | tuple) and value and isinstance(value[0], dict):
            nested += [(f"{path}.{k}", item) for k, item in enumerate(value)]
        else:
            default = wording(changed[path]) if path in changed else None
            rows += _rows(str(key), value, default)
    if rows:
        tables.append((name, rows))
    for path, value in nested:
        _collect(value, path, changed, tables)


def _rows(key: str, value: Any, default: str | None) -> list[Row]:
    whole = wording(value)
    if not isinstance(value, list | tuple) or len(whole) <= LONG_LIST:
        return [(key, whole, default)]
    return [
        (f"{key}.{k}", wording(item), default if k == 0 or default is None else "")
        for k, item in enumerate(value)
    ]


def wording(value: Any) -> str:
    """A value as TOML spells it; ``none`` for what is not set."""
    if value is None:
        return "none"
    if isinstance(value, float):
        short = f"{value:g}"
        return short if set("e.n") & set(short) else f"{short}.0"
    return json.dumps(value, ensure_ascii=False)
