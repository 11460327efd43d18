"""What the benches share: CPU seconds, a bar that holds or not, and the result file."""

import json
import os
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

from hornbook.core.files import write_json
from hornbook.gather import processor
from hornbook.pipeline import versions

RESULTS = Path(__file__).parent / "results"
DATA = Path(__file__).parents[2] / "shared" / "data"
DATA_STAGES = ("extract", "filter", "dedup", "split", "shards")
# The end of a recipe of which only the data stages run.
NO_TRAINING = """
[model]
n_layers = 1
d_model = 64
n_heads = 1
n_kv_heads = 1
context_length = 64
[pretrain]
steps = 1
"""


def cpu(work: Callable[[], object], repeats: int = 3) -> float:
    """The least CPU seconds of ``repeats`` runs."""
    seconds = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        seconds.append(time.process_time() - start)
    return min(seconds)


def bar(
    what: str,
    value: float,
    least: float | None = None,
    most: float | None = None,
    unit: str = "",
) -> dict[str, Any]:
    """One line of a result: a value, and the bound it must keep to."""
    limit = least if least is not None else most
    assert limit is not None
    holds = value >= limit if least is not None else value <= limit
    sign = ">=" if least is not None else "<="
    print(f"  {what}: {value:.4g} {unit} (bar {sign} {limit:g})", flush=True)
    return {
        "what": f"{what}, {unit}" if unit else what,
        "value": value,
        "bar": f"{sign} {limit:g}",
        "holds": holds,
    }


def finish(
    name: str,
    quick: bool,
    bars: list[dict[str, Any]],
    peers: tuple[str, ...] = (),
    part: bool = False,
    **more: Any,
) -> None:
    """Print the result as one line of JSON; the full run of a bench is also kept.

    Where only ``part`` of a bench has run, the other bars stay as they were measured; those
    of another machine say which.
    """
    path = RESULTS / f"{name}.json"
    machine = {"processor": processor(), "cores": os.cpu_count()}
    if part and path.exists():
        measured = {bar["what"] for bar in bars}
        earlier = json.loads(path.read_text())
        where = {"machine": earlier["machine"]} if earlier["machine"] != machine else {}
        kept = [bar for bar in earlier["bars"] if bar["what"] not in measured]
        bars = [where | bar for bar in kept] + bars
    result = {
        "bench": name,
        "quick": quick,
        "bars": bars,
        **more,
        "machine": machine,
        "versions": versions() | {p: v for p in peers if (v := _version(p))},
    }
    if not quick:
        write_json(path, result)
    print(json.dumps(result))


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""
