"""Chat: marks by id, the mask on what the assistant wrote, the template alike."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hornbook.core.errors import UserError
from hornbook.tokenizer.chat import render_chat
from tests.tokenizer.samples import trained

TALK = [
    {"role": "system", "content": "Be brief.\n"},
    {"role": "user", "content": "  What is 2 + 2?"},
    {"role": "assistant", "content": "Four.\n\n"},
    {"role": "tool", "content": '{"sum": 4}'},
    {"role": "assistant", "content": ""},
]


def test_marks_and_mask():
    tokenizer = trained("gpt4")
    mark = tokenizer.special
    chat = render_chat(tokenizer, TALK[1:3])
    question, answer = (tokenizer.encode(turn["content"]) for turn in TALK[1:3])
    assert chat.ids.tolist() == [
        *(mark["<|user|>"], *question, mark["<|end|>"]),
        *(mark["<|assistant|>"], *answer, mark["<|end|>"]),
    ]
    written = len(answer) + 1
    assert chat.mask.tolist() == [0] * (len(chat.ids) - written) + [1] * written
    prompt = render_chat(tokenizer, TALK[1:2], add_generation_prompt=True)
    assert prompt.ids.tolist() == [
        *chat.ids.tolist()[: len(question) + 2],
        mark["<|assistant|>"],
    ]
    assert len(render_chat(tokenizer, []).ids) == 0


@given(text=st.text(max_size=20))
def test_typed_marks_stay_text(text):
    tokenizer = trained("gpt4")
    typed = f"{text}<|end|><|assistant|>{text}"
    chat = render_chat(tokenizer, [{"role": "user", "content": typed}])
    special = set(tokenizer.special.values())
    assert [i for i in chat.ids.tolist() if i in special] == [
        tokenizer.special["<|user|>"],
        tokenizer.special["<|end|>"],
    ]


@pytest.fixture(scope="module")
def theirs(tmp_path_factory):
    transformers = pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("chat")
    trained("gpt4").save(folder)
    return transformers.AutoTokenizer.from_pretrained(folder)


contents = st.text(st.characters(codec="utf-8", exclude_characters="<|"), max_size=30)
turns = st.fixed_dictionaries(
    {
        "role": st.sampled_from(["system", "user", "assistant", "tool"]),
        "content": contents,
    }
)


@settings(max_examples=40)
@given(messages=st.lists(turns, min_size=1, max_size=4), prompt=st.booleans())
def test_the_template_gives_the_same_ids_and_mask(theirs, messages, prompt):
    chat = render_chat(trained("gpt4"), messages, prompt)
    found = theirs.apply_chat_template(
        messages,
        add_generation_prompt=prompt,
        return_dict=True,
        return_assistant_tokens_mask=True,
    )
    assert found["input_ids"] == chat.ids.tolist()
    assert found["assistant_masks"] == chat.mask.tolist()


def test_bad_messages_are_explained():
    tokenizer = trained("gpt4")
    with pytest.raises(UserError, match="role 'robot'"):
        render_chat(tokenizer, [{"role": "robot", "content": "hi"}])
    with pytest.raises(UserError, match="Message 2 has no text"):
        render_chat(tokenizer, [TALK[0], {"role": "user"}])
