"""OpenAI's own Python client, as people have it, against our server."""

import json

import numpy as np
import openai
import pydantic
import pytest

from hornbook.infer.config import SamplingConfig
from hornbook.tokenizer.chat import render_chat

HELLO = [{"role": "user", "content": "The cat"}]


def ask(client, **more):
    asked = {"model": "tiny", "messages": HELLO, "max_tokens": 12, "seed": 1}
    return client.chat.completions.create(**{**asked, **more})


def test_the_models_are_listed_and_found_by_name(client):
    assert [model.id for model in client.models.list()] == ["tiny", "twin"]
    assert client.models.retrieve("tiny").owned_by == "hornbook"
    with pytest.raises(openai.NotFoundError) as error:
        client.models.retrieve("gpt-4")
    assert error.value.code == "model_not_found"


def test_a_chat_answer_is_what_the_engine_writes(client, engine):
    answer = ask(client, temperature=0.7, top_p=0.9)
    prompt = render_chat(engine.tokenizer, HELLO, add_generation_prompt=True)
    settings = SamplingConfig(max_tokens=12, temperature=0.7, top_p=0.9, seed=1)
    (expected,) = engine.generate([prompt.ids.tolist()], settings)
    assert answer.choices[0].message.content == expected.text
    assert answer.choices[0].finish_reason == expected.finish_reason
    assert answer.usage.prompt_tokens == len(prompt.ids)
    assert answer.usage.completion_tokens == len(expected.ids)


def test_a_streamed_answer_is_the_whole_one(client):
    whole = ask(client, n=3)
    texts = ["", "", ""]
    reasons = [None, None, None]
    chunks = list(ask(client, n=3, stream=True, stream_options={"include_usage": True}))
    for chunk in chunks:
        for choice in chunk.choices:
            texts[choice.index] += choice.delta.content or ""
            reasons[choice.index] = choice.finish_reason or reasons[choice.index]
    assert texts == [choice.message.content for choice in whole.choices]
    assert reasons == [choice.finish_reason for choice in whole.choices]
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-1].usage == whole.usage
    assert all(chunk.usage is None for chunk in chunks[:-1])


def test_no_piece_of_a_stream_ends_in_half_a_character_or_half_a_stop_string(
    client, engine
):
    ids = engine.tokenizer.encode("🐈 猫 ö🐈")
    bias = {str(token): 20 for token in ids}
    asked = {"logit_bias": bias, "max_tokens": 60, "stop": ["猫🐈", " 猫 ö"]}
    whole = ask(client, **asked).choices[0].message.content
    pieces = [
        chunk.choices[0].delta.content or ""
        for chunk in ask(client, stream=True, **asked)
    ]
    assert "".join(pieces) == whole
    assert "猫🐈" not in whole
    assert any("🐈" in piece for piece in pieces)
    unstopped = ask(client, **{**asked, "stop": None}).choices[0].message.content
    ends = [unstopped.find(stop) for stop in asked["stop"] if stop in unstopped]
    assert whole == (unstopped[: min(ends)] if ends else unstopped)


def test_logprobs_of_a_chat_are_the_engine_s(client, engine):
    answer = ask(client, logprobs=True, top_logprobs=3, temperature=0)
    prompt = render_chat(engine.tokenizer, HELLO, add_generation_prompt=True)
    settings = SamplingConfig(max_tokens=12, temperature=0, logprobs=3)
    (expected,) = engine.generate([prompt.ids.tolist()], settings)
    told = answer.choices[0].logprobs.content
    assert [t.logprob for t in told] == pytest.approx(
        [score.logprob for score in expected.scores], abs=1e-5
    )
    assert all(len(token.top_logprobs) == 3 for token in told)
    assert all(token.top_logprobs[0].logprob == token.logprob for token in told)
    text = b"".join(bytes(token.bytes) for token in told).decode(errors="replace")
    assert text == answer.choices[0].message.content


def test_streamed_logprobs_are_those_of_the_whole_answer(client):
    asked = {"logprobs": True, "top_logprobs": 2}
    whole = ask(client, **asked).choices[0].logprobs.content
    streamed = [
        token
        for chunk in ask(client, stream=True, **asked)
        if chunk.choices[0].logprobs
        for token in chunk.choices[0].logprobs.content
    ]
    assert [t.token for t in streamed] == [t.token for t in whole]
    assert [t.logprob for t in streamed] == [t.logprob for t in whole]


class Place(pydantic.BaseModel):
    city: str = pydantic.Field(max_length=6)
    warm: bool


def test_an_answer_fits_the_schema_that_was_asked_for(client):
    shape = {"type": "json_schema", "json_schema": {"name": "place", "schema": SCHEMA}}
    answer = ask(client, response_format=shape, max_tokens=100, temperature=0.5)
    found = json.loads(answer.choices[0].message.content)
    assert set(found) == {"city", "warm"}
    anything = ask(
        client, response_format={"type": "json_object"}, max_tokens=100, temperature=0
    )
    assert anything.choices[0].message.content.startswith("{")


SCHEMA = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "maxLength": 6},
        "warm": {"type": "boolean"},
    },
    "required": ["city", "warm"],
    "additionalProperties": False,
}
WEATHER = {
    "type": "function",
    "function": {"name": "weather", "description": "of a city", "parameters": SCHEMA},
}
CLOCK = {"type": "function", "function": {"name": "clock"}}


def test_a_tool_that_must_be_called_is_called(client):
    choice = {"type": "function", "function": {"name": "weather"}}
    asked = {"tools": [CLOCK, WEATHER], "tool_choice": choice, "max_tokens": 120}
    answer = ask(client, **asked).choices[0]
    assert answer.finish_reason == "tool_calls"
    (call,) = answer.message.tool_calls
    assert call.function.name == "weather"
    assert set(json.loads(call.function.arguments)) == {"city", "warm"}
    chunks = [chunk.choices[0] for chunk in ask(client, stream=True, **asked)]
    (streamed,) = [c.delta.tool_calls[0] for c in chunks if c.delta.tool_calls]
    assert streamed.function.arguments == call.function.arguments
    assert chunks[-1].finish_reason == "tool_calls"
    assert not any(chunk.delta.content for chunk in chunks)


def test_a_conversation_with_calls_and_their_answers_goes_on(client):
    call = {"name": "weather", "arguments": '{"city": "Bern"}'}
    messages = [
        *HELLO,
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "call_1", "type": "function", "function": call}],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": "12 degrees"},
    ]
    answer = ask(client, messages=messages, tools=[WEATHER], temperature=0.2)
    assert answer.choices[0].message.content is not None


def test_a_completion_echoes_its_prompt_and_stops_where_told(client, engine):
    answer = client.completions.create(
        model="tiny", prompt=["The cat", "sat on"], max_tokens=5, echo=True, seed=2, n=2
    )
    assert [choice.index for choice in answer.choices] == [0, 1, 2, 3]
    assert all(choice.text.startswith("The cat") for choice in answer.choices[:2])
    assert all(choice.text.startswith("sat on") for choice in answer.choices[2:])
    prompts = [engine.tokenizer.encode("The cat"), engine.tokenizer.encode("sat on")]
    settings = SamplingConfig(max_tokens=5, temperature=1, seed=2, n=2)
    expected = engine.generate(prompts, settings)
    texts = [
        choice.text.removeprefix("The cat").removeprefix("sat on")
        for choice in answer.choices
    ]
    assert texts == [completion.text for completion in expected]


def test_embeddings_are_unit_vectors_and_the_same_in_both_encodings(client, engine):
    inputs = ["The cat sat", "größer"]
    both = client.embeddings.create(model="tiny", input=inputs)  # base64 on the wire
    plain = client.embeddings.create(
        model="tiny", input=inputs, encoding_format="float"
    )
    for one, other in zip(both.data, plain.data, strict=True):
        assert np.allclose(one.embedding, other.embedding, atol=1e-6)
        assert np.linalg.norm(one.embedding) == pytest.approx(1, abs=1e-5)
    assert len(both.data[0].embedding) == engine.model.config.d_model
    assert not np.allclose(both.data[0].embedding, both.data[1].embedding)


def test_mistakes_raise_the_client_s_own_exceptions(client):
    with pytest.raises(openai.NotFoundError) as error:
        ask(client, model="gpt-4")
    assert (error.value.code, error.value.param) == ("model_not_found", "model")
    with pytest.raises(openai.BadRequestError) as error:
        ask(client, messages=[{"role": "user", "content": "cat " * 2000}])
    assert error.value.code == "context_length_exceeded"
    with pytest.raises(openai.UnprocessableEntityError) as error:
        ask(client, extra_body={"temprature": 1})
    assert (error.value.code, error.value.param) == ("unknown_parameter", "temprature")
    with pytest.raises(openai.UnprocessableEntityError) as error:
        ask(client, temperature="hot")
    assert error.value.param == "temperature"
    with pytest.raises(openai.BadRequestError) as error:
        pattern = {"type": "string", "pattern": "a+"}
        shape = {"type": "json_schema", "json_schema": {"name": "x", "schema": pattern}}
        ask(client, response_format=shape, stream=True)
    assert "pattern" in error.value.message


def test_the_asynchronous_client_is_served_many_at_once(address):
    import asyncio

    async def many():
        client = openai.AsyncOpenAI(
            base_url=f"{address}/v1", api_key="x", max_retries=0
        )
        asks = [
            client.completions.create(
                model="tiny", prompt=f"cat {n}", max_tokens=8, seed=n, temperature=0.9
            )
            for n in range(12)
        ]
        together = [answer.choices[0].text for answer in await asyncio.gather(*asks)]
        alone = []
        for n in range(12):
            answer = await client.completions.create(
                model="twin", prompt=f"cat {n}", max_tokens=8, seed=n, temperature=0.9
            )
            alone.append(answer.choices[0].text)
        return together, alone

    together, alone = asyncio.run(many())
    assert together == alone
