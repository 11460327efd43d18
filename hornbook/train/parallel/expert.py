"""Expert parallelism: each rank keeps some experts, and tokens travel to them and back.

As in GShard (Lepikhin et al. 2020, arXiv 2006.16668), but nothing is padded or dropped:
the ranks tell each other how many tokens come, exchange just those, and each answers for
its own experts with the code of model/experts.py.
"""

from functools import partial

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed._functional_collectives import all_to_all_single_autograd

from hornbook.model.experts import Experts
from hornbook.model.transformer import Transformer


def share_experts(model: Transformer, group: dist.ProcessGroup) -> None:
    """Leave this rank its experts of every block of ``model``, in place."""
    for block in model.blocks:
        if not isinstance(block.feed_forward, Experts):
            continue
        experts = block.feed_forward.experts
        mine = len(experts) // group.size()
        first = group.rank() * mine
        for number in range(len(experts)):
            if not first <= number < first + mine:
                # Those that stay keep their names: a checkpoint is of the whole model.
                del experts._modules[str(number)]
        experts.forward = partial(  # type: ignore[method-assign]
            travelling_answers, experts.forward, mine, group
        )


def travelling_answers(
    answers, mine: int, group: dist.ProcessGroup, x: Tensor, counts: Tensor
) -> Tensor:
    """As ``Answers.forward``: rows ``x`` sorted by expert, ``counts`` (experts,) of each."""
    sent = counts.view(group.size(), mine)
    due = torch.empty_like(sent)
    dist.all_to_all_single(due, sent.contiguous(), group=group)
    out, back = sent.sum(1).tolist(), due.sum(1).tolist()
    arrived = all_to_all_single_autograd(x.contiguous(), back, out, group)
    # By sender, and for each by expert; the product wants them by expert alone.
    expert = torch.arange(mine, device=x.device).repeat(len(due))
    expert = expert.repeat_interleave(due.flatten())
    order = expert.argsort(stable=True)
    answered = answers(arrived[order], due.sum(0))
    home = torch.empty_like(order).scatter_(
        0, order, torch.arange(len(order), device=x.device)
    )
    return all_to_all_single_autograd(answered[home], out, back, group)
