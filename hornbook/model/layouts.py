"""The families of models whose directories we write and read, one :class:`Layout` each.

A layout translates settings and tensor names both ways. It can express a model if the
settings come back the same from its ``config.json``; :func:`layout_for` asks each in turn,
and our own layout, which can express everything, comes last.
"""

from typing import Any, Protocol

from torch import Tensor

from hornbook.core.errors import UserError
from hornbook.core.settings import parse, to_table
from hornbook.model.config import ModelConfig
from hornbook.model.layout_gpt2 import GPT2
from hornbook.model.layout_llama import Llama, Mixtral, Qwen2, Qwen3
from hornbook.model.layout_rope import resolved


class Layout(Protocol):
    """How a family writes a model's settings and names its tensors."""

    model_type: str

    def to_table(self, config: ModelConfig) -> dict[str, Any]:
        """The contents of ``config.json``; settings without a key there are dropped."""
        ...

    def from_table(self, table: dict[str, Any], where: str) -> ModelConfig:
        """Read ``config.json``; ``where`` names it in errors.

        Raises :class:`UserError` for what we can't represent.
        """
        ...

    def export(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """Our named tensors as theirs."""
        ...

    def load(
        self, tensors: dict[str, Tensor], config: ModelConfig
    ) -> dict[str, Tensor]:
        """Their named tensors as ours."""
        ...

    def tidy(
        self, tensors: dict[str, Tensor], config: ModelConfig
    ) -> dict[str, Tensor]:
        """Without what some writers store beside the weights, under current names."""
        ...


class Hornbook(Llama):
    """Our own: every setting under our own key, tensors under Llama's names or ours."""

    model_type = "hornbook"

    def to_table(self, config: ModelConfig) -> dict[str, Any]:
        """The settings as they are."""
        return {"model_type": self.model_type, "hornbook": to_table(config)}

    def from_table(self, table: dict[str, Any], where: str) -> ModelConfig:
        """The settings as they were."""
        return parse(ModelConfig, table.get("hornbook", {}), where)


LAYOUTS: tuple[Layout, ...] = (Qwen3(), Llama(), Qwen2(), Mixtral(), GPT2(), Hornbook())


def layout_for(config: ModelConfig) -> Layout:
    """The first layout that can express ``config``."""
    return next(layout for layout in LAYOUTS if _expresses(layout, config))


def layout_of(table: dict[str, Any], where: str) -> Layout:
    """The layout of a ``config.json``. Raises :class:`UserError` for an unknown one."""
    model_type = table.get("model_type")
    for layout in LAYOUTS:
        if layout.model_type == model_type:
            return layout
    known = ", ".join(layout.model_type for layout in LAYOUTS)
    raise UserError(
        f"{where}: 'model_type' is '{model_type}', which Hornbook can't represent; it reads "
        f"{known}."
    )


def _expresses(layout: Layout, config: ModelConfig) -> bool:
    if isinstance(layout, Hornbook):
        return True
    try:
        return layout.from_table(layout.to_table(config), "") == resolved(config)
    except UserError:
        return False
