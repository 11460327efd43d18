"""Settings of post-training: chat data, instruction tuning, preferences."""

from typing import Annotated, Literal

import msgspec

from hornbook.core.settings import Count, NonNegativeFloat, Positive, Settings
from hornbook.train.config import TrainConfig


class ChatDataConfig(Settings, frozen=True):
    """Conversations and preferences: made from the run's own documents, or read from files.

    ``path`` names a .jsonl or .json file, or a folder of them, holding messages, Alpaca,
    ShareGPT or preference records; ``holdout`` is the share kept for validation then.
    """

    path: str = ""
    holdout: Annotated[float, msgspec.Meta(ge=0.0, lt=1.0)] = 0.05
    max_pairs: Count = 20_000
    max_answer_chars: Count = 400  # of answers made from documents


class LoRAConfig(Settings, frozen=True):
    """Low-rank adapters (Hu et al. 2021): the change to a weight is scaled by alpha / rank.

    ``targets`` names the layers to adapt, such as "query"; none means all of them.
    """

    rank: Count = 8
    alpha: Positive = 16.0
    targets: tuple[str, ...] = ()
    dora: bool = False


class SFTConfig(Settings, frozen=True):
    """Supervised fine-tuning: loss on the answers only.

    With ``lora`` only adapters are trained; the stage leaves them and the merged model.
    ``neftune`` is the size of the noise on the embeddings (5 is usual; 0: none).
    """

    train: TrainConfig
    data: ChatDataConfig = ChatDataConfig()
    lora: LoRAConfig | None = None
    neftune: NonNegativeFloat = 0.0


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


class GRPOConfig(Settings, frozen=True):
    """Group-relative policy optimisation (Shao et al. 2024, arXiv 2402.03300).

    A step answers ``prompts`` exercises ``group`` times each; ``train.batch`` is not used.
    """

    train: TrainConfig
    variant: Literal["grpo", "dapo", "dr_grpo", "rloo"] = "dr_grpo"
    prompts: Count = 8
    group: Annotated[int, msgspec.Meta(ge=2)] = 8
    max_tokens: Count = 96
