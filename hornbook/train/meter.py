"""What a step cost: tokens per second, share of the machine's peak, memory, energy."""

import math
import resource
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import torch

RAPL = Path("/sys/class/powercap")  # Intel and AMD processors count their joules here
READ_ENERGY_EVERY = 1.0  # seconds


@dataclass
class Meter:
    """Turns a step's tokens and seconds into numbers for the diary.

    ``flops_per_token`` and ``peak`` (operations per second) give the share of the peak
    reached (MFU, Chowdhery et al. 2022), ``bytes_per_token`` the loss in bits per byte; 0
    leaves the number out.
    """

    flops_per_token: float = 0.0
    peak: float = 0.0
    bytes_per_token: float = 0.0
    energy: "Energy | None" = field(default_factory=lambda: find_energy())

    def read(self, tokens: int, seconds: float, loss: float) -> dict[str, float]:
        """The numbers of a step of so many ``tokens`` and ``seconds``; memory in bytes."""
        speed = tokens / seconds
        found = {"tokens_per_second": speed, "memory": peak_memory()}
        if self.bytes_per_token:
            found["bits_per_byte"] = loss / math.log(2) / self.bytes_per_token
        if self.peak and self.flops_per_token:
            found["mfu"] = speed * self.flops_per_token / self.peak
        if self.energy:
            found["joules"] = self.energy.joules()
        return found


def peak_memory() -> float:
    """The most memory held so far, in bytes: on the GPU where there is one, else here.

    Linux keeps the figure by process in /proc; what getrusage says there began with the
    parent's.
    """
    if torch.cuda.is_available():
        return float(torch.cuda.max_memory_allocated())
    try:
        status = Path("/proc/self/status").read_text()
        return 1024.0 * int(status.partition("VmHWM:")[2].split()[0])
    except (OSError, IndexError):
        unit = 1 if sys.platform == "darwin" else 1024
        return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit)


class Energy:
    """Joules since the start, from counters of the processors and GPUs of this machine."""

    def __init__(self, counters: list[Path], gpus: list[object]) -> None:
        self._counters, self._gpus = counters, gpus
        self._last = [self._read(c) for c in counters]
        self._gpu_start = self._gpu_joules()
        self._total, self._read_at = 0.0, time.monotonic()
        self._shown = 0.0

    def joules(self) -> float:
        """Read again if a while has passed; the counters wrap round, so not too seldom."""
        if time.monotonic() - self._read_at >= READ_ENERGY_EVERY:
            self._read_at = time.monotonic()
            self._advance()
        return self._shown

    def _advance(self) -> None:
        for number, counter in enumerate(self._counters):
            now = self._read(counter)
            used = now - self._last[number]
            self._total += (used if used >= 0 else used + self._range(counter)) / 1e6
            self._last[number] = now
        self._shown = self._total + self._gpu_joules() - self._gpu_start

    @staticmethod
    def _read(counter: Path) -> int:
        return int((counter / "energy_uj").read_text())

    @staticmethod
    def _range(counter: Path) -> int:
        return int((counter / "max_energy_range_uj").read_text())

    def _gpu_joules(self) -> float:
        if not self._gpus:
            return 0.0
        import pynvml  # type: ignore

        return (
            sum(pynvml.nvmlDeviceGetTotalEnergyConsumption(g) for g in self._gpus) / 1e3
        )


def find_energy(folder: Path = RAPL) -> Energy | None:
    """The energy counters this process may read; None where there are none."""
    counters = []
    for path in sorted(folder.glob("intel-rapl:?")):
        try:
            Energy._read(path)
            counters.append(path)
        except (OSError, ValueError):
            continue
    gpus = _nvml() if torch.cuda.is_available() else []
    return Energy(counters, gpus) if counters or gpus else None


def _nvml() -> list[object]:
    try:
        import pynvml  # type: ignore

        pynvml.nvmlInit()
        gpu = pynvml.nvmlDeviceGetHandleByIndex(torch.cuda.current_device())
        pynvml.nvmlDeviceGetTotalEnergyConsumption(gpu)
    except Exception:
        return []  # not installed, or this GPU doesn't count
    return [gpu]
