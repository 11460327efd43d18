"""Commands for post-training: look at its data, make new data from a model's own answers."""

from pathlib import Path

import click


@click.group()
def inspect() -> None:
    """Look at what a training of RUN is given."""


@inspect.command("sft")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--rows", default=2, show_default=True, help="How many packed rows.")
@click.option("--start", default=0, show_default=True, help="The first of them.")
def inspect_sft(run: Path, rows: int, start: int) -> None:
    """Packed conversations of RUN: what is trained in green, a ground for each one."""
    from hornbook.inspecting import inspect_sft

    inspect_sft(run, rows, start)


@click.command("rejection-sample")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path), help="A .jsonl.")
@click.option("--answers", "n", default=8, show_default=True, help="To each exercise.")
@click.option("--keep", default=1, show_default=True, help="Good ones kept of each.")
@click.option("--limit", default=0, help="Of the exercises; 0: all of them.")
@click.option("--device", default="auto", show_default=True)
def rejection_sample(
    run: Path, out: Path, n: int, keep: int, limit: int, device: str
) -> None:
    """Let RUN's last model answer its [grpo] exercises; write the good answers to OUT.

    OUT is chat data: name it as sft.data.path to train on it.
    """
    from hornbook.reinforcing import write_accepted

    accepted = write_accepted(run, out, n, keep, limit, device)
    click.echo(
        f"{len(accepted.conversations):,} answers in {out}: {accepted.solved:,} of "
        f"{accepted.exercises:,} exercises solved in {accepted.answers:,} answers."
    )
