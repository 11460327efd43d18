import pytest

from hornbook.align.chat_shapes import read_record
from hornbook.align.messages import Conversation, Preference, assistant, user

PLAIN = Conversation([user("Hi?"), assistant("Ho.")])


@pytest.mark.parametrize(
    "record",
    [
        {"messages": [user("Hi?"), assistant("Ho.")]},
        {"messages": [user("Hi?"), assistant("Ho."), user("And then?")]},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "Hi?"}]},
                      assistant("Ho.")]},
        {"conversations": [{"from": "human", "value": "Hi?"},
                           {"from": "gpt", "value": "Ho."}]},
        {"instruction": "Hi?", "input": "", "output": "Ho."},
        {"instruction": "Hi?", "context": "", "response": "Ho."},
        {"prompt": "Hi?", "completion": "Ho."},
        {"question": "Hi?", "answer": "Ho."},
    ],
)  # fmt: skip
def test_the_shapes_people_have_read_alike(record):
    assert read_record(record) == [PLAIN]


@pytest.mark.parametrize(
    "record",
    [
        {"prompt": "Hi?", "chosen": "Ho.", "rejected": "No."},
        {"prompt": [user("Hi?")], "chosen": [assistant("Ho.")],
         "rejected": [assistant("No.")]},
        {"chosen": [user("Hi?"), assistant("Ho.")],
         "rejected": [user("Hi?"), assistant("No.")]},
        {"chosen": "\n\nHuman: Hi?\n\nAssistant: Ho.",
         "rejected": "\n\nHuman: Hi?\n\nAssistant: No."},
        {"instruction": "Hi?", "input": "", "output": "Ho.", "chosen": "Ho.",
         "rejected": "No."},
    ],
)  # fmt: skip
def test_preferences_give_the_pair_and_a_conversation(record):
    assert read_record(record) == [PLAIN, Preference([user("Hi?")], "Ho.", "No.")]


def test_context_and_system_prompt_are_kept():
    record = {
        "system": "Be brief.",
        "instruction": "Sum up.",
        "input": "A b.",
        "output": "A",
    }
    (conversation,) = read_record(record)
    assert conversation.messages == [
        {"role": "system", "content": "Be brief."},
        user("Sum up.\n\nA b."),
        assistant("A"),
    ]


@pytest.mark.parametrize(
    ("record", "why"),
    [
        ({"messages": [{"content": "Hi?"}]}, "message 1 has no role"),
        ({"messages": [{"role": "wizard", "content": "x"}]}, "unknown role 'wizard'"),
        ({"messages": [user("Hi?"), assistant(" ")]}, "message 2 is an empty answer"),
        ({"messages": [user("Hi?")]}, "no answer by the assistant"),
        ({"messages": []}, "no messages"),
        ({"instruction": "Hi?", "output": ""}, "message 2 is an empty answer"),
        ({"text": "Hi?"}, "no known shape, its keys are text"),
        ({"prompt": "Hi?", "chosen": "Ho.", "rejected": "Ho."}, "are the same"),
        ({"chosen": "Ho.", "rejected": "No."}, "have no prompt"),
        ({"chosen": "\n\nHuman: A\n\nAssistant: B",
          "rejected": "\n\nHuman: C\n\nAssistant: D"}, "different prompts"),
        ([1, 2], "not an object"),
    ],
)  # fmt: skip
def test_faults_are_named(record, why):
    with pytest.raises(ValueError, match=why):
        read_record(record)
