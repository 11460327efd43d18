"""Tools in a conversation: how the model hears of them, and how its calls are read.

A call is spelled as in the chat data that models are tuned on here, JSON and nothing else::

    {"name": "get_weather", "arguments": {"city": "Bern"}}

or a list of such objects. Where a call is demanded, the grammar allows nothing else; where
it is left to the model, its answer counts as a call if it is one, whole, of a known tool.
"""

import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hornbook.serve.errors import ApiError
from hornbook.serve.requests import ChatRequest, Tool, ToolCall, ToolChoice

BEGINNINGS = ("{", "[")


@dataclass(frozen=True)
class Toolbox:
    """The tools of one request, and whether one must be called."""

    tools: list[Tool]
    forced: bool

    @classmethod
    def of(cls, asked: ChatRequest) -> "Toolbox":
        """What ``asked`` offers. Raises a 422 for a choice that is not among the tools."""
        tools, choice = asked.tools or [], asked.tool_choice
        if choice == "none":
            return cls([], False)
        if isinstance(choice, ToolChoice):
            tools = [t for t in tools if t.function.name == choice.function.name]
            if not tools:
                told = f"There is no tool '{choice.function.name}' among 'tools'."
                raise ApiError(422, told, "invalid_value", "tool_choice")
        elif choice is not None and not tools:
            told = "'tool_choice' needs 'tools'."
            raise ApiError(422, told, "invalid_value", "tool_choice")
        return cls(tools, choice == "required" or isinstance(choice, ToolChoice))

    def instructions(self) -> str:
        """What the model is told before the conversation; empty without tools."""
        if not self.tools:
            return ""
        listed = [
            {
                "name": tool.function.name,
                "description": tool.function.description or "",
                "parameters": tool.function.parameters or {},
            }
            for tool in self.tools
        ]
        lines = "\n".join(json.dumps(tool, ensure_ascii=False) for tool in listed)
        return (
            "You can call these functions:\n"
            f"{lines}\n"
            'To call one, answer with {"name": ..., "arguments": {...}} and nothing else.'
        )

    def schema(self) -> dict[str, Any]:
        """What an answer that must be a call fits."""
        definitions = {}
        for number, tool in enumerate(self.tools):
            known = tool.function.parameters or {"type": "object"}
            definitions[f"arguments{number}"] = _moved(known, f"arguments{number}")
        calls = [
            {
                "type": "object",
                "properties": {
                    "name": {"const": tool.function.name},
                    "arguments": {"$ref": f"#/$defs/arguments{number}"},
                },
                "required": ["name", "arguments"],
                "additionalProperties": False,
            }
            for number, tool in enumerate(self.tools)
        ]
        return {"anyOf": calls, "$defs": definitions}

    def may_be_call(self, text: str) -> bool:
        """Whether an answer that begins like this can still turn out to be a call."""
        begun = text.lstrip()
        return bool(self.tools) and (not begun or begun.startswith(BEGINNINGS))

    def read(self, text: str) -> list[dict[str, Any]]:
        """The calls that ``text`` is, as the API words them; none if it is something else."""
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            return []
        found = value if isinstance(value, list) else [value]
        names = {tool.function.name for tool in self.tools}
        calls = [_call(item, names) for item in found]
        return [call for call in calls if call] if all(calls) else []


def spell(calls: Sequence[ToolCall]) -> str:
    """The text that a model wrote to make ``calls``."""
    spelled = [
        f'{{"name": {json.dumps(call.function.name)}, "arguments": '
        f"{call.function.arguments}}}"
        for call in calls
    ]
    return spelled[0] if len(spelled) == 1 else f"[{', '.join(spelled)}]"


def _call(item: Any, names: set[str]) -> dict[str, Any] | None:
    if not isinstance(item, dict) or item.keys() != {"name", "arguments"}:
        return None
    if item["name"] not in names or not isinstance(item["arguments"], dict):
        return None
    arguments = json.dumps(item["arguments"], ensure_ascii=False)
    return {
        "id": f"call_{uuid.uuid4().hex[:24]}",
        "type": "function",
        "function": {"name": item["name"], "arguments": arguments},
    }


def _moved(schema: Any, to: str) -> Any:
    """A schema that lies under ``$defs`` now: its references to itself lead there."""
    if isinstance(schema, list):
        return [_moved(item, to) for item in schema]
    if not isinstance(schema, dict):
        return schema
    moved = {key: _moved(value, to) for key, value in schema.items()}
    target = moved.get("$ref")
    if isinstance(target, str) and target.startswith("#"):
        moved["$ref"] = f"#/$defs/{to}{target[1:]}"
    return moved
