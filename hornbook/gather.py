"""Gather a run's facts for its report, from the manifests and diaries of its stages."""

import os
import platform
import subprocess
from pathlib import Path
from typing import Any

import msgspec

from hornbook import __version__
from hornbook.core.settings import to_table
from hornbook.pipeline import read_manifest, versions
from hornbook.post_stages import POST
from hornbook.recipe import Recipe
from hornbook.stages import CURATION, TRAINED, stages_of
from hornbook.tokenizer.base import load_tokenizer
from hornbook.train.metrics import read_metrics

CURVES = {  # what the diary calls it -> what the report calls it, and its unit
    "loss": ("loss", "nats per token"),
    "validation_loss": ("validation", "nats per token"),
    "rate": ("learning_rate", ""),
    "gradient_norm": ("gradient_norm", ""),
    "tokens_per_second": ("tokens_per_second", "tokens/s"),
    "accuracy": ("accuracy", ""),
    "validation_accuracy": ("held_out_accuracy", ""),
    "margin": ("margin", "nats"),
}


def gather(recipe: Recipe, run: Path) -> dict[str, Any]:
    """Everything ``report.json`` holds about the run in ``run``."""
    names = [stage.name for stage in stages_of(recipe)]
    manifests = {n: m for n in names if (m := read_manifest(run, n))}
    facts = {name: manifest["facts"] for name, manifest in manifests.items()}
    diaries = {
        n: read_metrics(run / n / "metrics.jsonl") for n in TRAINED if n in manifests
    }
    return {
        "run": _run(recipe, manifests),
        "environment": {
            **versions(),
            "processor": processor(),
            "threads": os.cpu_count(),
        },
        "config": to_table(recipe),
        "config_changed": _changed(recipe),
        "sources": [
            {"name": name, **counts}
            for name, counts in facts.get("extract", {}).get("sources", {}).items()
        ],
        "funnel": [facts[name] for name in CURATION if name in facts],
        "tokenizer": _tokenizer(recipe, run, facts),
        "model": _model(facts, manifests),
        "training": _training(facts),
        "series": {
            k: v for n, diary in diaries.items() for k, v in _series(n, diary).items()
        },
        "post": {n: _post(facts[n]) for n in POST if n in facts},
        "evals": facts.get("evaluate", {}).get("results", []),
        "samples": _samples(diaries.get("pretrain", [])),
        "transcripts": [
            {
                "turns": [
                    {"role": "user", "content": t["prompt"]},
                    {"role": "assistant", "content": t["text"]},
                ]
            }
            for t in facts.get("evaluate", {}).get("transcripts", [])
        ],
        "transcript_rule": "Every question of the recipe, in its order, asked once.",
        "stages": [
            {"name": n, "seconds": m["seconds"], "note": _restarts_note(m)}
            for n, m in manifests.items()
        ],
        "artifacts": _artifacts(run, manifests),
        "commands": [f"hornbook run {run / 'recipe.toml'}", f"hornbook chat {run}"],
    }


def _run(recipe: Recipe, manifests: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": recipe.name,
        "started": min((m["started"] for m in manifests.values()), default=""),
        "seconds": sum(m["seconds"] for m in manifests.values()),
        "seed": recipe.seed,
        "version": __version__,
        "commit": _commit(),
        "restarts": sum(m["starts"] - 1 for m in manifests.values()),
    }


def _restarts_note(manifest: dict[str, Any]) -> str:
    restarts = manifest["starts"] - 1
    return f"{restarts} restart{'s' if restarts > 1 else ''}" if restarts else ""


def _changed(recipe: Recipe) -> dict[str, Any]:
    """Dotted key -> default, for every key of the recipe that has one and differs from it."""
    changed: dict[str, Any] = {}

    def walk(settings: msgspec.Struct, prefix: str) -> None:
        for field in msgspec.structs.fields(settings):
            value = getattr(settings, field.name)
            default = field.default
            if isinstance(value, msgspec.Struct):
                walk(value, f"{prefix}{field.name}.")
            elif default is not msgspec.NODEFAULT and value != default:
                changed[f"{prefix}{field.name}"] = msgspec.to_builtins(default)

    walk(recipe, "")
    return changed


def _tokenizer(
    recipe: Recipe, run: Path, facts: dict[str, Any]
) -> dict[str, Any] | None:
    if "tokenizer" not in facts or "shards" not in facts:
        return None
    known = facts["tokenizer"]
    tokenizer = load_tokenizer(run / "tokenizer")
    pieces = [
        [tokenizer.decode([token]) for token in tokenizer.encode(prompt)]
        for prompt in (*recipe.samples.prompts, *recipe.samples.questions)
    ]
    return {
        "kind": known["kind"],
        "vocab_size": known["vocab_size"],
        "bytes_per_token": {
            s: f["bytes_per_token"] for s, f in facts["shards"].items()
        },
        "longest": known["longest"],
        "examples": pieces,
        "facts": {"tokens unused on held-out text": known["unused"]},
    }


def _model(facts: dict[str, Any], manifests: dict[str, Any]) -> dict[str, Any] | None:
    if "pretrain" not in facts:
        return None
    known, files = facts["pretrain"], manifests["pretrain"]["files"]
    weights = files["model/model.safetensors"]["bytes"]
    return {
        "shape": known["shape"],
        "parameters": known["parameters"],
        "flops_per_token": known["flops_per_token"],
        "memory_bytes": {
            "weights": weights,
            "gradients": weights,
            "optimizer": files["model/optimizer.safetensors"]["bytes"],
        },
    }


def _training(facts: dict[str, Any]) -> dict[str, Any] | None:
    if "pretrain" not in facts:
        return None
    known = facts["pretrain"]
    return {
        "steps": known["steps"],
        "tokens": known["tokens"],
        "train_tokens": known["train_tokens"],
        "validation_tokens": facts["shards"]["validation"]["tokens"],
        "references": {"frequencies only": known["unigram_nats"]},
        "facts": {
            "passes over the data": round(known["epochs"], 2),
            **_mix(known),
            "backend": known["backend"],
        },
    }


def _mix(known: dict[str, Any]) -> dict[str, str]:
    """The realised mix of sources and the waste of packing, in words, where there are any."""
    words = {
        f"share of {source}": f"{mix['share']:.1%}, seen {mix['epochs']:.2f} times"
        for source, mix in known.get("mixture", {}).items()
    }
    if "packing_waste" in known:
        words["rows left empty by packing"] = f"{known['packing_waste']:.2%}"
    return words


def _series(stage: str, diary: list[dict[str, Any]]) -> dict[str, Any]:
    found = {}
    for key, (name, unit) in CURVES.items():
        points = [(record["step"], record[key]) for record in diary if key in record]
        if points:
            found[f"{stage}/{name}"] = {"x": "step", "unit": unit, "pts": points}
    return found


def _post(facts: dict[str, Any]) -> dict[str, Any]:
    return {
        key: value for key, value in facts.items() if not isinstance(value, dict | list)
    }


def _samples(diary: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {"step": record["step"], **sample}
        for record in diary
        for sample in record.get("samples", [])
    ]


def _artifacts(run: Path, manifests: dict[str, Any]) -> list[dict[str, Any]]:
    """The files somebody would carry away: models and tokenizers, with their digests."""
    return [
        {"path": f"{name}/{path}", **facts}
        for name, manifest in manifests.items()
        for path, facts in manifest["files"].items()
        if path.endswith(("model/model.safetensors", "tokenizer.json"))
    ]


def processor() -> str:
    """The processor's name, where the system tells it."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _commit() -> str:
    """The revision of the source tree this runs from; empty for an installed package."""
    root = Path(__file__).parent.parent
    if not (root / ".git").exists():
        return ""
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--dirty"],
            cwd=root,
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return described.stdout.strip()
