"""Showing what a recipe needs on many GPUs."""

import msgspec
from rich.table import Table
from rich.text import Text

from hornbook.cluster_plan import ClusterOutlook, cluster_outlook, table
from hornbook.core.progress import short_number
from hornbook.recipe import Recipe
from hornbook.show import console
from hornbook.train.parallel.layout import AXES


def show_cluster(
    recipe: Recipe, gpus: int, gpu: str | None, price: float, as_json: bool
) -> None:
    """Layout, memory, traffic, speed and money of ``recipe`` on ``gpus`` GPUs."""
    outlook = cluster_outlook(recipe, gpus, gpu, price)
    if as_json:
        console.print_json(msgspec.json.encode(table(outlook)).decode())
        return
    console.print(rows(outlook))


def rows(outlook: ClusterOutlook) -> Table:
    """The outlook in rows."""
    step, layout = outlook.step, outlook.layout
    shown = Table(show_header=False, box=None, pad_edge=False)
    shown.add_column(style="bold")
    shown.add_column()

    def row(name: str, text: str) -> None:
        shown.add_row(name, Text(text))

    axes = ", ".join(
        f"{a} {getattr(layout, a)}" for a in AXES if getattr(layout, a) > 1
    )
    row("on", f"{outlook.gpus} x {outlook.cluster.gpu.name}, 8 in a node")
    row("parallel", f"{axes or 'nothing to share'} ({outlook.why})")
    if outlook.recompute:
        row("", "pretrain.recompute = true")
    for name, size in step.memory.items():
        row(f"  {name}", f"{size / 1e9:8.2f} GB")
    room = outlook.cluster.gpu.memory / 1e9
    verdict = "fits" if outlook.fits else "does not fit"
    row("memory", f"{step.total_memory / 1e9:8.2f} GB of {room:.0f} GB: {verdict}")
    for axis, sent in step.traffic.items():
        row(f"  along {axis}", f"{sent / 1e9:8.2f} GB a step to each GPU")
    for cause, took in step.seconds.items():
        row(f"  {cause}", f"{took:8.3f} s")
    row("a step", f"{step.total_seconds:8.3f} s of {short_number(step.tokens)} tokens")
    if step.bubble:
        row("bubble", f"{step.bubble:.1%} of the time")
    each = step.tokens_per_second / outlook.gpus
    row(
        "speed", f"{short_number(step.tokens_per_second)} tokens/s, {each:,.0f} per GPU"
    )
    row("MFU", f"{step.mfu:.1%}")
    row("time", f"{outlook.days:,.1f} days")
    row("energy", f"{outlook.kwh / 1000:,.0f} MWh")
    row("money", f"${outlook.dollars:,.0f}")
    return shown
