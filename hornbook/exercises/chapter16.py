"""Exercises of chapter 16: the whole run."""

from hornbook.exercises.judge import expect, expect_close


def bits_per_byte(nats_per_token: float, tokens: int, size: int) -> float:
    """Return the bits per byte of a text of `size` bytes that `tokens` tokens stand for.

    `nats_per_token` is the mean loss of its tokens.
    """
    raise NotImplementedError


def check_bits_per_byte(answer) -> None:
    """Against the definition, and where the answer is known beforehand."""
    expect_close(
        answer(0.6931471805599453 * 8, 100, 100),
        8.0,
        "Guessing evenly among all bytes",
    )
    expect_close(
        answer(3.2, 1000, 4100), 1.125992, "A loss of 3.2 on 4.1 bytes a token"
    )
    expect_close(answer(2.0, 7, 9), 2.244188, "A short text")


def redone(needs: dict[str, list[str]], changed: str) -> list[str]:
    """Return the stages that must be made anew when a setting of `changed` changes.

    `needs` lists, for every stage in the order of the run, the stages it reads. The answer
    is in the same order.
    """
    raise NotImplementedError


def check_redone(answer) -> None:
    """Chains, forks, and a stage that nothing needs."""
    needs = {
        "split": [],
        "tokenizer": ["split"],
        "shards": ["split", "tokenizer"],
        "pretrain": ["tokenizer", "shards"],
        "chatdata": ["split"],
        "sft": ["pretrain", "chatdata"],
        "evaluate": ["sft"],
    }
    for changed, want in (
        ("evaluate", ["evaluate"]),
        ("chatdata", ["chatdata", "sft", "evaluate"]),
        ("tokenizer", ["tokenizer", "shards", "pretrain", "sft", "evaluate"]),
        ("split", list(needs)),
    ):
        got = list(answer({stage: list(n) for stage, n in needs.items()}, changed))
        expect(
            got == want,
            f"After a change of {changed} it should be {', '.join(want)}; "
            "what needs a stage that is redone is redone as well, and nothing else.",
        )


def checkpoint_steps(
    save_seconds: float, step_seconds: float, hours_between_failures: float
) -> int:
    """Return how many steps apart checkpoints should lie, at least 1.

    By Young's rule, to the nearest whole number of steps.
    """
    raise NotImplementedError


def check_checkpoint_steps(answer) -> None:
    """Three machines: a good one, a bad one, and one where saving is nearly free."""
    for case, want in (
        ((30, 1.0, 24), 2277),
        ((60, 2.0, 1), 329),
        ((0.001, 5.0, 1), 1),
    ):
        got = answer(*case)
        expect(
            got == want,
            f"For {case} it should be {want:,}, not {got:,}; are all times in seconds?",
        )
