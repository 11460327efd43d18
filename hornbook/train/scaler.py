"""Loss scaling: what keeps small gradients alive in float16.

float16 has no numbers below 6e-8, and gradients are often smaller. So the loss is multiplied
by a large ``scale`` before the backward pass and the gradient divided by it after
(Micikevicius et al. 2017, arXiv 1710.03740). The scale is as large as it can be: halved when
a gradient overflows (the step is then done again), doubled after a long time without.
"""

from dataclasses import dataclass

START = 2.0**16
PATIENCE = 1000  # steps without overflow after which a larger scale is tried


@dataclass
class LossScaler:
    """The scale now, and for how many steps it has held."""

    scale: float = START
    held: int = 0

    def accepts(self, loss_is_finite: bool, norm_is_finite: bool) -> bool:
        """Whether a step's gradient can be used; if not, it is to be done again, smaller.

        A loss that is no number has another cause than the scale, and so has a gradient
        that overflows unscaled: both are accepted here, for the guard to judge.
        """
        if norm_is_finite or not loss_is_finite or self.scale <= 1:
            self.held += 1
            if self.held % PATIENCE == 0:
                self.scale *= 2
            return True
        self.scale, self.held = self.scale / 2, 0
        return False
