"""A job: which recipe, on how many machines; rendered for the system that starts it."""

import re
import shlex
import shutil
import subprocess
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path

import jinja2

from hornbook.core.errors import UserError
from hornbook.core.files import write_text

# What is written for each system: template -> how it is submitted, {} is the file.
SYSTEMS: dict[str, dict[str, str]] = {
    "torchrun": {"torchrun.sh": "bash {}"},
    "slurm": {"train.sbatch": "sbatch {}", "units.sbatch": ""},
    "kubernetes": {"jobset.yaml": "kubectl apply -f {}", "trainjob.yaml": ""},
    "ray": {"rayjob.yaml": "kubectl apply -f {}"},
}
START_AGAIN = 75  # cli.py: "stopped in good order, start me again"


@dataclass(frozen=True)
class Job:
    """A recipe's run on ``nodes`` machines of ``per_node`` GPUs, a process for each.

    ``per_node`` processes without GPUs where ``cpu``. ``image`` holds Hornbook, ``claim``
    is the volume that every pod mounts; ``hours`` is how long the job may take at a time.
    """

    recipe: str
    name: str
    runs: str = "runs"
    overrides: tuple[str, ...] = ()
    nodes: int = 1
    per_node: int = 8
    cpu: bool = False
    hours: int = 24
    image: str = "hornbook:latest"
    claim: str = "hornbook"
    restarts: int = 3
    grace: int = 300  # seconds between the warning and the end
    python: str = "python"
    until: str = ""  # the stage to stop after

    @property
    def command(self) -> list[str]:
        """What every process runs, after its interpreter."""
        sets = [part for key in self.overrides for part in ("--set", key)]
        until = ["--until", self.until] if self.until else []
        run = ["-m", "hornbook.cli", "run", self.recipe, "--runs", self.runs]
        return [*run, *sets, *until]

    @property
    def shell(self) -> str:
        """The same as one line for a shell."""
        return shlex.join([self.python, *self.command])

    @property
    def data_shell(self) -> str:
        """The line that does the data stages on a Ray cluster."""
        more = ("data.engine=ray",)
        job = replace(self, overrides=self.overrides + more, until="shards")
        return job.shell

    @property
    def units(self) -> str:
        """The line that does a share of a data stage's units."""
        sets = [part for key in self.overrides for part in ("--set", key)]
        units = ["-m", "hornbook.cli", "units", self.recipe, "--runs", self.runs]
        return shlex.join([self.python, *units, *sets])

    @property
    def label(self) -> str:
        """``name`` as Kubernetes takes it."""
        label = re.sub(r"[^a-z0-9]+", "-", self.name.lower()).strip("-")[:40]
        return label or "run"


def render(job: Job, system: str) -> dict[str, str]:
    """File name -> text, of everything that ``system`` needs.

    Raises :class:`UserError` for a job that it can't start.
    """
    if job.nodes < 1 or job.per_node < 1:
        raise UserError("'--nodes' and '--gpus-per-node' must be at least 1.")
    folder = resources.files("hornbook") / "launch" / "templates"
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["quoted"] = shlex.quote
    found = {}
    for name in SYSTEMS[system]:
        template = environment.from_string((folder / f"{name}.jinja").read_text())
        found[name] = template.render(job=job, again=START_AGAIN)
    return found


def write(job: Job, system: str, folder: Path) -> list[Path]:
    """Write what :func:`render` gives below ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, text in render(job, system).items():
        path = folder / f"{job.label}.{name}"
        write_text(path, text)
        paths.append(path)
    return paths


def submit(system: str, paths: list[Path]) -> str:
    """Hand the first file to ``system``; returns what it answered.

    Raises :class:`UserError` where its command is missing or refuses.
    """
    line = next(iter(SYSTEMS[system].values()))
    command = [part.replace("{}", str(paths[0])) for part in line.split()]
    if shutil.which(command[0]) is None:
        raise UserError(
            f"'{command[0]}' is not on this machine; take {paths[0]} to one that has it: "
            f"{shlex.join(command)}"
        )
    if system == "torchrun":
        return str(subprocess.run(command, check=False).returncode)
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise UserError(f"`{shlex.join(command)}` refused: {done.stderr.strip()}")
    return done.stdout.strip()
