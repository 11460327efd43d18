"""What counts as a call of a tool, and how a schema survives being moved."""

import json

import pytest

from hornbook.infer.grammar.machine import Machine
from hornbook.infer.grammar.schema import compile_schema
from hornbook.serve.requests import ChatRequest, ToolCall
from hornbook.serve.tools import Toolbox, spell

TREE = {
    "type": "object",
    "properties": {"leaf": {"$ref": "#/$defs/leaf"}},
    "required": ["leaf"],
    "additionalProperties": False,
    "$defs": {"leaf": {"type": "integer"}},
}


def toolbox(choice="auto", **functions):
    tools = [
        {"type": "function", "function": {"name": name, "parameters": parameters}}
        for name, parameters in functions.items()
    ]
    asked = {"messages": [{"role": "user", "content": "a"}], "tools": tools}
    return Toolbox.of(ChatRequest(**asked, tool_choice=choice))


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ('{"name": "grow", "arguments": {"leaf": 1}}', ["grow"]),
        (
            '[{"name": "grow", "arguments": {}}, {"name": "cut", "arguments": {}}]',
            ["grow", "cut"],
        ),
        (' {"name": "grow", "arguments": {}}\n', ["grow"]),
        ('{"name": "burn", "arguments": {}}', []),
        ('{"name": "grow"}', []),
        ('{"name": "grow", "arguments": "leaf"}', []),
        ('{"name": "grow", "arguments": {}} and more', []),
        ('[{"name": "grow", "arguments": {}}, 1]', []),
        ("plain text", []),
        ("[]", []),
        ("[" * 100_000, []),
    ],
)
def test_only_a_whole_call_of_a_known_tool_is_one(text, names):
    calls = toolbox(grow=TREE, cut=None).read(text)
    assert [call["function"]["name"] for call in calls] == names


def test_a_call_is_spelled_as_it_was_read():
    text = '{"name": "grow", "arguments": {"leaf": 1}}'
    tools = toolbox(grow=TREE)
    (call,) = tools.read(text)
    assert spell([ToolCall(**call)]) == text
    assert tools.read(spell([ToolCall(**call)] * 2))[1]["function"] == call["function"]


def test_references_within_parameters_still_lead_somewhere():
    schema = toolbox("required", grow=TREE, cut=None).schema()
    machine = Machine(compile_schema(schema))

    def fits(value):
        state = machine.start
        for byte in json.dumps(value).encode():
            moves = machine.moves(state)
            if byte not in moves:
                return False
            state = moves[byte]
        return None in state

    assert fits({"name": "grow", "arguments": {"leaf": 7}})
    assert not fits({"name": "grow", "arguments": {"leaf": "7"}})
    assert fits({"name": "cut", "arguments": {"any": [1]}})
    assert not fits({"name": "burn", "arguments": {}})


def test_no_text_is_held_back_where_there_are_no_tools():
    assert not toolbox("none", grow=TREE).may_be_call("{")
    assert toolbox(grow=TREE).may_be_call(" {")
    assert not toolbox(grow=TREE).may_be_call("It is {")
