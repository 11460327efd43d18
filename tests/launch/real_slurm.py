"""A real Slurm on this machine: a controller, two nodes, and munge to vouch for them."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NEEDED = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "scontrol")

CONFIG = """
ClusterName=test
SlurmctldHost={host}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={root}/munge.socket
CryptoType=crypto/munge
StateSaveLocation={root}/state
SlurmdSpoolDir={root}/spool-%n
SlurmctldPidFile={root}/slurmctld.pid
SlurmdPidFile={root}/slurmd-%n.pid
SlurmctldLogFile={root}/slurmctld.log
SlurmdLogFile={root}/slurmd-%n.log
SlurmctldPort={ports[0]}
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,sched_min_interval=0,batch_sched_delay=0
JobRequeue=1
ReturnToService=2
SlurmctldTimeout=300
SlurmdTimeout=600
MessageTimeout=100
KillWait=30
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=2 State=UNKNOWN
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=2 State=UNKNOWN
PartitionName=all Nodes=n1,n2 Default=YES MaxTime=INFINITE State=UP OverSubscribe=FORCE:4
"""


def missing() -> str:
    """Why no Slurm can be started here; empty when one can."""
    lacking = [name for name in NEEDED if _find(name) is None]
    if lacking:
        return (
            f"Slurm is not installed ({', '.join(lacking)}): apt-get install slurm-wlm"
        )
    return "" if os.geteuid() == 0 else "slurmd needs root"


def _find(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")


@contextmanager
def slurm(root: Path) -> Iterator[dict[str, str]]:
    """Start it below ``root``; gives the environment in which its commands find it."""
    root.mkdir(parents=True)
    root.chmod(0o755)
    for name in ("state", "spool-n1", "spool-n2"):
        (root / name).mkdir()
    ports = [_port() for _ in range(3)]
    host = socket.gethostname().split(".")[0]
    config = root / "slurm.conf"
    config.write_text(CONFIG.format(root=root, host=host, ports=ports))
    (root / "cgroup.conf").write_text("CgroupAutomount=no\n")
    key = root / "munge.key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o600)
    environment = {**os.environ, "SLURM_CONF": str(config)}
    daemons = []

    def daemon(*command: str) -> None:
        log = open(root / f"{Path(command[0]).name}-{len(daemons)}.out", "w")  # noqa: SIM115
        found = _find(command[0])
        assert found
        daemons.append(
            subprocess.Popen(
                [found, *command[1:]],
                env=environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        )

    try:
        daemon(
            *("munged", "--foreground", "--force", f"--socket={root}/munge.socket"),
            *(f"--key-file={key}", f"--pid-file={root}/munge.pid"),
            *(f"--log-file={root}/munge.log", f"--seed-file={root}/munge.seed"),
        )
        _wait(lambda: (root / "munge.socket").exists(), daemons)
        daemon("slurmctld", "-D", "-c")
        daemon("slurmd", "-D", "-N", "n1")
        daemon("slurmd", "-D", "-N", "n2")
        _wait(lambda: _idle(environment) == 2, daemons)
        yield environment
    finally:
        for process in reversed(daemons):
            process.terminate()
        for process in reversed(daemons):
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()


def ask(environment: dict[str, str], *command: str) -> str:
    """What a Slurm command answers."""
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _idle(environment: dict[str, str]) -> int:
    done = subprocess.run(
        ["sinfo", "-h", "-N", "-o", "%T"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.split().count("idle")


def _wait(ready, daemons, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not ready():
        assert all(p.poll() is None for p in daemons), "a daemon of Slurm ended"
        assert time.monotonic() < end, "Slurm did not start"
        time.sleep(0.2)


def _port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
