"""Benchmarks on a trained model: ``hornbook evaluate``."""

from pathlib import Path

from hornbook.core.errors import UserError
from hornbook.core.files import read_json, sha256, write_json
from hornbook.evaluate.contamination import clean_and_dirty, contaminated
from hornbook.evaluate.examples import read_examples
from hornbook.evaluate.generation import Sampling
from hornbook.evaluate.harness import run_task
from hornbook.evaluate.results import Result, save_results
from hornbook.evaluate.summary import summarize
from hornbook.evaluate.task import TaskConfig, load_task
from hornbook.infer.engine import Engine
from hornbook.sandbox.run import require


def run_benchmarks(
    engine: Engine,
    model: Path,
    names: tuple[str, ...],
    data: Path,
    out: Path,
    shots: int | None = None,
    limit: int = 0,
    protocol: str = "published",
    unsafe: bool = False,
    sampling: Sampling | None = None,
    training: Path | None = None,
) -> list[Result]:
    """The results of the named tasks; a folder in ``out`` keeps every item and all results.

    The folder is named after the weights, so that nothing of another model is mixed in.

    With ``training``, a directory of documents, the items of which those hold some words in a
    row are told apart: the main metric comes again without them, and of them alone.

    What an earlier attempt with the same model and questions has scored is not asked again.
    Raises :class:`UserError` before anything is scored, for a task that cannot be run.
    """
    tasks = [load_task(name) for name in names]
    if any(task.kind == "code" for task in tasks):
        require(unsafe)
    counts = [_shots(task, shots, protocol) for task in tasks]
    asked = [
        read_examples(task, data, count, limit)
        for task, count in zip(tasks, counts, strict=True)
    ]
    weights = sha256(model / "model.safetensors")
    out = out / weights[:12]
    results: list[Result] = []
    for task, count, examples in zip(tasks, counts, asked, strict=True):
        notes = out / f"{task.name}-{count}-shot.jsonl"
        records = run_task(
            engine, task, examples, notes, sampling or Sampling(), weights
        )
        note = f"{count} worked examples" if count else ""
        results += summarize(task, records, note)
        if training:
            held = contaminated(examples, training)
            write_json(notes.with_suffix(".overlap.json"), held)
            results += clean_and_dirty(task, records, held)
        save_results(_with_earlier(results, out), out / "results.json")
    return results


def records_of(path: Path) -> Path:
    """The folder of records that ``hornbook evaluate`` left: in a run, or ``path`` itself.

    Raises :class:`UserError` where there is none, or there are those of several models.
    """
    if any(path.glob("*.jsonl")):
        return path
    folders = [file.parent for file in path.glob("benchmarks/*/results.json")]
    folders += [file.parent for file in path.glob("*/results.json")]
    if len(folders) == 1:
        return folders[0]
    if not folders:
        raise UserError(
            f"{path} was not evaluated yet: hornbook evaluate {path} --tasks ..."
        )
    names = ", ".join(str(folder) for folder in folders)
    raise UserError(f"{path} holds records of several models; name one of {names}.")


def _shots(task: TaskConfig, shots: int | None, protocol: str) -> int:
    count = task.lm_eval_shots if protocol == "lm-eval" else task.shots
    count = count if shots is None else shots
    if count and not task.files.shots:
        raise UserError(
            f"The task {task.name} has no file of worked examples; leave --shots away."
        )
    return count


def _with_earlier(results: list[Result], out: Path) -> list[Result]:
    """The results of earlier calls on the same model, but for tasks that are done anew."""
    path = out / "results.json"
    earlier = read_json(path)["results"] if path.exists() else []
    done = {result["task"] for result in results}
    return [result for result in earlier if result["task"] not in done] + results
