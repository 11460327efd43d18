"""A training that tests start as its own process, or as several: job.py FOLDER."""

import sys
import time
from pathlib import Path

import msgspec

from hornbook.core.errors import StoppedEarly, UserError
from hornbook.model.huggingface import load_model, save_model
from hornbook.train.backend import choose_backend
from hornbook.train.loop import Hooks, train
from hornbook.train.objective import next_token
from hornbook.train.parallel.config import ParallelConfig
from hornbook.train.parallel.layout import filled
from hornbook.train.parallel.ranks import Ranks, join, leave
from hornbook.train.parallel.started import started_as_one_of_many, told
from tests.train.parallel import cases

CONFIG = msgspec.structs.replace(cases.TRAIN, steps=30, checkpoint_every=5)


def main(directory: Path) -> None:
    directory.mkdir(exist_ok=True)
    made, team = cases.model(), None
    if started_as_one_of_many():
        device, _ = join("cpu", 1800.0)
        count = int(told("WORLD_SIZE", "SLURM_NTASKS"))
        team = Ranks(filled(ParallelConfig(), count), device)

    def batches(step):
        time.sleep(0.05)  # time for a test to strike
        return cases.batch(step)

    def read(folder):
        made.load_state_dict(load_model(folder).state_dict())

    train(
        made,
        next_token,
        batches,
        CONFIG,
        directory,
        Hooks(save_model, read),
        backend=choose_backend(CONFIG, "cpu"),
        seed=1,
        label="job",
        team=team,
    )
    leave()


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]))
    except StoppedEarly as stopped:
        print(stopped, flush=True)
        sys.exit(75)
    except UserError as error:
        print(error, flush=True)
        sys.exit(1)
