"""What the launcher said: how many processes there are, and which is this one.

No torch here: every run asks.
"""

import os


def started_as_one_of_many() -> bool:
    """Whether a launcher (torchrun, srun) started this process as one of several."""
    return int(told("WORLD_SIZE", "SLURM_NTASKS")) > 1


def rank() -> int:
    """This process's number among all that the launcher started."""
    return int(told("RANK", "SLURM_PROCID", "0"))


def told(name: str, slurm: str, otherwise: str = "1") -> str:
    """What torchrun says in ``name``; under srun alone, what Slurm says."""
    if name in os.environ:
        return os.environ[name]
    inside_step = "SLURM_STEP_ID" in os.environ and "MASTER_ADDR" in os.environ
    return os.environ.get(slurm, otherwise) if inside_step else otherwise
