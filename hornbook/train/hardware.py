"""What machines can do: known GPUs, and this processor, measured.

No torch at the top: planning reads the table without it. Peaks are the makers' dense
bfloat16 figures; prices are round numbers for renting one, and change: `--price` overrides.
"""

import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Machine:
    """A device: operations per second in bfloat16, memory in bytes, watts, dollars an hour."""

    name: str
    peak: float
    memory: float
    watts: float
    price: float = 0.0


def _gpu(name: str, tera: float, gigabytes: int, watts: int, price: float) -> Machine:
    return Machine(name, tera * 1e12, gigabytes * 1e9, watts, price)


GPUS = {
    gpu.name.lower(): gpu
    for gpu in (
        _gpu("B200", 2250, 180, 1000, 5.00),
        _gpu("H200", 989, 141, 700, 3.50),
        _gpu("H100", 989, 80, 700, 2.50),
        _gpu("A100", 312, 80, 400, 1.50),
        _gpu("L40S", 362, 48, 350, 1.00),
        _gpu("A10", 125, 24, 150, 0.60),
        _gpu("L4", 121, 24, 72, 0.60),
        _gpu("RTX 5090", 209, 32, 575, 0.70),
        _gpu("RTX 4090", 165, 24, 450, 0.40),
        _gpu("RTX 3090", 71, 24, 350, 0.25),
        _gpu("T4", 65, 16, 70, 0.35),
    )
}
USUAL_MFU = 0.40  # of the peak, what a decent training of a small model reaches
CPU_WATTS = 15.0  # per core, a round number; RAPL says better where it can be read


def known_gpu(name: str) -> Machine | None:
    """The row of the table whose name occurs in ``name`` (as the driver spells it)."""
    words = name.lower().replace("-", " ")
    found = [gpu for key, gpu in GPUS.items() if f" {key} " in f" {words} "]
    return max(found, key=lambda gpu: len(gpu.name), default=None)


def measured_peak(precision: str, seconds: float = 0.2) -> float:
    """The most operations per second that plain matrix products reach on this processor.

    ``precision`` is float32, bfloat16 or float16.
    """
    import torch

    size = 768
    dice = torch.Generator().manual_seed(0)
    a = torch.randn(size, size, generator=dice).to(getattr(torch, precision))
    best, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end:
        started = time.perf_counter()
        torch.matmul(a, a)
        best = min(best, time.perf_counter() - started)
    return 2 * size**3 / best


def peak_of(device: str, precision: str) -> float:
    """Operations per second ``device`` can reach: known for a GPU, measured for a CPU.

    0 where neither is possible.
    """
    import torch

    if device.startswith("cuda"):
        gpu = known_gpu(torch.cuda.get_device_name())
        return gpu.peak if gpu else 0.0
    return measured_peak(precision) if device == "cpu" else 0.0
