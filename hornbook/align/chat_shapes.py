"""One record of a chat data set, whatever its shape, as conversations and preferences.

Recognised by their keys: messages (OpenAI), conversations (ShareGPT), instruction and
output (Alpaca, Dolly), prompt and completion, question and answer (GSM8K), chosen and
rejected (as texts, as lists of messages, or as HH-RLHF's "Human: … Assistant: …"), rated
completions (UltraFeedback), trees of ranked replies (OASST).
"""

import re
from typing import Any

import msgspec

from hornbook.align.messages import (
    ROLES,
    Conversation,
    Message,
    Preference,
    assistant,
    user,
)

ROLE_NAMES = {role: role for role in ROLES} | {
    "human": "user",
    "prompter": "user",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "bot": "assistant",
    "model": "assistant",
    "function_call": "assistant",
    "function": "tool",
    "observation": "tool",
    "developer": "system",
}
QUESTION_KEYS = ("instruction", "prompt", "question", "query", "text")
CONTEXT_KEYS = ("input", "context")
ANSWER_KEYS = ("output", "response", "completion", "answer", "solution")
HH_TURN = re.compile(r"\n\n(Human|Assistant):")


def read_record(record: Any) -> list[Conversation | Preference]:
    """What one record holds. Raises ValueError saying why it can't be used."""
    if isinstance(record, str):
        raise ValueError(record)
    if not isinstance(record, dict):
        raise ValueError("not an object with keys")
    if isinstance(record.get("prompt"), dict) and "replies" in record["prompt"]:
        return _tree(record["prompt"])
    if isinstance(record.get("completions"), list):
        return _rated(record)
    if "chosen" in record and "rejected" in record:
        preference = _preference(record)
        chosen = [*preference.prompt, assistant(preference.chosen)]
        return [Conversation(chosen), preference]
    for key in ("messages", "conversations", "conversation"):
        if key in record:
            return [Conversation(_conversation(record[key], record.get("system")))]
    question, answer = question_of(record), first_of(record, ANSWER_KEYS)
    if question is None or answer is None:
        raise ValueError(f"no known shape, its keys are {', '.join(record) or 'none'}")
    return [Conversation(_conversation([*question, assistant(answer)], None))]


def read_messages(value: Any) -> list[Message]:
    """Messages in our own form. Raises ValueError naming the message that has a fault."""
    if not isinstance(value, list) or not value:
        raise ValueError("no messages")
    return [_message(message, number) for number, message in enumerate(value, 1)]


def _message(message: Any, number: int) -> Message:
    if not isinstance(message, dict):
        raise ValueError(f"message {number} is not an object")
    name = message.get("role", message.get("from"))
    if name is None:
        raise ValueError(f"message {number} has no role")
    role = ROLE_NAMES.get(str(name).lower())
    if role is None:
        raise ValueError(f"message {number} has the unknown role '{name}'")
    content = _text(first_of(message, ("content", "value", "text")))
    calls = message.get("tool_calls")
    if not content.strip() and calls:
        content = msgspec.json.encode(calls).decode()
    if not content.strip() and role in ("user", "assistant"):
        whose = "answer" if role == "assistant" else "question"
        raise ValueError(f"message {number} is an empty {whose}")
    return {"role": role, "content": content}


def _text(content: Any) -> str:
    """Plain text, or the text parts of a list of parts."""
    if isinstance(content, list):
        parts = (part.get("text") for part in content if isinstance(part, dict))
        return "".join(part for part in parts if isinstance(part, str))
    return content if isinstance(content, str) else ""


def _conversation(value: Any, system: Any) -> list[Message]:
    """Messages up to the last answer; a last question nobody answered is left off."""
    messages = read_messages(value)
    while messages and messages[-1]["role"] != "assistant":
        messages.pop()
    if not messages:
        raise ValueError("no answer by the assistant")
    if isinstance(system, str) and system.strip() and messages[0]["role"] != "system":
        messages.insert(0, {"role": "system", "content": system})
    return messages


def _preference(record: dict[str, Any]) -> Preference:
    chosen, rejected = (_dialogue(record[key]) for key in ("chosen", "rejected"))
    prompt = question_of(record) or chosen[:-1]
    if not prompt:
        raise ValueError("chosen and rejected have no prompt")
    if len(chosen) > 1 and chosen[:-1] != rejected[:-1]:
        raise ValueError("chosen and rejected answer different prompts")
    answers = chosen[-1]["content"], rejected[-1]["content"]
    if answers[0] == answers[1]:
        raise ValueError("chosen and rejected are the same")
    return Preference(prompt, *answers, margin=_margin(record))


def _margin(record: dict[str, Any]) -> float:
    """By how much the chosen answer was scored higher; 0 where nothing says."""
    scores = [record.get(key) for key in ("score_chosen", "score_rejected")]
    if all(isinstance(score, int | float) for score in scores):
        return float(scores[0] - scores[1])  # type: ignore[operator]
    margin = record.get("margin")
    return float(margin) if isinstance(margin, int | float) else 0.0


def _rated(record: dict[str, Any]) -> list[Conversation | Preference]:
    """Several rated answers to one prompt (UltraFeedback): the best over the worst."""
    prompt = question_of(record)
    rated = [
        (float(c["overall_score"]), c["response"])
        for c in record["completions"]
        if isinstance(c, dict)
        and isinstance(c.get("overall_score"), int | float)
        and isinstance(c.get("response"), str)
        and c["response"].strip()
    ]
    if prompt is None or not rated:
        raise ValueError("no prompt, or no completion with a response and a score")
    worst, best = min(rated), max(rated)
    found: list[Conversation | Preference] = [
        Conversation([*prompt, assistant(best[1])])
    ]
    if best[0] > worst[0]:
        found.append(Preference(prompt, best[1], worst[1], best[0] - worst[0]))
    return found


def _tree(root: dict[str, Any]) -> list[Conversation | Preference]:
    """An OASST tree: the conversation along the best replies, and at each of the
    assistant's turns the best-ranked reply over the worst.
    """
    messages: list[Message] = []
    found: list[Conversation | Preference] = []
    node: dict[str, Any] | None = root
    while node is not None:
        messages.append(_message(node, len(messages) + 1))
        replies = [r for r in node.get("replies") or [] if _accepted(r)]
        replies.sort(key=lambda r: (r.get("rank") is None, r.get("rank") or 0))
        ranked = [r for r in replies if r.get("rank") is not None]
        if len(ranked) > 1 and ranked[0].get("role") == "assistant":
            best, worst = ranked[0]["text"], ranked[-1]["text"]
            if best != worst:
                found.append(Preference(list(messages), best, worst))
        node = replies[0] if replies else None
    return [Conversation(_conversation(messages, None)), *found]


def _accepted(reply: Any) -> bool:
    """Whether a reply of a tree stands: not deleted, not refused by its reviewers."""
    return (
        isinstance(reply, dict)
        and not reply.get("deleted")
        and reply.get("review_result") is not False
        and isinstance(reply.get("text"), str)
        and bool(reply["text"].strip())
    )


def _dialogue(value: Any) -> list[Message]:
    """The turns of one side of a preference, the answer last."""
    if isinstance(value, str) and HH_TURN.match(value):
        _, *parts = HH_TURN.split(value)
        pairs = zip(parts[::2], parts[1::2], strict=True)
        value = [{"role": role, "content": text.strip()} for role, text in pairs]
    elif isinstance(value, str):
        value = [assistant(value)]
    elif isinstance(value, dict):
        value = [value]
    messages = read_messages(value)
    if messages[-1]["role"] != "assistant":
        raise ValueError("a preference must end in an answer")
    return messages


def question_of(record: dict[str, Any]) -> list[Message] | None:
    """The prompt of a record that is not a list of turns; None when it has none."""
    asked = first_of(record, QUESTION_KEYS)
    if isinstance(asked, list):
        return read_messages(asked)
    if not isinstance(asked, str) or not asked.strip():
        return None
    context = first_of(record, CONTEXT_KEYS)
    context = context if isinstance(context, str) and context.strip() else ""
    system = record.get("system")
    start = [{"role": "system", "content": system}] if isinstance(system, str) else []
    return [*start, user(f"{asked}\n\n{context}" if context else asked)]


def first_of(record: dict[str, Any], keys: tuple[str, ...]) -> Any:
    """The first value there is among those of ``keys``."""
    return next((record[key] for key in keys if record.get(key) is not None), None)
