"""Showing what a run made: the funnel, the results, one document's story, the model."""

from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from hornbook.core.errors import UserError
from hornbook.core.files import write_json, write_text
from hornbook.core.progress import short_number
from hornbook.core.settings import parse, to_table
from hornbook.model.config import ModelConfig
from hornbook.model.presets import PRESETS
from hornbook.pipeline import read_manifest
from hornbook.recipe import load, set_key
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

    console.print(table(*_funnel(run)))


def _funnel(run: Path) -> tuple[list[dict[str, Any]], float]:
    """The facts of the data stages, and how many bytes a token has (0: not known yet)."""
    shards = read_manifest(run, "shards")
    per_token = shards["facts"]["train"]["bytes_per_token"] if shards else 0.0
    return [m["facts"] for n in CURATION if (m := read_manifest(run, n))], per_token


def write_funnel(run: Path) -> None:
    """Leave the funnel beside the stages, as ``funnel.json`` and as a picture."""
    from hornbook.data.funnel import rows
    from hornbook.report.build import draw_funnel

    stages, per_token = _funnel(run)
    told = {"rows": rows(stages, per_token), "stages": stages}
    write_json(run / "funnel.json", told)
    draw_funnel(run.name, stages, run / "funnel.svg")
    console.print(Text(f"Drawn in {run / 'funnel.svg'}; counted in funnel.json."))


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


def describe_model(
    name: str, overrides: tuple[str, ...], as_json: bool, draw: Path | None
) -> None:
    """The model of a recipe, a preset or a directory: its sizes, or a picture of it."""
    from hornbook.model.describe import describe, render

    config = model_meant(name, overrides)
    if draw:
        from hornbook.model.draw import draw as draw_block

        write_text(draw, draw_block(config, Path(name).stem))
        console.print(f"Wrote {draw}.")
        return
    facts = describe(config)
    if as_json:
        console.print_json(msgspec.json.encode(facts).decode())
    else:
        console.print(render(facts))


def model_meant(name: str, overrides: tuple[str, ...] = ()) -> ModelConfig:
    """The settings of the model of a recipe, a preset or a model directory."""
    directory = Path(name)
    if (directory / "config.json").is_file():
        from hornbook.model.huggingface import read_config

        table = {"model": to_table(read_config(directory))}
    elif name in PRESETS:
        table = {"model": to_table(PRESETS[name])}
    else:
        recipe = load(name, overrides)
        size = recipe.model.vocab_size or recipe.tokenizer.vocab_size
        return msgspec.structs.replace(recipe.model, vocab_size=size)
    for override in overrides:
        set_key(table, override)
    if strays := table.keys() - {"model"}:
        stray = min(strays)
        raise UserError(
            f"--set {stray}: a model's keys begin with 'model.': --set model.{stray}=..."
        )
    return parse(ModelConfig, table["model"], name)


def show_presets(as_json: bool) -> None:
    """Every preset with its parameters, operations and memory."""
    from hornbook.model.describe import describe, overview

    facts = {name: describe(config) for name, config in PRESETS.items()}
    if as_json:
        console.print_json(msgspec.json.encode(facts).decode())
    else:
        console.print(overview(facts))


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
    from hornbook.data.labels import labelled, texts_of
    from hornbook.tokenizer.base import load_tokenizer
    from hornbook.tokenizer.show import compare, render

    tokenizers = {str(d): load_tokenizer(tokenizer_directory(d)) for d in directories}
    cards = compare(tokenizers, labelled(texts_of(files)))
    if as_json:
        tables = {name: card.table() for name, card in cards.items()}
        console.print_json(msgspec.json.encode(tables).decode())
    else:
        console.print(render(cards))


def tokenizer_directory(path: Path) -> Path:
    """Where ``path``, a run or any other folder, keeps its tokenizer.json."""
    inside = path / "tokenizer"
    return inside if inside.is_dir() else path


def show_card(card: dict[str, Any], as_json: bool) -> None:
    """What a trained classifier learnt from, and how good it is on what it has not seen."""
    if as_json:
        print(msgspec.json.encode(card).decode())
        return
    found = card["measured"]
    low, high = found["auc_interval_95"]
    console.print(
        f"{card['texts']:,} texts, {card['positive']:,} of them positive; "
        f"{card['held_out']:,} held out.\n"
        f"ROC-AUC {found['auc']:.3f} ({low:.3f} to {high:.3f}), "
        f"calibration error {found['calibration_error']:.3f}."
    )
    drawn = Table()
    for name in found["thresholds"][0]:
        drawn.add_column(name.replace("_", " "), justify="right")
    for row in found["thresholds"]:
        drawn.add_row(*(f"{value:.3f}" for value in row.values()))
    console.print(drawn)


def show_scores(model: str, file: Path, as_json: bool) -> None:
    """Each text's score, and how it begins."""
    from hornbook.data.classify.training import score_file

    for number, score, text in score_file(model, file):
        if as_json:
            row = {"record": number, "score": round(score, 6)}
            print(msgspec.json.encode(row).decode())
        else:
            start = " ".join(text[:200].split())[:70]
            console.print(Text(f"{score:.3f}  {number:>7}  {start}"), soft_wrap=True)
