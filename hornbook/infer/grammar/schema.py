"""From a JSON Schema to a grammar of texts, each of which fits the schema.

The texts are fewer than the schema allows: members come in the order in which the schema
lists them, and no others are added to those. A keyword that a grammar can't keep (a
pattern, "not", "uniqueItems") is refused rather than ignored.
"""

import json
from typing import Any

from hornbook.core.errors import UserError
from hornbook.infer.grammar import json_text
from hornbook.infer.grammar.json_text import COLON, COMMA, exactly, listed, optional
from hornbook.infer.grammar.machine import Either, Named, Node, Repeat, Then, literal

TYPES = ("object", "array", "string", "integer", "number", "boolean", "null")
NOTES = {  # say something to people, or to nobody
    *("title", "description", "default", "examples", "deprecated", "readOnly"),
    *("writeOnly", "$schema", "$id", "$comment", "$defs", "definitions", "format"),
}
KEYWORDS = {
    "object": {"properties", "required", "additionalProperties"},
    "array": {"items", "prefixItems", "minItems", "maxItems"},
    "string": {"minLength", "maxLength"},
    "integer": {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"},
    "number": set(),
    "boolean": set(),
    "null": set(),
}
FARTHEST = 10**json_text.DIGITS - 1


def compile_schema(schema: Any) -> Node:
    """The grammar of ``schema``.

    Raises :class:`UserError` for what is no schema and for keywords that can't be kept.
    """
    return _Compiler(schema).node(schema, "")


class _Compiler:
    def __init__(self, root: Any):
        self.root = root
        self._references: dict[str, Named] = {}

    def node(self, schema: Any, where: str) -> Node:
        """The grammar of the part of the schema at ``where``."""
        if schema is True or schema == {}:
            return json_text.ANYTHING
        if schema is False:
            return Either(())
        if not isinstance(schema, dict):
            raise _problem(where, "a schema is an object, true or false")
        asked = {key: value for key, value in schema.items() if key not in NOTES}
        for key in ("$ref", "anyOf", "oneOf", "allOf"):
            if key in asked:
                return self._combined(key, asked, where)
        if "const" in asked or "enum" in asked:
            return self._values(asked, where)
        return self._typed(asked, where)

    def _combined(self, key: str, schema: dict[str, Any], where: str) -> Node:
        if len(schema) > 1:
            others = ", ".join(sorted(schema.keys() - {key}))
            raise _problem(where, f"'{key}' beside {others} can't be kept")
        value, place = schema[key], f"{where}/{key}"
        if key == "$ref":
            return self._reference(value, place)
        if not isinstance(value, list) or not value:
            raise _problem(place, "a list of schemas is wanted")
        if key == "allOf" and len(value) > 1:
            raise _problem(place, "more than one schema at once can't be kept")
        if key == "oneOf" and not _apart(value):
            raise _problem(place, "the choices may overlap; use 'anyOf'")
        parts = [self.node(part, f"{place}/{n}") for n, part in enumerate(value)]
        return Either(tuple(parts))

    def _reference(self, target: Any, where: str) -> Node:
        if not isinstance(target, str) or not target.startswith("#"):
            raise _problem(where, "only references within the schema are followed")
        if target not in self._references:
            named = self._references[target] = Named(target)
            named.node = self.node(self._find(target, where), target)
        return self._references[target]

    def _find(self, target: str, where: str) -> Any:
        place = self.root
        for part in target.removeprefix("#").strip("/").split("/"):
            name = part.replace("~1", "/").replace("~0", "~")
            if name and not (isinstance(place, dict) and name in place):
                raise _problem(where, f"there is no '{target}'")
            place = place[name] if name else place
        return place

    def _values(self, schema: dict[str, Any], where: str) -> Node:
        unknown = schema.keys() - {"const", "enum", "type"}
        if unknown or {"const", "enum"} <= schema.keys():
            raise _problem(where, "a list of values can't be narrowed further")
        values = [schema["const"]] if "const" in schema else schema["enum"]
        if not isinstance(values, list):
            raise _problem(where, "'enum' is a list")
        types = _types(schema, where)
        fitting = [value for value in values if any(_is(value, t) for t in types)]
        return Either(tuple(exactly(value) for value in fitting))

    def _typed(self, schema: dict[str, Any], where: str) -> Node:
        types = _types(schema, where)
        known = {"type"}.union(*(KEYWORDS[name] for name in types))
        for key in schema:
            if key not in known:
                raise _problem(where, f"the keyword '{key}' can't be kept")
        if "integer" in types and "number" in types:
            bounded = KEYWORDS["integer"] & schema.keys()
            if bounded:
                raise _problem(where, f"'{bounded.pop()}' of a number can't be kept")
            types.remove("integer")
        build = {
            "object": self._object,
            "array": self._array,
            "string": _string,
            "integer": _integer,
            "number": lambda *_: json_text.number(),
            "boolean": lambda *_: Either((exactly(True), exactly(False))),
            "null": lambda *_: exactly(None),
        }
        return Either(tuple(build[name](schema, where) for name in types))

    def _object(self, schema: dict[str, Any], where: str) -> Node:
        properties = dict(schema.get("properties", {}))
        others = schema.get("additionalProperties", True)
        required = schema.get("required", [])
        for name in required:
            properties.setdefault(name, others)
        if not properties:
            if others is False:
                return literal(b"{}")
            value = self.node(others, f"{where}/additionalProperties")
            return listed(b"{", Then((json_text.string(), COLON, value)), b"}")
        first: Node = literal(b"}")  # what may follow before any member, from the end
        later: Node = literal(b"}")  # and after one
        for name in reversed(properties):
            value = self.node(properties[name], f"{where}/properties/{name}")
            member = Then((exactly(name), COLON, value, later))
            after = Then((COMMA, member))
            if name in required:
                first, later = member, after
            else:
                first, later = Either((member, first)), Either((after, later))
        return Then((literal(b"{"), first))

    def _array(self, schema: dict[str, Any], where: str) -> Node:
        least = _count(schema, "minItems", 0, where)
        most = _count(schema, "maxItems", None, where)
        front = schema.get("prefixItems", [])
        parts = [
            self.node(part, f"{where}/prefixItems/{n}") for n, part in enumerate(front)
        ]
        item = self.node(schema.get("items", True), f"{where}/items")
        if not parts:
            rest = Repeat(
                Then((COMMA, item)),
                max(0, (least or 0) - 1),
                None if most is None else max(0, most - 1),
            )
            some = Either(()) if most == 0 else Then((item, rest))
            inside = some if least else optional(some)
            if most is not None and (least or 0) > most:
                inside = Either(())
            return Then((literal(b"["), inside, literal(b"]")))
        return Then((literal(b"["), _prefixed(parts, item, least or 0, most)))


def _prefixed(parts: list[Node], item: Node, least: int, most: int | None) -> Node:
    """``[a, b, item, item]``: parts by place, then items, in all ``least`` to ``most``."""
    end = literal(b"]")
    tail_most = None if most is None else most - len(parts)
    if tail_most is not None and tail_most < 0:
        parts, tail_most = parts[:most], 0
    if most is not None and least > most:
        return Either(())
    items = Repeat(Then((COMMA, item)), max(0, least - len(parts)), tail_most)
    rest: Node = Then((items, end))
    for place in range(len(parts) - 1, -1, -1):
        comma = (COMMA,) if place else ()
        taken = Then((*comma, parts[place], rest))
        rest = taken if place < least else Either((taken, end))
    return rest


def _string(schema: dict[str, Any], where: str) -> Node:
    least = _count(schema, "minLength", 0, where) or 0
    most = _count(schema, "maxLength", None, where)
    if most is not None and least > most:
        return Either(())
    return json_text.string(least, most)


def _integer(schema: dict[str, Any], where: str) -> Node:
    if not KEYWORDS["integer"] & schema.keys():
        return json_text.integer()
    bounds = {}
    for key, value in schema.items():
        if key in KEYWORDS["integer"]:
            if isinstance(value, bool) or not isinstance(value, int):
                raise _problem(where, f"'{key}' of an integer is an integer")
            bounds[key] = value
    low = max(
        bounds.get("minimum", -FARTHEST), bounds.get("exclusiveMinimum", -FARTHEST) + 1
    )
    high = min(
        bounds.get("maximum", FARTHEST), bounds.get("exclusiveMaximum", FARTHEST) - 1
    )
    return json_text.integer_between(low, high)


def _count(
    schema: dict[str, Any], key: str, default: int | None, where: str
) -> int | None:
    value = schema.get(key, default)
    wrong = isinstance(value, bool) or not isinstance(value, int) or value < 0
    if value is not None and wrong:
        raise _problem(where, f"'{key}' is a count")
    return value


def _types(schema: dict[str, Any], where: str) -> list[str]:
    types = schema.get("type", list(TYPES))
    types = [types] if isinstance(types, str) else list(types)
    for name in types:
        if name not in TYPES:
            raise _problem(where, f"there is no type '{name}'")
    return types


def _is(value: Any, kind: str) -> bool:
    """Whether ``value`` is of a JSON type; 1.0 is an integer, true isn't."""
    if kind == "integer":
        return not isinstance(value, bool) and (
            isinstance(value, int) or (isinstance(value, float) and value.is_integer())
        )
    python = {
        "object": dict,
        "array": list,
        "string": str,
        "number": (int, float),
        "boolean": bool,
        "null": type(None),
    }[kind]
    return isinstance(value, python) and not (
        kind == "number" and isinstance(value, bool)
    )


def _apart(choices: list[Any]) -> bool:
    """Whether no value fits two of the choices, as far as types and values tell."""
    seen: set[str] = set()
    for choice in choices:
        if not isinstance(choice, dict):
            return False
        if "const" in choice or "enum" in choice:
            values = [choice["const"]] if "const" in choice else choice["enum"]
            names = {json.dumps(v, sort_keys=True) for v in values}
            kinds = {k for k in TYPES for v in values if _is(v, k)}
            clash = names & seen or any(f"type {k}" in seen for k in kinds)
            seen |= names | {f"value {k}" for k in kinds}
        elif "type" in choice:
            types = choice["type"]
            kinds = {types} if isinstance(types, str) else set(types)
            kinds |= {"integer", "number"} if kinds & {"integer", "number"} else set()
            clash = any(
                f"{what} {k}" in seen for k in kinds for what in ("type", "value")
            )
            seen |= {f"type {k}" for k in kinds}
        else:
            return False
        if clash:
            return False
    return True


def _problem(where: str, what: str) -> UserError:
    return UserError(f"The schema at '#{where.removeprefix('#')}': {what}.")
