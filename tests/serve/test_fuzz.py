"""Bodies nobody meant to send: each is answered by its schema, or refused with a 4xx."""

import json
import random
import string

import pytest
from loopback import send

PATHS = ("/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/tokenize")
KEYS = (
    *("prompt", "messages", "input", "tokens", "model", "temperature", "top_p", "n"),
    *("stop", "stream", "stream_options", "max_tokens", "logprobs", "top_logprobs"),
    *("logit_bias", "response_format", "tools", "tool_choice", "seed", "echo", "user"),
)
VALUES = (
    *(
        None,
        True,
        False,
        0,
        1,
        -1,
        2**63,
        -(2**80),
        1e308,
        0.5,
        "",
        "a",
        "\x00",
        "\ud800",
    ),
    *([], {}, [[]], [0], [-1], [2**40], ["a", 1], {"a": {}}, [None], "tiny", "🐈" * 50),
    *({"type": "json_schema", "json_schema": {"name": "x", "schema": {"$ref": "#"}}},),
    *([{"role": "user", "content": "a"}], [{"role": "root", "content": []}]),
)


def nested(dice, depth=0):
    kind = dice.random()
    if depth > 3 or kind < 0.6:
        return dice.choice(VALUES)
    if kind < 0.8:
        return [nested(dice, depth + 1) for _ in range(dice.randrange(3))]
    return {
        dice.choice(KEYS): nested(dice, depth + 1) for _ in range(dice.randrange(3))
    }


def bodies(count, seed=1):
    dice = random.Random(seed)
    for _ in range(count):
        value = {dice.choice(KEYS): nested(dice) for _ in range(dice.randrange(5))}
        data = json.dumps(value).encode()
        if dice.random() < 0.2:  # not even JSON
            place = dice.randrange(len(data))
            data = (
                data[:place] + dice.choice(string.punctuation).encode() + data[place:]
            )
        yield dice.choice(PATHS), data


def test_random_bodies_never_make_the_server_fail(address):
    for path, body in bodies(300):
        answer = send(address, "POST", path, body)
        assert answer.status < 500, (path, body, answer.body)
        if answer.status != 200:
            assert set(answer.json["error"]) == {"message", "type", "param", "code"}


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b'{"prompt": ' + b"[" * 50_000,
        b'{"prompt": NaN}',
        b'{"prompt": "a", "temperature": NaN}',
        b'{"prompt": "a", "temperature": Infinity}',
        b"\xff\xfe",
        b"",
        b"null",
        b'"text"',
        b'{"prompt": "' + b"a" * 2_000_000 + b'"}',
    ],
)
def test_a_body_that_is_no_request_is_a_4xx(address, body):
    answer = send(address, "POST", "/v1/completions", body)
    assert 400 <= answer.status < 500
    assert answer.json["error"]["message"]


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "array", "minItems": 10**9},
        {"type": "string", "maxLength": 10**9},
        {"$ref": "#"},
        {"enum": []},
        {"type": "object", "properties": {"a": False}, "required": ["a"]},
        {"type": "string", "pattern": "(a+)+"},
        json.loads('{"items":' * 300 + "true" + "}" * 300),
    ],
)
def test_a_schema_made_to_hurt_is_refused_or_kept_in_time(address, schema):
    shape = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    messages = [{"role": "user", "content": "a"}]
    body = {"messages": messages, "response_format": shape, "max_tokens": 5}
    answer = send(address, "POST", "/v1/chat/completions", body)
    assert answer.status in (200, 400), answer.body


@pytest.mark.slow
def test_schemathesis_finds_no_answer_that_the_openapi_document_does_not_promise(
    running,
):
    schemathesis = pytest.importorskip("schemathesis")
    from hypothesis import HealthCheck, given, settings
    from schemathesis.checks import not_a_server_error
    from schemathesis.specs.openapi.checks import (
        response_schema_conformance,
        status_code_conformance,
    )

    schema = schemathesis.openapi.from_url(f"{running.address}/openapi.json")
    checks = [not_a_server_error, response_schema_conformance, status_code_conformance]
    for operation in schema.get_all_operations():
        api = operation.ok()

        @given(case=api.as_strategy())
        @settings(
            max_examples=15, deadline=None, suppress_health_check=list(HealthCheck)
        )
        def holds(case):
            case.call_and_validate(checks=checks)

        holds()
