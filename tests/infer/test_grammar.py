"""Answers that fit a schema: whatever tokens are drawn, the result validates."""

import json
import random

import pytest
from bytes_tokenizer import BytesTokenizer
from hypothesis import given, settings
from hypothesis import strategies as st
from shapes import random_model, tiny

from hornbook.core.errors import UserError
from hornbook.infer.config import SamplingConfig
from hornbook.infer.engine import Engine
from hornbook.infer.grammar.guide import Vocabulary
from hornbook.infer.grammar.json_text import integer_between
from hornbook.infer.grammar.machine import Machine
from hornbook.infer.grammar.schema import compile_schema

NAMES = st.sampled_from(["a", "b", "name", 'q"uote', "Ünï", "x y"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-99, 99) | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(NAMES, inner, max_size=2)
    ),
    max_leaves=4,
)


def bounded(key_low, key_high, extra, numbers):
    def build(pair):
        low, high = sorted(pair)
        return extra | {key_low: low, key_high: high}

    return st.tuples(numbers, numbers).map(build)


def objects(inner):
    return st.dictionaries(NAMES, inner, max_size=4).flatmap(
        lambda properties: st.lists(
            st.sampled_from([*properties, "more"]), unique=True, max_size=3
        ).map(
            lambda required: {
                "type": "object",
                "properties": properties,
                "required": required,
            }
        )
    )


LEAVES = st.one_of(
    st.just(True),
    st.sampled_from(["string", "integer", "number", "boolean", "null"]).map(
        lambda name: {"type": name}
    ),
    st.lists(VALUES, min_size=1, max_size=3).map(lambda values: {"enum": values}),
    VALUES.map(lambda value: {"const": value}),
    bounded("minimum", "maximum", {"type": "integer"}, st.integers(-1200, 1200)),
    bounded("minLength", "maxLength", {"type": "string"}, st.integers(0, 6)),
    st.just({"type": ["integer", "null"]}),
)
SCHEMAS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        objects(inner),
        inner.map(lambda items: {"type": "array", "items": items}),
        st.tuples(
            st.lists(inner, max_size=3), inner, st.integers(0, 4), st.integers(0, 4)
        ).map(
            lambda parts: {
                "type": "array",
                "prefixItems": parts[0],
                "items": parts[1],
                "minItems": min(parts[2:]),
                "maxItems": max(parts[2:]),
            }
        ),
        st.lists(inner, min_size=1, max_size=3).map(lambda some: {"anyOf": some}),
        inner.map(lambda some: {"type": "object", "additionalProperties": some}),
    ),
    max_leaves=5,
)


def written(machine: Machine, rng: random.Random) -> bytes:
    """A random text of the grammar; closes what is open once it is long."""
    state, text = machine.start, bytearray()
    while True:
        moves = machine.moves(state)
        if None in state and (not moves or rng.random() < 0.5 or len(text) > 60):
            return bytes(text)
        choices = list(moves)
        if len(text) > 60:
            shorter = [b for b in choices if b in b'"]}0ntf']
            choices = shorter or choices
        byte = rng.choice(choices)
        text.append(byte)
        state = moves[byte]
        assert len(text) < 5000


@settings(max_examples=150, deadline=None)
@given(SCHEMAS, st.integers(0, 10**6))
def test_every_text_of_the_grammar_validates(schema, seed):
    validator = pytest.importorskip("jsonschema").Draft202012Validator
    machine = Machine(compile_schema(schema))
    if not machine.possible:
        return
    rng = random.Random(seed)
    for _ in range(4):
        validator(schema).validate(json.loads(written(machine, rng).decode()))


LIST = {
    "$defs": {
        "node": {
            "type": "object",
            "properties": {
                "value": {"type": "integer", "minimum": 0, "maximum": 31},
                "next": {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/node"}]},
            },
            "required": ["value", "next"],
        }
    },
    "$ref": "#/$defs/node",
}
PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 8},
        "age": {"type": "integer", "minimum": 0, "maximum": 150},
        "tags": {"type": "array", "items": {"enum": ["a", "b"]}, "maxItems": 2},
    },
    "required": ["name", "age"],
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    "schema", [LIST, PERSON, {"type": "boolean"}, {"const": "é🙂"}]
)
def test_the_engine_writes_what_validates(schema):
    validator = pytest.importorskip("jsonschema").Draft202012Validator
    model = random_model(tiny(vocab_size=270, context_length=256))
    engine = Engine(model, BytesTokenizer(), 4)
    free = SamplingConfig(temperature=1.0, max_tokens=20)
    guided = SamplingConfig(temperature=1.5, max_tokens=200, schema=schema, n=8)
    *texts, beside = engine.generate([[1, 2], [3]], [guided, free])
    assert beside == engine.generate([[3]] * 9, free)[8]
    whole = [c for c in texts if c.finish_reason == "stop"]
    assert len(whole) >= 4
    for completion in whole:
        validator(schema).validate(json.loads(completion.text))
    for completion in texts:  # what was cut off is the beginning of one
        assert completion.finish_reason in ("stop", "length")


def test_masks_allow_exactly_the_tokens_that_fit():
    class Tokens(BytesTokenizer):
        words = (b'{"', b'":', b"}", b'"}', b"12", b"true", b"\xc3", b"\xa9", b'"a"')

        def __init__(self):
            super().__init__()
            self.vocab_size = 260 + len(self.words)

        def decode_bytes(self, ids):
            return b"".join(
                self.words[i - 260] if i >= 260 else bytes([i] if i < 256 else [])
                for i in ids
            )

    vocabulary = Vocabulary(Tokens(), 280, set())
    schema = {
        "type": "object",
        "properties": {"é": {"type": "integer"}},
        "required": ["é"],
    }
    guide = vocabulary.guide(schema)
    stop = frozenset({259})

    def allowed():
        return set(guide.allowed(stop).nonzero().flatten().tolist())

    assert allowed() == {ord("{"), 260}
    guide.take(260)
    assert allowed() == {0xC3, 266}
    guide.take(266)
    guide.take(267)
    assert allowed() == {ord('"'), 261}
    guide.take(261)
    assert {264, ord(" "), ord("-"), ord("1")} <= allowed()
    guide.take(264)
    assert 262 in allowed()
    assert 259 not in allowed()  # not whole yet
    guide.take(262)
    assert guide.closed
    assert allowed() == {259}


@settings(max_examples=60, deadline=None)
@given(st.integers(-3000, 3000), st.integers(-3000, 3000))
def test_ranges_of_integers_are_exact(low, high):
    machine = Machine(integer_between(low, high))
    assert machine.possible == (low <= high)
    for number in {low - 1, low, (low + high) // 2, high, high + 1, 0, -low}:
        state = machine.start
        for byte in str(number).encode():
            state = machine.moves(state).get(byte, frozenset()) if state else state
        assert (None in state) == (low <= number <= high)


REFUSED = {
    "pattern": {"type": "string", "pattern": "a+"},
    "not": {"not": {"type": "null"}},
    "uniqueItems": {"type": "array", "uniqueItems": True},
    "overlap": {"oneOf": [{"type": "integer"}, {"type": "number"}]},
    "narrowed": {"enum": [1, 2], "minimum": 2},
    "elsewhere": {"$ref": "other.json"},
    "nowhere": {"$ref": "#/$defs/x"},
    "a number": 3,
    "two at once": {"allOf": [True, {"type": "null"}]},
    "minItems": {"type": "array", "minItems": -1},
    "number bounds": {"type": "number", "minimum": 0},
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_a_grammar_cannot_keep_is_refused_by_name(name):
    with pytest.raises(UserError, match="The schema at '#"):
        compile_schema(REFUSED[name])


@pytest.mark.parametrize(
    "schema",
    [
        False,
        {"enum": []},
        {"type": "array", "minItems": 3, "maxItems": 2},
        {"type": "string", "minLength": 2, "maxLength": 1},
        {"type": "integer", "minimum": 2, "maximum": 1},
        {"type": "object", "properties": {"a": False}, "required": ["a"]},
        {"$defs": {"x": {"$ref": "#/$defs/x"}}, "$ref": "#/$defs/x"},
    ],
)
def test_what_no_text_fits_is_known_beforehand(schema):
    assert not Machine(compile_schema(schema)).possible


def test_a_vocabulary_that_cannot_spell_the_answer_says_so():
    class Letters(BytesTokenizer):
        def decode_bytes(self, ids):
            return bytes(i for i in ids if 97 <= i < 123)

    guide = Vocabulary(Letters(), 270, set()).guide({"type": "object"})
    with pytest.raises(UserError, match="no token of this vocabulary"):
        guide.allowed(frozenset({259}))
