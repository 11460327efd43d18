"""What `hornbook launch` writes is what the systems take."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from hornbook import cli
from hornbook.core.errors import UserError
from hornbook.launch.job import SYSTEMS, Job, render, submit

JOB = Job(recipe="my recipe.toml", name="My Run 1", nodes=4, per_node=8)


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("job", [JOB, Job("hello", "hello", per_node=1, cpu=True)])
def test_every_file_opens_with_what_it_is(system, job):
    for name, text in render(job, system).items():
        first = text.splitlines()[1 if text.startswith("#!") else 0]
        assert first.startswith(f"# {job.name}: "), name
        assert "{{" not in text
        assert text.endswith("\n")


SCRIPTS = [
    ("torchrun", "torchrun.sh"),
    ("slurm", "train.sbatch"),
    ("slurm", "units.sbatch"),
]


@pytest.mark.parametrize(("system", "name"), SCRIPTS)
def test_scripts_are_bash(system, name):
    text = render(JOB, system)[name]
    subprocess.run(["bash", "-n"], input=text, text=True, check=True)
    assert "'my recipe.toml'" in text  # quoted


def pod_of_jobset(manifest):
    (group,) = manifest["spec"]["replicatedJobs"]
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "w"}} | {
        "spec": group["template"]["spec"]
    }


def test_the_jobset_has_its_shape_and_the_jobs_in_it_are_valid_kubernetes():
    validate = pytest.importorskip("kubernetes_validate").validate
    for job in (JOB, Job("hello", "hello", per_node=2, cpu=True)):
        manifest = yaml.safe_load(render(job, "kubernetes")["jobset.yaml"])
        assert manifest["apiVersion"] == "jobset.x-k8s.io/v1alpha2"
        assert set(manifest["spec"]) == {"failurePolicy", "replicatedJobs"}
        inner = pod_of_jobset(manifest)
        validate(inner, "1.32", strict=True)
        assert inner["spec"]["parallelism"] == job.nodes
        container = inner["spec"]["template"]["spec"]["containers"][0]
        # The name that JobSet's headless service gives the first pod.
        assert f"--master-addr={job.label}-workers-0-0.{job.label}" in container["args"]
        assert ("resources" in container) == (not job.cpu)


def test_a_manifest_that_is_wrong_would_be_noticed():
    kubernetes_validate = pytest.importorskip("kubernetes_validate")
    manifest = yaml.safe_load(render(JOB, "kubernetes")["jobset.yaml"])
    inner = pod_of_jobset(manifest)
    inner["spec"]["template"]["spec"]["containers"][0]["imagePull"] = "no such key"
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(inner, "1.32", strict=True)


def test_the_trainjob_has_the_shape_of_kubeflow_trainer():
    manifest = yaml.safe_load(render(JOB, "kubernetes")["trainjob.yaml"])
    assert manifest["apiVersion"] == "trainer.kubeflow.org/v1alpha1"
    spec = manifest["spec"]
    assert spec["runtimeRef"] == {"name": "torch-distributed"}
    assert (spec["trainer"]["numNodes"], spec["trainer"]["numProcPerNode"]) == (4, 8)
    assert spec["trainer"]["args"][:3] == ["-m", "hornbook.cli", "run"]


def test_the_rayjob_has_kuberays_shape_and_valid_pods():
    validate = pytest.importorskip("kubernetes_validate").validate
    manifest = yaml.safe_load(render(JOB, "ray")["rayjob.yaml"])
    assert (manifest["apiVersion"], manifest["kind"]) == ("ray.io/v1", "RayJob")
    cluster = manifest["spec"]["rayClusterSpec"]
    (workers,) = cluster["workerGroupSpecs"]
    assert workers["replicas"] == 4
    for group in (cluster["headGroupSpec"], workers):
        about = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "w"}}
        validate({**about, **group["template"]}, "1.32", strict=True)
    assert "--set data.engine=ray --until shards" in manifest["spec"]["entrypoint"]


def call(*arguments):
    return CliRunner().invoke(cli.commands, [*map(str, arguments)])


def test_numbers_that_parallel_does_not_fit_are_refused_before_the_queue(tmp_path):
    done = call(
        *("launch", "hello", "--on", "slurm", "--nodes", 2, "--out", tmp_path),
        *("--set", "parallel.shard=3"),
    )
    assert isinstance(done.exception, UserError)
    assert "there are 16" in str(done.exception)
    assert not list(tmp_path.iterdir())


def test_submitting_without_the_system_says_what_to_do_elsewhere(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(UserError, match=r"kubectl.*take.*kubectl apply -f"):
        submit("kubernetes", [tmp_path / "x.yaml"])


def test_the_torchrun_script_runs_and_its_processes_meet(tmp_path, small_recipe):
    """Two steps on two processes, by the script as it was written."""
    sets = ("pretrain.steps=2", "pretrain.checkpoint_every=0", "pretrain.compile=no")
    options = [part for key in sets for part in ("--set", key)]
    done = call(
        *("launch", small_recipe, "--on", "torchrun", "--gpus-per-node", 2, "--cpu"),
        *("--out", tmp_path, "--runs", tmp_path / "runs", "--python", sys.executable),
        *("--until", "pretrain", *options),
    )
    assert done.exit_code == 0, done.exception
    root = Path(__file__).parents[2]
    ran = subprocess.run(
        ["bash", str(tmp_path / "small.torchrun.sh")],
        env={**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    assert "2 processes: data 2" in ran.stderr + ran.stdout
    assert (tmp_path / "runs/small/pretrain/model/config.json").exists()
