"""What this machine offers the loop: device, precision, compiler, each with its reason."""

import shutil
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch

from hornbook.core.errors import UserError
from hornbook.train.config import TrainConfig

COMPILE_PAYS_OFF = 100  # steps; compiling costs about half a minute on a CPU


@dataclass(frozen=True)
class Backend:
    """The choices made, and ``why``: one line for the person who watches."""

    device: torch.device
    precision: torch.dtype
    compile: bool
    why: str

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
    return Backend(chosen, precision, compiled, why)


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
    if device.type == "cuda" and torch.cuda.is_bf16_supported():
        return torch.bfloat16, "bfloat16 (native on this GPU)"
    capabilities = torch.cpu.get_capabilities() if device.type == "cpu" else {}
    if capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"):
        return torch.bfloat16, "bfloat16 (this processor multiplies it natively)"
    return torch.float32, "float32 (no native bfloat16 here)"


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
    if config.steps < COMPILE_PAYS_OFF:
        return False, "eager (too few steps to pay for compiling)"
    return True, "compiled"
