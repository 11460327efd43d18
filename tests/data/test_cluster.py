"""The same curation on a Ray cluster of two machines, one of which dies half-way."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("ray")

ROOT = Path(__file__).parents[2]

CURATION = '''
"""Curates argv[1] into argv[2] on engine argv[3]; kills a raylet half-way for ray-killed."""
import sys, threading, time
from pathlib import Path
import msgspec
from hornbook.data import engine, units
from hornbook.data.config import DataConfig, SplitConfig
from hornbook.data.dedup.config import DedupConfig
from hornbook.data.dedup.stage import dedup
from hornbook.data.filter.config import FilterConfig
from hornbook.data.filter.filters import filter_documents
from hornbook.data.read import extract as reading
from hornbook.data.read.config import FilesSource
from hornbook.data.split import split

source, out, kind = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
units.UNIT_BYTES = reading.UNIT_BYTES = 60_000
config = DataConfig(
    sources=(FilesSource(path=str(source), include=("*.py",)),),
    dedup=DedupConfig(threshold=0.6),
)
if kind != "local":
    import ray
    from ray.cluster_utils import Cluster

    small = {"num_cpus": 1, "object_store_memory": 100 << 20}
    cluster = Cluster(initialize_head=True, head_node_args=small)
    other = cluster.add_node(**small)
    ray.init(address=cluster.address, log_to_driver=False)

if kind == "ray-killed":
    def kill():
        while len(list(out.glob("filter/units/0*.json"))) < 3:
            time.sleep(0.01)
        cluster.remove_node(other, allow_graceful=False)
        print("killed", flush=True)
    threading.Thread(target=kill, daemon=True).start()

for name in ("extract", "filter", "dedup", "split"):
    (out / name).mkdir(parents=True)
with engine.using("local" if kind == "local" else "ray"):
    reading.extract(config, out / "extract")
    filter_documents(config.filters, out / "extract", out / "filter")
    facts = dedup(config.dedup, out / "filter", out / "dedup")
    split(SplitConfig(holdout=0.2), out / "dedup", out / "split")
print(msgspec.json.encode(facts).decode())
'''


@pytest.fixture(scope="module")
def texts(tmp_path_factory) -> Path:
    """Some modules, with copies that differ in a few words."""
    folder = tmp_path_factory.mktemp("texts")
    library = Path(os.__file__).parent
    for number, path in enumerate(sorted(library.glob("[a-e]*.py"))[:40]):
        text = path.read_text(errors="replace")
        (folder / path.name).write_text(text)
        if number % 3 == 0:
            (folder / f"copy_{path.name}").write_text(
                text.replace("return", "yield", 2)
            )
    return folder


def curate(texts: Path, out: Path, kind: str) -> str:
    script = out.parent / "curation.py"
    script.write_text(CURATION)
    done = subprocess.run(
        [sys.executable, str(script), str(texts), str(out), kind],
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
        },
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert ("killed" in done.stdout) == (kind == "ray-killed")
    return done.stdout.splitlines()[-1]


def digests(out: Path) -> dict[str, str]:
    return {
        str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(out.rglob("*.parquet"))
    }


@pytest.mark.slow
def test_two_machines_curate_to_the_same_bytes_as_one_though_one_dies_half_way(
    texts, tmp_path
):
    facts = curate(texts, tmp_path / "local", "local")
    assert curate(texts, tmp_path / "ray", "ray-killed") == facts
    assert json.loads(facts)["documents_out"] < json.loads(facts)["documents_in"] - 5
    found = digests(tmp_path / "local")
    assert len([name for name in found if name.startswith("filter/documents-")]) > 5
    assert digests(tmp_path / "ray") == found
