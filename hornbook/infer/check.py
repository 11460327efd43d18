"""Why a request can't be served, in one sentence; the others in its batch go on."""

from hornbook.infer.config import SamplingConfig
from hornbook.infer.request import Request

LARGEST_TOP = 100  # log-probabilities of alternatives per token; more is a mistake

# (setting, least, most): what else a setting may not be.
RANGES: tuple[tuple[str, float, float], ...] = (
    ("max_tokens", 1, float("inf")),
    ("temperature", 0, float("inf")),
    ("top_k", 0, float("inf")),
    ("top_p", 0, 1),
    ("min_p", 0, 1),
    ("frequency_penalty", -2, 2),
    ("presence_penalty", -2, 2),
    ("n", 1, float("inf")),
    ("logprobs", 0, LARGEST_TOP),
)


def refusal(request: Request, context_length: int, vocab_size: int) -> str:
    """What is wrong with ``request``; empty if nothing."""
    prompt = request.prompt
    if not prompt:
        return "The prompt is empty, and this tokenizer has no <|endoftext|> to start from."
    if len(prompt) > context_length:
        return (
            f"The prompt has {len(prompt)} tokens, and the model's context holds "
            f"{context_length}; shorten it."
        )
    strange = next((i for i in prompt if not 0 <= i < vocab_size), None)
    if strange is not None:
        return f"The prompt holds the id {strange}, outside the vocabulary of {vocab_size}."
    return setting_refusal(request.sampling, vocab_size)


def setting_refusal(sampling: SamplingConfig, vocab_size: int) -> str:
    """The first setting out of its range; empty if there is none."""
    for name, least, most in RANGES:
        value = getattr(sampling, name)
        if value is not None and not least <= value <= most:
            return f"'{name}' is {value}; it can be {_range(least, most)}."
    if not 0 < sampling.repetition_penalty < float("inf"):
        return f"'repetition_penalty' is {sampling.repetition_penalty}; it must be above 0."
    for token, bias in sampling.logit_bias.items():
        if not 0 <= token < vocab_size:
            return f"'logit_bias' names the id {token}; ids go up to {vocab_size - 1}."
        if not -100 <= bias <= 100:
            return f"'logit_bias' of the id {token} is {bias}; it can be -100 to 100."
    return ""


def _range(least: float, most: float) -> str:
    return f"{least} or more" if most == float("inf") else f"{least} to {most}"
