"""Writes the README's table of results and docs/measured.md from bench/results.

python bench/readme.py
"""

import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "bench" / "results"
START, END = "<!-- results: written by bench/readme.py -->\n", "<!-- end of results -->"


def main() -> None:
    readme = ROOT / "README.md"
    before, _, rest = readme.read_text().partition(START)
    _, _, after = rest.partition(END)
    readme.write_text(before + START + table() + END + after)
    (ROOT / "docs" / "measured.md").write_text(measured())


def table() -> str:
    """The Markdown between the two marks of README.md."""
    measured = json.loads((RESULTS / "hello.json").read_text())
    rows = [
        *hello_rows(measured["hello"]),
        *shakespeare_rows(measured.get("shakespeare")),
        *bar_rows("pretrain"),
    ]
    machine = measured["machine"]
    lines = ["| what | measured |", "|---|---|", *(f"| {a} | {b} |" for a, b in rows)]
    note = (
        f"On {machine['cores']} cores of an {machine['processor']}, "
        f"torch {measured['versions']['torch']}; `python bench/hello.py` measures it again."
    )
    return "\n".join([*lines, "", note, "", *beside_peers()])


# Benches with bars and the peers they run in the same call: what each is about, and which
# of its lines stand in the README. docs/measured.md holds all of them.
BENCHES = {
    "curate": (
        "near-duplicates, rules, scoring, on one core",
        "near-duplicates, JSONL to JSONL, MB/s",
        "near-duplicates, times datatrove, x",
        "near-duplicates, times rensa, x",
        "Gopher, C4 and FineWeb numbers, MB/s",
    ),
    "funnel": (
        "raw text to token shards",
        "whole funnel beside datatrove, x",
        "two processes beside one, x",
    ),
    "growth": (
        "the same, up to ten million documents",
        "time per document, the most beside a tenth of them, x",
    ),
    "pages": ("HTML to text, on hand-made answers", "two passes, articles, F1"),
    "toxicity": ("the toxicity model", "held-out ROC-AUC, davidson"),
    "tokenizer": (
        "the tokenizer, 32,000 tokens",
        "train faster than tokenizers",
        "train faster than rustbpe",
        "prose one ours cold / tiktoken",
        "code one ours cold / tiktoken",
        "multi one ours cold / gigatoken",
    ),
    "model": (
        "forward and backward, beside Transformers",
        "gpt2-124m, bfloat16, eager: times as fast",
        "llama-110m, bfloat16, eager: times as fast",
    ),
    "ablations": ("one piece of the model changed at a time",),
    "infer": (
        "decoding on a CPU, beside llama.cpp",
        "bfloat16 batch 1, times llama.cpp",
        "bfloat16 batch 8, times llama.cpp",
        "bfloat16 prefill, times llama.cpp",
    ),
    "quantize": ("quantized weights", "int8 (group 64), same argmax"),
    "align": (
        "fine-tuning, beside TRL",
        "sft: tokens/s, times TRL's",
        "dpo: tokens/s, times TRL's",
        "sft: packing waste, share of places",
    ),
    "evaluate": (
        "benchmarks, beside lm-evaluation-harness",
        "multiple choice beside lm-eval, x",
        "generation beside lm-eval, x",
    ),
    "serve": (
        "the server and its page",
        "8 streaming clients, together, tokens/s",
        "page, first paint, s",
    ),
    "serve_load": (
        "the server under load and abuse",
        "requests without an answer",
        "random bodies answered with a 5xx",
    ),
}


def beside_peers() -> list[str]:
    """The benches, a few lines of each."""
    lines = ["| beside others | measured | bar |", "|---|---|---|"]
    for name, (about, *shown) in BENCHES.items():
        bars = {bar["what"]: bar for bar in read_bars(name)}
        if bars:
            lines.append(f"| *{about}* (`python bench/{name}.py`) | | |")
            lines += [bar_line(bars[what]) for what in shown]
    held, missed = count_bars()
    note = (
        f"Of {held + missed} bars {held} hold and {missed} are not reached: all of them, and "
        "the machine each was measured on, are in [docs/measured.md](docs/measured.md)."
    )
    return [*lines, "", note, ""]


def count_bars() -> tuple[int, int]:
    """How many bars of all benches hold, and how many do not."""
    holds = [bar["holds"] for name in BENCHES for bar in read_bars(name)]
    return sum(holds), len(holds) - sum(holds)


def measured() -> str:
    """docs/measured.md: every bench, each bar with what was measured."""
    parts = [MEASURED]
    for name, (about, *_) in BENCHES.items():
        if bars := read_bars(name):
            head = f"{about[0].upper()}{about[1:]}"
            lines = [
                f"## {head}",
                "",
                f"`python bench/{name}.py`, {machine_of(name)}.",
                "",
                "| what | measured | bar |",
                "|---|---|---|",
                *map(bar_line, bars),
            ]
            parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


MEASURED = """# Measured

Every bar of every bench in `bench/`, from `bench/results/*.json`; `python bench/readme.py`
writes this page. Peers ran in the same call on the same machine."""


def machine_of(name: str) -> str:
    """Where a bench was run."""
    machine = json.loads((RESULTS / f"{name}.json").read_text())["machine"]
    if isinstance(machine, str):
        return machine
    return f"{machine['cores']} cores of an {machine['processor']}"


def bar_line(bar: dict[str, Any]) -> str:
    """One bar as a row: what, measured, bound; and where, if that is another machine."""
    held = "" if bar["holds"] else ", not reached"
    where = f" (on {bar['machine']['processor']})" if "machine" in bar else ""
    return f"| {bar['what']}{where} | **{bar['value']:.3g}** | {bound(bar)}{held} |"


def bound(bar: dict[str, Any]) -> str:
    """A bar in words; some benches keep the number alone."""
    if isinstance(bar["bar"], str):
        return bar["bar"]
    at_least = (bar["value"] >= bar["bar"]) == bar["holds"]
    return f"{'>=' if at_least else '<='} {bar['bar']:g}"


def read_bars(name: str) -> list[dict[str, Any]]:
    """What a bench measured; nothing where it has not been run."""
    path = RESULTS / f"{name}.json"
    return json.loads(path.read_text())["bars"] if path.exists() else []


def hello_rows(hello: dict[str, Any]) -> list[tuple[str, str]]:
    others = ", ".join(
        f"{k} {v:.2f}" for k, v in sorted(hello["compared_with"].items())
    )
    size = f"{hello['parameters'] / 1e6:.1f} M parameters, {hello['tokens'] / 1e6:.1f} M tokens"
    rows = [
        ("`hornbook run hello`, everything", minutes(hello["seconds"])),
        ("its model", size),
        (
            "held-out files, bits per byte",
            f"**{hello['bits_per_byte']:.3f}** ({others})",
        ),
    ]
    return rows + [(words(result), value(result)) for result in hello["results"][1:]]


def shakespeare_rows(known: dict[str, Any] | None) -> list[tuple[str, str]]:
    if not known:
        return []
    loss = f"**{known['validation_nats_per_char']:.3f}**"
    return [
        ("`hornbook run shakespeare`, everything", minutes(known["seconds"])),
        ("its validation loss, nats per character", loss),
    ]


def bar_rows(name: str) -> list[tuple[str, str]]:
    """What a bench measured beside its peers, in one run on one machine."""
    bars = read_bars(name)
    return [(bar["what"], f"**{bar['value']:.3g}** (bar {bar['bar']})") for bar in bars]


def words(result: dict[str, Any]) -> str:
    return f"{result['task']}: {result['metric']}"


def value(result: dict[str, Any]) -> str:
    low, high = result["ci95"]
    others = "".join(f"; {k} {v:.3f}" for k, v in result.get("baselines", {}).items())
    return f"{result['value']:.3f} ({low:.3f} to {high:.3f}, n = {result['n']}{others})"


def minutes(seconds: float) -> str:
    return f"{int(seconds) // 60} min {int(seconds) % 60:02d} s"


if __name__ == "__main__":
    main()
