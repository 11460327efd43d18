"""What this machine offers the loop: device, precision, compiler, each with its reason."""

import ctypes
import importlib.util
import platform
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from hornbook.core.errors import UserError
from hornbook.train.config import TrainConfig

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # glibc's malloc.h
LARGEST_KEPT = 24 << 20  # bytes
COMPILE_PAYS_OFF = 100  # steps; compiling takes its time


@dataclass(frozen=True)
class Backend:
    """The choices made, and ``why``: one line for the person who watches."""

    device: torch.device
    precision: torch.dtype
    compile: bool
    why: str
    float8: bool = False

    def prepare(self) -> None:
        """Set what holds for the whole process: exact repetition, and memory kept at hand.

        On a CPU every run of a step gives the same bits. glibc would hand each large buffer
        back to the system when it is freed and fault it in again a moment later, which
        costs a tenth of a small model's step. Only the few largest still go back: kept,
        they would leave holes that raise the peak.
        """
        on_cpu = self.device.type == "cpu"
        torch.use_deterministic_algorithms(on_cpu)
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore
        if on_cpu and platform.libc_ver()[0] == "glibc":
            libc = ctypes.CDLL(None)
            libc.mallopt(M_MMAP_THRESHOLD, LARGEST_KEPT)
            libc.mallopt(M_TRIM_THRESHOLD, (1 << 31) - 1)

    def convert(self, model: nn.Module) -> None:
        """Let the matrix products of ``model`` run in float8, where that was chosen."""
        if self.float8:
            from torchao.float8 import convert_to_float8_training  # type: ignore

            convert_to_float8_training(model, module_filter_fn=_in_float8)

    def compiled(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """``function``, compiled where that was chosen.

        On a CPU without the pass that replaces written-out attention by the fused kernel,
        which is the slower one there (see model/attention.py).
        """
        if not self.compile:
            return function
        on_cpu = self.device.type == "cpu"
        return torch.compile(
            function,
            dynamic=False,
            options={"pattern_matcher": False} if on_cpu else None,
        )

    def autocast(self) -> AbstractContextManager:
        """The context in which the forward pass runs."""
        if self.precision == torch.float32:
            return nullcontext()
        return torch.autocast(self.device.type, dtype=self.precision)


def choose_backend(config: TrainConfig, device: str = "auto") -> Backend:
    """Follow the recipe; where it says ``auto``, take what is fast here."""
    chosen, device_why = choose_device(device)
    precision, precision_why = _precision(config, chosen)
    compiled, compile_why = _compile(config, chosen)
    why = f"{chosen} ({device_why}), {precision_why}, {compile_why}"
    return Backend(chosen, precision, compiled, why, config.precision == "float8")


def choose_device(name: str) -> tuple[torch.device, str]:
    """The device called ``name`` (auto, cpu, cuda, mps) and why it was taken."""
    found = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    if name == "auto":
        name = next((kind for kind, there in found.items() if there), "cpu")
        if name == "cpu":
            return torch.device(
                "cpu"
            ), f"no GPU found; {torch.get_num_threads()} threads"
        return torch.device(name), "found"
    if not found.get(name.split(":")[0], name == "cpu"):
        raise UserError(
            f"'device' asks for {name}, which PyTorch does not find here; try auto."
        )
    return torch.device(name), "asked for"


def _precision(config: TrainConfig, device: torch.device) -> tuple[torch.dtype, str]:
    if config.precision == "float32":
        return torch.float32, "float32 (asked for)"
    if config.precision == "bfloat16":
        return torch.bfloat16, "bfloat16 (asked for)"
    if config.precision == "float16":
        return torch.float16, "float16 with loss scaling (asked for)"
    if config.precision == "float8":
        _check_float8(device)
        return torch.bfloat16, "float8 products, bfloat16 elsewhere (asked for)"
    if device.type == "cuda" and torch.cuda.is_bf16_supported():
        return torch.bfloat16, "bfloat16 (native on this GPU)"
    capabilities = torch.cpu.get_capabilities() if device.type == "cpu" else {}
    if capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"):
        return torch.bfloat16, "bfloat16 (this processor multiplies it natively)"
    return torch.float32, "float32 (no native bfloat16 here)"


def _check_float8(device: torch.device) -> None:
    """Refuse float8 where nothing multiplies it."""
    way_out = "; set 'precision' to bfloat16 or auto."
    if device.type != "cuda" or torch.cuda.get_device_capability(device) < (8, 9):
        raise UserError(
            "'precision' float8 needs a GPU that multiplies it (compute capability 8.9: "
            f"Ada, Hopper or newer), and this is {device}{way_out}"
        )
    if importlib.util.find_spec("torchao") is None:
        raise UserError(f"'precision' float8 needs the package torchao{way_out}")


def _in_float8(module: nn.Module, name: str) -> bool:
    """float8 products come in sixteens; the head stays in bfloat16 for the loss's sake."""
    if not isinstance(module, nn.Linear) or name.endswith("head"):
        return False
    return module.in_features % 16 == 0 and module.out_features % 16 == 0


def _compile(config: TrainConfig, device: torch.device) -> tuple[bool, str]:
    if config.compile == "no":
        return False, "eager (asked for)"
    if device.type == "mps":
        return False, "eager (the compiler does not serve mps)"
    if device.type == "cpu" and not any(
        shutil.which(c) for c in ("c++", "g++", "clang++")
    ):
        return False, "eager (no C++ compiler found)"
    if config.compile == "yes":
        return True, "compiled (asked for)"
    if device.type == "cpu":  # bench/model.py, and docs/experiments.md
        return False, "eager (as fast on a processor, and ready at once)"
    if config.steps < COMPILE_PAYS_OFF:
        return False, "eager (too few steps to pay for compiling)"
    return True, "compiled"
