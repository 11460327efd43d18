"""Typed, frozen settings from TOML, with errors that name the key and the nearest one.

Each room declares its settings in its own light ``config.py`` as subclasses of
:class:`Settings`; :func:`parse` turns a plain dictionary into them. msgspec does the
checking; this file turns what it finds into sentences.
"""

import difflib
import re
from functools import reduce
from operator import or_
from typing import Annotated, Any, TypeVar, get_args

import msgspec

from hornbook.core.errors import UserError

Count = Annotated[int, msgspec.Meta(ge=1)]
NonNegative = Annotated[int, msgspec.Meta(ge=0)]
Fraction = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]
Positive = Annotated[float, msgspec.Meta(gt=0.0)]
NonNegativeFloat = Annotated[float, msgspec.Meta(ge=0.0)]


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of every settings table: frozen, by keyword, unknown keys refused."""


S = TypeVar("S", bound=Settings)


def parse(kind: type[S], table: dict[str, Any], where: str) -> S:
    """Check ``table`` against ``kind``.

    ``where`` names the origin (a file) in errors. Raises :class:`UserError` for an
    unknown key, a wrong type or a value out of range.
    """
    try:
        return msgspec.convert(table, kind)
    except msgspec.ValidationError as error:
        raise UserError(f"{where}: {_explain(str(error), kind, table)}") from None


def to_table(settings: Settings) -> dict[str, Any]:
    """The plain dictionary behind ``settings``, as JSON gives it back: tuples are lists."""
    return msgspec.json.decode(msgspec.json.encode(settings))


def _explain(message: str, kind: type[Settings], table: dict[str, Any]) -> str:
    """Turn msgspec's message into a sentence with the key in the recipe's own spelling."""
    problem, _, path = message.partition(" - at `")
    key = path.rstrip("`").removeprefix("$").removeprefix(".")
    lacking = re.match(
        r"Object (contains unknown|missing required) field `(.+)`", problem
    )
    if lacking:
        name = lacking.group(2)
        full = f"{key}.{name}" if key else name
        if lacking.group(1) == "missing required":
            return f"the key '{full}' is required."
        structs = _structs_within(_type_at(kind, key, table))
        valid = [name for struct in structs for name in struct.__struct_encode_fields__]
        return f"unknown key '{full}'{_hint(name, valid)}."
    problem = problem.replace("`", "")
    problem = problem[0].lower() + problem[1:]
    if problem.startswith("invalid"):
        value = re.search(r"'(.*)'", problem)
        valid = _choices(kind, key, table)
        problem += f"; it can be {', '.join(valid)}"
        problem += _hint(value.group(1), valid) if value and len(valid) > 5 else ""
    return f"'{key}': {problem}." if key else f"{problem}."


def _hint(name: str, valid: list[str]) -> str:
    nearest = difflib.get_close_matches(name, valid, n=1, cutoff=0.5)
    return f" (did you mean '{nearest[0]}'?)" if nearest else ""


def _type_at(kind: Any, key: str, table: Any) -> Any:
    """The annotation found by following ``key`` (``data.sources[0].kind``) down from ``kind``.

    Where a tagged union stands on the way, the member named in ``table`` is taken.
    """
    place: Any = kind
    for part in re.findall(r"[^.\[\]]+|\[\d+\]", key):
        if part.startswith("["):
            table = table[int(part[1:-1])] if isinstance(table, list) else None
            structs = _structs_within(place)
            inside = get_args(place)[:1] or (None,)
            place = _member_meant(structs, table) if structs else inside[0]
        else:
            table = table.get(part) if isinstance(table, dict) else None
            place = _field_type(place, part, table)
    return place


def _field_type(struct: Any, name: str, table: Any) -> Any:
    if not (isinstance(struct, type) and issubclass(struct, msgspec.Struct)):
        return struct
    if name == struct.__struct_config__.tag_field:
        return struct
    types = {field.encode_name: field.type for field in msgspec.structs.fields(struct)}
    annotation = types.get(name)
    structs = _structs_within(annotation)
    return (
        _member_meant(structs, table)
        if isinstance(table, dict) and structs
        else annotation
    )


def _member_meant(structs: list[Any], table: Any) -> Any:
    """The one struct of a union that ``table``'s tag names; the union itself when none does."""
    for struct in structs:
        config = struct.__struct_config__
        if (
            isinstance(table, dict)
            and config.tag
            and table.get(config.tag_field) == config.tag
        ):
            return struct
    return (
        structs[0] if len(structs) == 1 else reduce(or_, structs) if structs else None
    )


def _choices(kind: Any, key: str, table: Any) -> list[str]:
    annotation = _type_at(kind, key, table)
    tags = [struct.__struct_config__.tag for struct in _structs_within(annotation)]
    return [str(tag) for tag in tags if tag] or [
        str(value) for value in get_args(annotation)
    ]


def _structs_within(annotation: Any) -> list[Any]:
    """Every settings type that ``annotation`` mentions."""
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        return [annotation]
    return [
        struct
        for argument in get_args(annotation)
        for struct in _structs_within(argument)
    ]
