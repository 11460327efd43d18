"""Showing what a run made: the funnel, the results, one document's story, the model."""

from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.text import Text

from hornbook.core.errors import UserError
from hornbook.core.progress import short_number
from hornbook.pipeline import read_manifest
from hornbook.recipe import Recipe
from hornbook.stages import CURATION

console = Console(highlight=False)


def show_results(run: Path) -> None:
    """The funnel, the results, three samples, and how to go on."""
    from hornbook.evaluate.results import results_table

    show_funnel(run)
    evaluated = read_manifest(run, "evaluate")
    facts = evaluated["facts"] if evaluated else {}
    console.print(results_table(facts.get("results", [])))
    for sample in [*facts.get("samples", [])[:2], *facts.get("transcripts", [])][:3]:
        console.rule(
            Text(sample["prompt"].strip().splitlines()[0][:70]),
            align="left",
            style="dim",
        )
        console.print(Text(sample["prompt"], style="bold") + Text(_apart(sample)))
    console.rule(style="dim")
    verb = "chat" if facts.get("transcripts") else "generate"
    console.print(Text.assemble("Go on with: ", (f"hornbook {verb} {run}", "bold")))


def _apart(sample: dict[str, str]) -> str:
    """A completion follows its prompt at once; an answer stands on a line of its own."""
    return ("\n" if sample["prompt"].rstrip().endswith(("?", ".")) else "") + sample[
        "text"
    ]


def show_funnel(run: Path) -> None:
    """Documents and bytes in and out of every data stage, with the reasons."""
    from hornbook.data.funnel import table

    console.print(table([m["facts"] for n in CURATION if (m := read_manifest(run, n))]))


def show_verdict(run: Path, as_json: bool) -> bool:
    """Whether every file of ``run`` is what was written; says which aren't and what to do."""
    from hornbook.verify import verify

    verdict = verify(run)
    if as_json:
        console.print_json(
            msgspec.json.encode(msgspec.to_builtins(verdict, enc_hook=str)).decode()
        )
        return not verdict.damage
    for found in verdict.damage:
        console.print(Text(f"{found.path} {found.problem}", style="bold red"))
        console.print(Text(f"  {found.remedy}."))
    told = f"{verdict.files} files, {short_number(verdict.bytes)}B read"
    bad = f"; {len(verdict.damage)} damaged" if verdict.damage else "; all are sound"
    console.print(told + bad)
    return not verdict.damage


def describe_model(recipe: Recipe) -> None:
    """The recipe's model as a table of shapes and costs."""
    from hornbook.model.describe import describe, render

    size = recipe.model.vocab_size or recipe.tokenizer.vocab_size
    console.print(
        render(describe(msgspec.structs.replace(recipe.model, vocab_size=size)))
    )


def tell_why(run: Path, document: str, as_json: bool) -> str:
    """The story of one document of ``run``, for people or as JSON."""
    from hornbook.data.documents import read_documents
    from hornbook.data.why import why

    stages = {name: run / name for name in CURATION if (run / name).is_dir()}
    if not stages:
        raise UserError(f"{run} holds no documents; name a run, as in runs/hello.")
    named = (d.id for d in read_documents(run / "extract") if d.path == document)
    steps = why(stages, next(named, document))
    if as_json:
        return msgspec.json.format(msgspec.json.encode(steps), indent=1).decode()
    return "\n".join(_step_line(step) for step in steps)


def _step_line(step: dict[str, Any]) -> str:
    verdict = "kept" if step["present"] else "dropped here"
    noted = {k: v for k, v in step.items() if k not in ("stage", "present", "notes")}
    notes = {
        k: v
        for k, v in step.get("notes", {}).items()
        if k != "id" and v not in ("", None)
    }
    told = ", ".join(f"{k} {_number(v)}" for k, v in {**noted, **notes}.items())
    return (
        f"{step['stage']:14}{verdict}: {told}"
        if told
        else f"{step['stage']:14}{verdict}"
    )


def _number(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def show_tokens(text: str, directory: Path) -> None:
    """``text`` in pieces, coloured, with ids and counts."""
    from hornbook.tokenizer.base import load_tokenizer
    from hornbook.tokenizer.show import colored_tokens

    tokenizer = load_tokenizer(tokenizer_directory(directory))
    console.print(colored_tokens(tokenizer, text))
    count, size = len(tokenizer.encode(text)), len(text.encode(errors="replace"))
    console.print(f"{count} tokens, {size} bytes", style="dim")


def show_tokenizers(
    directories: tuple[Path, ...], files: tuple[Path, ...], as_json: bool
) -> None:
    """Bytes per token, fertility, unused and longest tokens, one column a tokenizer."""
    from hornbook.tokenizer.base import load_tokenizer
    from hornbook.tokenizer.show import compare, render

    tokenizers = {str(d): load_tokenizer(tokenizer_directory(d)) for d in directories}
    texts = [(file.name, file.read_bytes().decode(errors="replace")) for file in files]
    cards = compare(tokenizers, texts)
    if as_json:
        tables = {name: card.table() for name, card in cards.items()}
        console.print_json(msgspec.json.encode(tables).decode())
    else:
        console.print(render(cards))


def tokenizer_directory(path: Path) -> Path:
    """Where ``path``, a run or any other folder, keeps its tokenizer.json."""
    inside = path / "tokenizer"
    return inside if inside.is_dir() else path
