"""Commands for clusters: start a recipe there, and do a share of a data stage."""

from pathlib import Path
from typing import Any

import click

from hornbook.commands.options import SET


@click.command()
@click.argument("recipe")
@click.option(
    "--on",
    "system",
    required=True,
    type=click.Choice(["slurm", "kubernetes", "torchrun", "ray"]),
    help="What starts the processes.",
)
@click.option("--nodes", type=int, default=1, show_default=True)
@click.option("--gpus-per-node", "per_node", type=int, default=8, show_default=True)
@click.option("--cpu", is_flag=True, help="So many processes a node, without GPUs.")
@click.option("--hours", type=int, default=24, show_default=True)
@click.option("--image", default="hornbook:latest", show_default=True)
@click.option("--claim", default="hornbook", show_default=True, help="Volume of pods.")
@click.option("--runs", default="runs", show_default=True, help="Seen by all nodes.")
@click.option("--python", default="python", show_default=True)
@click.option("--until", default="", metavar="STAGE", help="Stop after this stage.")
@click.option("--submit", is_flag=True, help="Hand it to the system, too.")
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("launch"), show_default=True
)
@SET
def launch(recipe: str, system: str, submit: bool, out: Path, **options: Any) -> None:
    """Write the scripts or manifests that start RECIPE on a cluster.

    They are short and commented, to be read and changed. Numbers of nodes and GPUs that
    [parallel] doesn't fit are refused here rather than in the queue.
    """
    from hornbook.launch.job import Job, write
    from hornbook.launch.job import submit as hand_in
    from hornbook.launching import check_fit
    from hornbook.recipe import load

    loaded = load(recipe, options["overrides"])
    job = Job(recipe=recipe, name=loaded.name, **options)
    if system != "ray":
        check_fit(loaded, job.nodes * job.per_node)
    paths = write(job, system, out)
    for path in paths:
        click.echo(f"Wrote {path}.")
    if submit:
        click.echo(hand_in(system, paths))


@click.command()
@click.argument("recipe")
@click.option("--stage", required=True, help="extract, filter or split.")
@click.option(
    "--share", required=True, metavar="I/N", help="Every N-th unit from I on."
)
@click.option(
    "--runs", type=click.Path(path_type=Path), default=Path("runs"), show_default=True
)
@SET
def units(
    recipe: str, stage: str, share: str, runs: Path, overrides: tuple[str, ...]
) -> None:
    """Do a share of a data stage's units, beside other jobs that do the rest.

    `hornbook run` then finds them done. Start one job for each share, in any order.
    """
    from hornbook.launching import do_share
    from hornbook.recipe import load

    told = do_share(load(recipe, overrides), stage, share, runs)
    click.echo(told)
