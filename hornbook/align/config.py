"""Settings of post-training: chat data, instruction tuning, preferences."""

from typing import Annotated, Literal

import msgspec

from hornbook.core.settings import (
    Count,
    Fraction,
    NonNegativeFloat,
    Positive,
    Settings,
)
from hornbook.train.config import TrainConfig


class ChatDataConfig(Settings, frozen=True):
    """Conversations and preferences: made from the run's own documents, or read from files.

    ``path`` names a .jsonl or .json file, or a folder of them, holding messages, Alpaca,
    ShareGPT or preference records; ``include`` narrows a folder to files whose path in it
    matches one of its patterns, and ``holdout`` is the share kept for validation then. The
    ``task`` "arithmetic" makes sums instead, which need no documents.
    """

    path: str = ""
    include: tuple[str, ...] = ()
    task: Literal["", "arithmetic"] = ""
    holdout: Annotated[float, msgspec.Meta(ge=0.0, lt=1.0)] = 0.05
    max_pairs: Count = 20_000
    max_answer_chars: Count = 400  # of answers made from documents


class LoRAConfig(Settings, frozen=True):
    """Low-rank adapters (Hu et al. 2021): the change to a weight is scaled by alpha / rank.

    ``targets`` names the layers to adapt, such as "query"; none means all of them. With
    ``bits`` 8 or 4 the frozen weights are kept as integers (QLoRA, Dettmers et al. 2023).
    """

    rank: Count = 8
    alpha: Positive = 16.0
    targets: tuple[str, ...] = ()
    dora: bool = False
    bits: Literal[0, 4, 8] = 0  # of a frozen weight; 0: as it is


class SFTConfig(Settings, frozen=True):
    """Supervised fine-tuning: loss on the answers only.

    With ``lora`` only adapters are trained; the stage leaves them and the merged model.
    ``neftune`` is the size of the noise on the embeddings (5 is usual; 0: none). ``teacher``
    is a model directory with the same tokenizer: ``teacher_weight`` of the loss then is the
    divergence from its distribution at ``teacher_temperature`` (Hinton et al. 2015).
    """

    train: TrainConfig
    data: ChatDataConfig = ChatDataConfig()
    lora: LoRAConfig | None = None
    neftune: NonNegativeFloat = 0.0
    teacher: str = ""
    teacher_weight: Fraction = 0.5
    teacher_temperature: Positive = 1.0


class DPOConfig(Settings, frozen=True):
    """Preference optimisation: DPO (Rafailov et al. 2023) or one of its kin.

    ``beta`` is how closely the policy keeps to its reference. ``sft_weight`` adds the chosen
    answer's own loss; ``label_smoothing`` is the share of labels believed wrong (dpo; cdpo,
    where 0 stands for a tenth), ``target_margin`` the lead a chosen answer must have (simpo).
    ``length_normalised`` rewards dpo's answers per token. A precomputed ``reference`` scores
    every pair once, before training; a live one scores each batch, and needs no file.
    """

    train: TrainConfig
    loss: Literal["dpo", "cdpo", "ipo", "kto", "orpo", "simpo"] = "dpo"
    beta: Positive = 0.1
    sft_weight: NonNegativeFloat = 0.0
    label_smoothing: Annotated[float, msgspec.Meta(ge=0.0, lt=0.5)] = 0.0
    target_margin: NonNegativeFloat = 0.5
    length_normalised: bool = False
    reference: Literal["precomputed", "live"] = "precomputed"
    lora: LoRAConfig | None = None


class RewardConfig(Settings, frozen=True):
    """A reward model (Bradley-Terry): one number for how good an answer is.

    ``centre`` keeps rewards around zero; ``margin`` asks for a lead as large as the data's
    own scores differ, where they have any.
    """

    train: TrainConfig
    centre: NonNegativeFloat = 0.0
    margin: bool = False


class RolloutConfig(Settings, frozen=True):
    """What every way to learn from rewards has: exercises, answers, and when to stop.

    A round answers ``prompts`` exercises ``group`` times each; ``train.batch`` is not used.
    ``reward`` says how answers are judged (rewards.py), or names a function of your own as
    ``file.py:name``. Exercises come from the chat data, or from the JSON or JSONL files of
    ``path``.
    """

    train: TrainConfig
    reward: str = (
        "defines"  # defines, parses, answer, tests, regex, json, or file.py:name
    )
    path: str = ""
    pattern: str = ""  # of "regex": what the whole answer must match
    prompts: Count = 8
    max_tokens: Count = 96
    clip: Positive = 0.2  # how far the ratio may move in one round
    seconds: Positive = 3.0  # of the clock, for the tests or the function of one answer
    max_kl: NonNegativeFloat = (
        10.0  # nats a token beyond which it is a collapse; 0: off
    )
    min_entropy: NonNegativeFloat = 0.0  # nats a token below which it is one
    min_reward: Fraction = 0.3  # of the best mean so far, below which it is one; 0: off
    judged: Count = 64  # held-out exercises that validation asks


class GRPOConfig(RolloutConfig, frozen=True):
    """Group-relative policy optimisation (Shao et al. 2024, arXiv 2402.03300).

    The answers of a round serve ``updates`` steps.
    """

    variant: Literal["grpo", "dapo", "dr_grpo", "rloo"] = "dr_grpo"
    group: Annotated[int, msgspec.Meta(ge=2)] = 8
    updates: Count = 1
    clip_high: NonNegativeFloat = 0.0  # the clip upwards; 0: as clip, under dapo 0.28
    kl: NonNegativeFloat = 0.0  # weight of the divergence from the start; 0: none


class PPOConfig(RolloutConfig, frozen=True):
    """Proximal policy optimisation (Schulman et al. 2017) with a learned value of each place.

    The answers of a round serve ``epochs`` passes in ``minibatches`` steps each. The weight
    ``kl`` of the divergence from the start is taken from the rewards, and moves so that the
    divergence of a whole answer comes to ``target_kl`` nats (0: it stays as it is). The
    ``reward`` "model" asks the run's own reward model.
    """

    group: Count = 1
    epochs: Count = 4
    minibatches: Count = 2
    kl: NonNegativeFloat = 0.05
    target_kl: NonNegativeFloat = 6.0
    horizon: Count = 10_000  # answers in which the weight may move e-fold, about
    discount: Fraction = 1.0
    trace: Fraction = 0.95  # lambda of the generalised advantage
    value_weight: NonNegativeFloat = 0.1
    value_clip: Positive = 0.2

    @property
    def updates(self) -> int:
        """How many steps a round's answers serve."""
        return self.epochs * self.minibatches
