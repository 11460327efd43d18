"""Writes the README's table of results from bench/results: nothing there is typed by hand.

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


# Benches with bars, and the peers they run in the same call.
BENCHES = {
    "curate": "near-duplicates, rules, scoring, on one core",
    "funnel": "raw text to token shards",
    "growth": "the same, up to ten million documents",
    "pages": "HTML to text, on hand-made answers",
    "tokenizer": "the tokenizer, 32,000 tokens",
    "model": "forward and backward, beside Transformers",
    "evaluate": "benchmarks, beside lm-evaluation-harness",
}


def beside_peers() -> list[str]:
    """The benches, each bar with what was measured."""
    lines = ["| what | measured | bar |", "|---|---|---|"]
    for name, about in BENCHES.items():
        bars = read_bars(name)
        if bars:
            lines.append(f"| *{about}* (`python bench/{name}.py`) | | |")
        for bar in bars:
            held = "" if bar["holds"] else ", not reached"
            lines.append(
                f"| {bar['what']} | **{bar['value']:.3g}** | {bound(bar)}{held} |"
            )
    return [*lines, ""]


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
