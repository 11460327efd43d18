"""Settings of post-training: chat data, instruction tuning, preferences."""

from hornbook.core.settings import Count, NonNegativeFloat, Positive, Settings
from hornbook.train.config import TrainConfig


class ChatDataConfig(Settings, frozen=True):
    """Instruction and preference pairs made from the docstrings of the run's own documents."""

    max_pairs: Count = 20_000
    max_answer_chars: Count = 400


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
