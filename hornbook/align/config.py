"""Settings of post-training: chat data, instruction tuning, preferences."""

from typing import Annotated

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


class SFTConfig(Settings, frozen=True):
    """Supervised fine-tuning: loss on the answers only."""

    train: TrainConfig
    data: ChatDataConfig = ChatDataConfig()


class DPOConfig(Settings, frozen=True):
    """Direct preference optimisation (Rafailov et al. 2023, arXiv 2305.18290)."""

    train: TrainConfig
    beta: Positive = 0.1
    sft_weight: NonNegativeFloat = (
        0.0  # adds the chosen answer's own loss; 0 is plain DPO
    )
