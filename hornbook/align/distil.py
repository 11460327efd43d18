"""Distillation: learn a teacher's whole distribution, not only the token that came.

Hinton et al. 2015 (arXiv 1503.02531). The teacher is a model directory on the disk, of any
family that Hornbook reads, with the student's own tokenizer: token 17 must mean the same.
"""

from pathlib import Path

import torch
from torch import Tensor, nn

from hornbook.core.errors import UserError
from hornbook.data.batch import IGNORE, Batch
from hornbook.model.huggingface import load_model
from hornbook.model.transformer import Transformer
from hornbook.tokenizer.base import Tokenizer, load_tokenizer
from hornbook.train.objective import Loss, Objective, cross_entropy

PROBE = "def f(x): return 1 + x  # It's 2 o'clock; naïve 字"


def load_teacher(directory: Path, tokenizer: Tokenizer, vocab_size: int) -> Transformer:
    """The frozen teacher. Raises :class:`UserError` when its tokens are not the student's."""
    if not directory.is_dir():
        raise UserError(f"'sft.teacher': {directory} is no folder.")
    teacher = load_model(directory).eval().requires_grad_(False)
    theirs = load_tokenizer(directory)
    alike = theirs.encode(PROBE) == tokenizer.encode(PROBE)
    if teacher.config.vocab_size != vocab_size or not alike:
        raise UserError(
            f"'sft.teacher': {directory} has a vocabulary of {teacher.config.vocab_size}, "
            f"or splits text in another way than the run's of {vocab_size}; start the run "
            "with the teacher's tokenizer (`hornbook import`)."
        )
    return teacher


def distillation(teacher: nn.Module, weight: float, temperature: float) -> Objective:
    """``1 - weight`` of the usual cross-entropy and ``weight`` of :func:`divergence`.

    Summed over the targets that count; metrics ``nats`` and ``divergence`` are the two.
    """

    def objective(model: nn.Module, batch: Batch) -> Loss:
        counted = batch.targets != IGNORE
        with torch.no_grad():
            theirs = teacher(batch.tokens, segments=batch.segments)[counted]
        ours = model(batch.tokens, segments=batch.segments)[counted]
        nats = cross_entropy(ours, batch.targets[counted])
        apart = divergence(ours, theirs, temperature)
        total = (1 - weight) * nats + weight * apart
        return Loss(total, {"nats": nats.detach(), "divergence": apart.detach()})

    return objective


def divergence(ours: Tensor, theirs: Tensor, temperature: float) -> Tensor:
    """KL(teacher || student) at ``temperature``, times its square, summed; logits (n, v).

    The square keeps the gradient's size the same at any temperature.
    """
    student = (ours.float() / temperature).log_softmax(-1)
    teacher = (theirs.float() / temperature).log_softmax(-1)
    return (teacher.exp() * (teacher - student)).sum() * temperature**2
