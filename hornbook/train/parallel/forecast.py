"""A shared-out training on paper: memory, traffic, idle time and speed of one step.

No torch here. Everything is counted from the shapes, but for the constants below, which say
what real machines reach; docs/scaling.md holds them against published measurements.
"""

from dataclasses import dataclass

from hornbook.model import sizes
from hornbook.model.config import ModelConfig
from hornbook.train.config import TrainConfig
from hornbook.train.hardware import Machine
from hornbook.train.parallel.config import ParallelConfig
from hornbook.train.parallel.layout import AXES, copies, n_pieces
from hornbook.train.plan import RESERVE, activations, optimizer_numbers

EFFICIENCY = 0.405  # of the peak, what compiled blocks of wide matrices reach
RECOMPUTED = {"none": 0.0, "half": 1 / 6, "all": 1 / 3}  # more operations
KEPT = {"none": 1.0, "half": 0.31, "all": 0.0}  # of a block: every other product
NARROW = 4096  # matrices of fewer rows and columns than this are slower in proportion


@dataclass(frozen=True)
class Cluster:
    """Machines of ``per_node`` GPUs; bytes a second to and from each GPU, near and far.

    ``near`` within a node (NVLink, what collectives reach), ``far`` between nodes.
    """

    gpu: Machine
    per_node: int = 8
    near: float = 300e9
    far: float = 50e9


@dataclass(frozen=True)
class Forecast:
    """One step of one GPU: bytes by part, bytes sent by axis, seconds by cause.

    ``bubble`` is the share of time that a pipeline stands idle.
    """

    memory: dict[str, float]
    traffic: dict[str, float]
    seconds: dict[str, float]
    bubble: float
    tokens: int  # of the whole step
    mfu: float

    @property
    def total_memory(self) -> float:
        """Bytes of all parts."""
        return sum(self.memory.values())

    @property
    def total_seconds(self) -> float:
        """Of all causes."""
        return sum(self.seconds.values())

    @property
    def tokens_per_second(self) -> float:
        """Of all GPUs together."""
        return self.tokens / self.total_seconds


def forecast(
    model: ModelConfig,
    train: TrainConfig,
    layout: ParallelConfig,
    cluster: Cluster,
    recompute: str = "",
) -> Forecast:
    """What a step of ``train`` needs, in bfloat16, with the axes of ``layout`` all set.

    ``recompute`` "half" stands for the selective kind; empty: as ``train`` says.
    """
    recompute = recompute or ("all" if train.recompute else "none")
    gpus = 1
    for axis in AXES:
        gpus *= getattr(layout, axis)
    tokens = train.batch * model.context_length
    pieces = n_pieces(
        -(-train.batch // copies(layout)), train.micro_batch, layout.pipeline
    )
    stages = layout.pipeline * (2 if layout.schedule == "interleaved" else 1)
    bubble = (layout.pipeline - 1) / (pieces * stages / layout.pipeline)
    memory = _memory(model, train, layout, pieces, recompute)
    traffic = _traffic(model, train, layout, pieces, recompute)
    flops = tokens * sizes.flops_per_token(model)
    width = min(model.d_model, sizes.d_ff(model)) / layout.tensor**0.5
    reached = cluster.gpu.peak * EFFICIENCY * min(1.0, (width / NARROW) ** 0.25)
    compute = flops * (1 + RECOMPUTED[recompute]) / gpus / reached
    seconds = {"computing": compute, "idle in the pipeline": compute * bubble}
    for axis, sent in traffic.items():
        took = sent / _bandwidth(layout, axis, cluster)
        if axis in ("shard", "data", "context"):  # hidden behind the blocks' work
            hidden = compute * (1 - 1 / model.n_layers)
            took = max(took - hidden, 1.5 * took / model.n_layers)
        seconds[f"talking along {axis}"] = took
    total = sum(seconds.values())
    return Forecast(
        memory,
        traffic,
        seconds,
        bubble / (1 + bubble),
        tokens,
        flops / gpus / total / cluster.gpu.peak,
    )


def _memory(
    model: ModelConfig,
    train: TrainConfig,
    layout: ParallelConfig,
    pieces: int,
    recompute: str,
) -> dict[str, float]:
    """Bytes by part on the fullest GPU."""
    parts = sizes.parameters(model)
    count = sum(parts.values())
    routed = 0.0
    if model.experts:
        routed = parts["feed-forward"] * model.experts.count
        routed /= model.experts.count + model.experts.shared
    split = layout.tensor * layout.pipeline
    held = (count - routed) / split / (layout.shard * layout.expert * layout.context)
    held += routed / split / layout.expert / (layout.shard * layout.context)
    rows = -(-train.batch // copies(layout)) / pieces
    local = model.context_length / layout.context / layout.tensor
    block = activations(model, 1) / model.context_length * rows * local * 2.0
    stream = rows * local * model.d_model * 2.0
    layers = model.n_layers / layout.pipeline
    in_flight = min(pieces, layout.pipeline) if layout.schedule != "gpipe" else pieces
    kept = block * KEPT[recompute] + (stream if recompute != "none" else 0.0)
    logit_rows = rows * model.context_length / layout.context
    head = min(train.logit_chunk or logit_rows, logit_rows)
    per_layer = (count - 2 * parts["embedding"]) / model.n_layers / layout.tensor
    gathered = 2 * per_layer if layout.reshard else per_layer * layers
    many = layout.shard * layout.context > 1
    return {
        "weights": 4.0 * held,
        "gradients": 4.0 * held,
        "optimizer": 4.0 * held * optimizer_numbers(model, train) / count,
        "gathered weights": (2.0 + 4.0) * gathered if many else 2.0 * per_layer,
        "activations": layers * kept * in_flight
        + (block if recompute != "none" else 0.0)
        + 3 * stream,
        "logits": head * model.vocab_size / layout.tensor * (2.0 + 8.0),
        "the rest": RESERVE,
    }


def _traffic(
    model: ModelConfig,
    train: TrainConfig,
    layout: ParallelConfig,
    pieces: int,
    recompute: str,
) -> dict[str, float]:
    """Bytes each GPU receives in a step, by axis."""
    parts = sizes.parameters(model)
    count = sum(parts.values()) / layout.tensor / layout.pipeline
    again = 1.5 if recompute == "all" else 1.0
    rows = -(-train.batch // copies(layout))
    tokens = rows * model.context_length / layout.context
    layers = model.n_layers / layout.pipeline
    found: dict[str, float] = {}
    shards = layout.shard * layout.expert * layout.context
    if shards > 1:
        gathers = (2 if layout.reshard else 1) * 2.0  # forward and backward, 16 bits
        found["shard"] = count * (gathers + 4.0) * (shards - 1) / shards * pieces
    if layout.data > 1:
        found["data"] = 2 * 4.0 * count / shards * (layout.data - 1) / layout.data
    if layout.tensor > 1:
        passes = 4 * (1 + again) / 2 * 2  # two gathers and two scatters each way
        each = tokens * model.d_model * 2.0 * (layout.tensor - 1) / layout.tensor
        found["tensor"] = passes * layers * each
    if layout.context > 1:
        heads, key, value = sizes.cache_shape(model)
        each = tokens * (layout.context - 1) * heads * (key + value) / layout.tensor
        found["context"] = 2.0 * layers * each * (again + 1)
    if layout.pipeline > 1:
        stages = 2 if layout.schedule == "interleaved" else 1
        found["pipeline"] = 2 * 2.0 * tokens * model.d_model * stages
    if layout.expert > 1 and model.experts:
        away = (layout.expert - 1) / layout.expert
        sent = tokens * model.experts.active * model.d_model * 2.0 * away
        found["expert"] = 4 * layers * sent * (again + 1) / 2
    return found


def _bandwidth(layout: ParallelConfig, axis: str, cluster: Cluster) -> float:
    """Bytes a second that each GPU receives along ``axis``.

    A group with several GPUs in each node uses all their links between nodes.
    """
    inner = 1
    for name in reversed(AXES):
        size = getattr(layout, name)
        if name == axis or (axis == "shard" and name in ("context", "expert")):
            span = inner * size
            if axis == "shard":
                span = layout.tensor * layout.context * layout.shard * layout.expert
                inner = layout.tensor
            if span <= cluster.per_node:
                return cluster.near
            together = max(1, min(cluster.per_node // inner, span // inner))
            return min(cluster.near, cluster.far * together)
        inner *= size
    return cluster.far
