"""Benchmarks on a trained model: ``hornbook evaluate``."""

from pathlib import Path

from hornbook.core.errors import UserError
from hornbook.core.files import read_json, sha256, write_json
from hornbook.evaluate.contamination import clean_and_dirty, contaminated
from hornbook.evaluate.examples import files_of, read_examples
from hornbook.evaluate.generation import Sampling
from hornbook.evaluate.harness import cut_note, run_task
from hornbook.evaluate.hub import data_folder
from hornbook.evaluate.results import Result, save_results
from hornbook.evaluate.summary import summarize
from hornbook.evaluate.task import TaskConfig, load_task
from hornbook.infer.engine import Engine
from hornbook.judging import RewardJudge
from hornbook.sandbox.run import require

TOP_P = 0.95  # of sampled programs, as Chen et al. 2021 have it


def run_benchmarks(
    engine: Engine,
    model: Path,
    names: tuple[str, ...],
    data: Path | str,
    out: Path,
    shots: int | None = None,
    limit: int = 0,
    protocol: str = "published",
    unsafe: bool = False,
    samples: int = 1,
    temperature: float = 0.8,
    training: Path | None = None,
    chat: bool = False,
    reward: Path | None = None,
) -> list[Result]:
    """The results of the named tasks; a folder in ``out`` keeps every item and all results.

    The folder is named after the weights, so that nothing of another model is mixed in.

    With ``training``, a directory of documents, the items of which those hold some words in a
    row are told apart: the main metric comes again without them, and of them alone.
    Programs are sampled ``samples`` times each, at ``temperature``; a single one is greedy.
    With ``chat`` questions are a user's turns; ``reward`` is the model that judges ``chat``.

    What an earlier attempt with the same model and questions has scored is not asked again.
    Raises :class:`UserError` before anything is scored, for a task that cannot be run.
    """
    tasks = [load_task(name) for name in names]
    if any(task.kind == "code" for task in tasks):
        require(unsafe)
    for task in tasks:
        _check_chat(engine, task, chat, reward)
    counts = [_shots(task, shots, protocol) for task in tasks]
    data = data_folder(str(data), tasks)
    asked = [
        read_examples(task, data, count, limit)
        for task, count in zip(tasks, counts, strict=True)
    ]
    judge = (
        RewardJudge(reward, engine.model.embedding.weight.device) if reward else None
    )
    sampling = Sampling(samples, temperature, TOP_P) if samples > 1 else Sampling()
    weights = sha256(model / "model.safetensors")
    out = out / weights[:12]
    results: list[Result] = []
    for task, count, examples in zip(tasks, counts, asked, strict=True):
        notes = out / f"{task.name}-{count}-shot{'-chat' if chat else ''}.jsonl"
        own = judge if task.kind == "chat" else None
        records = run_task(
            *(engine, task, examples, notes, sampling, weights, chat),
            judge=own.of(engine, task) if own else None,
            judged_by=own.digest if own else "",
        )
        note = "\n".join(
            filter(None, (_shots_note(count), cut_note(engine, task, examples, chat)))
        )
        results += summarize(task, records, note)
        if training:
            held = contaminated(examples, training)
            write_json(notes.with_suffix(".overlap.json"), held)
            results += clean_and_dirty(task, records, held)
        save_results(_with_earlier(results, out), out / "results.json")
        _note_files(task, data, count, out / "files.json")
    return results


def _note_files(task: TaskConfig, data: Path, count: int, path: Path) -> None:
    """Note which files the questions come from, and their SHA-256."""
    known = read_json(path) if path.exists() else {}
    files = {str(f.relative_to(data)): sha256(f) for f in files_of(task, data, count)}
    write_json(path, {**known, task.name: files})


def _check_chat(
    engine: Engine, task: TaskConfig, chat: bool, reward: Path | None
) -> None:
    """Raises :class:`UserError` for a model that cannot chat, or a task that is no talk."""
    if task.kind == "chat" and reward is None:
        raise UserError(
            f"The task {task.name} is judged by a reward model: name a run that has one "
            "with --reward."
        )
    if chat and task.kind in ("choice", "cloze", "rolling"):
        raise UserError(
            f"The task {task.name} asks how likely a text is, so nothing is answered in it; "
            "leave --chat away."
        )
    special = engine.tokenizer.special
    if (chat or task.kind == "chat") and not {"<|user|>", "<|assistant|>"} <= set(
        special
    ):
        raise UserError(
            "This model's tokenizer has no marks for a user's and an assistant's turns, so "
            "it has no chat template; leave --chat away."
        )


def _shots_note(count: int) -> str:
    return f"{count} worked examples" if count else ""


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
