"""What is noted of each item of a benchmark, so that nothing scored is lost by a kill."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

import msgspec

from hornbook.core.errors import UserError
from hornbook.evaluate.examples import Example


class Record(msgspec.Struct):
    """What is noted of one item: what was asked, what came, and the verdicts."""

    number: int
    prompt: str  # SHA-256 of what the model was given
    scores: dict[str, float]  # metric -> value for this item
    group: str = ""
    nats: list[float] = []
    output: list[str] = []
    note: str = ""


def resume(notes: Path, wanted: dict[str, str]) -> dict[int, Record]:
    """The records kept of the same examples; a line cut short by a kill is left out."""
    notes.parent.mkdir(parents=True, exist_ok=True)
    lines = notes.read_bytes().split(b"\n") if notes.exists() else []
    head = msgspec.json.encode(wanted)
    if not lines or lines[0] != head:
        notes.write_bytes(head + b"\n")
        return {}
    known: dict[int, Record] = {}
    whole = [head]
    for line in lines[1:-1]:
        try:
            record = msgspec.json.decode(line, type=Record)
        except msgspec.DecodeError:
            break
        known[record.number] = record
        whole.append(line)
    notes.write_bytes(b"\n".join([*whole, b""]))
    return known


def read_notes(notes: Path) -> tuple[dict[str, str], dict[int, Record]]:
    """What a file of notes says it is of, and its records.

    Raises :class:`UserError` for a file that holds something else.
    """
    try:
        first, *lines = notes.read_bytes().splitlines()
        head = msgspec.json.decode(first, type=dict[str, str])
        records = [msgspec.json.decode(line, type=Record) for line in lines]
        return {"task": head["task"], "prompts": head["prompts"]}, {
            record.number: record for record in records
        }
    except (OSError, ValueError, KeyError, msgspec.DecodeError) as error:
        raise UserError(
            f"{notes} holds no whole record of a benchmark ({error}); evaluate again."
        ) from None


def digest(examples: Iterable[Example]) -> str:
    """SHA-256 of everything that is asked."""
    state = hashlib.sha256()
    for example in examples:
        for text in (*example.contexts, *example.continuations, example.target):
            state.update(text.encode("utf-8", "surrogatepass") + b"\0")
    return state.hexdigest()


def hashed(text: str) -> str:
    """The first 16 hex digits of a text's SHA-256."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
