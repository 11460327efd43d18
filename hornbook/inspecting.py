"""Looking at what a training is given: packed conversations, with masks and segments."""

from pathlib import Path

from rich.text import Text

from hornbook.align.messages import Conversation, read_jsonl
from hornbook.align.sft import PADDING_SEGMENT, PackedRows, pack
from hornbook.core.errors import UserError
from hornbook.data.batch import IGNORE
from hornbook.recipe import load
from hornbook.show import console
from hornbook.tokenizer.base import Tokenizer, load_tokenizer

SEGMENTS = ("on grey15", "on grey27")  # neighbours are told apart by their ground
TRAINED, READ, MARK = "bold green", "white", "cyan"


def inspect_sft(run: Path, n: int, start: int = 0) -> None:
    """Show ``n`` packed rows of ``run``'s chat data, from row ``start`` on.

    Green is what the model learns to say; the rest it only reads. The ground changes with
    every conversation of a row. Raises :class:`UserError` for a run without chat data.
    """
    path = run / "chatdata" / "sft.jsonl"
    if not path.exists():
        raise UserError(
            f"{run} has no chat data; run its recipe as far as --until chatdata."
        )
    tokenizer = load_tokenizer(run / "tokenizer")
    length = load(str(run / "recipe.toml")).model.context_length
    rows = pack(read_jsonl(path, Conversation), tokenizer, length)
    console.print(summary(rows))
    for row in range(start, min(start + n, len(rows.tokens))):
        console.rule(Text(f"row {row}", style="dim"), align="left", style="dim")
        console.print(painted(rows, row, tokenizer), soft_wrap=True)


def summary(rows: PackedRows) -> Text:
    """What the rows hold, in a line, and a legend."""
    shape = rows.tokens.shape
    told = (
        f"{rows.conversations:,} conversations in {shape[0]:,} rows of {shape[1]} tokens; "
        f"{rows.answer_tokens / max(rows.tokens.size, 1):.1%} are trained, "
        f"{rows.waste:.2%} are padding, {rows.too_long:,} conversations were too long.  "
    )
    legend = (("trained", TRAINED), " ", ("read only", READ), " ", ("marks", MARK))
    return Text.assemble(told, *legend)


def painted(rows: PackedRows, row: int, tokenizer: Tokenizer) -> Text:
    """One row's text. What it holds is shown as text, whatever it spells.

    A token is trained where it is the target of the place before it.
    """
    tokens, targets, segments = (
        part[row] for part in (rows.tokens, rows.targets, rows.segments)
    )
    special = set(tokenizer.special.values())
    text = Text()
    for number in range(1, int(segments.max()) + 1):
        ground = SEGMENTS[number % 2]
        places = (segments == number).nonzero()[0]
        ids = [int(tokens[p]) for p in places]
        trained = [False, *(bool(targets[p] != IGNORE) for p in places)]
        last = int(targets[places[-1]])  # its place is the next conversation's
        ids += [last] if last != IGNORE else []
        for piece, learned, mark in _runs(ids, trained, special, tokenizer):
            style = TRAINED if learned else MARK if mark else READ
            text.append(visible(piece), style=f"{style} {ground}")
    padding = int((segments == PADDING_SEGMENT).sum())
    return text.append(f" +{padding} padding", style="dim") if padding else text


def _runs(
    ids: list[int], trained: list[bool], special: set[int], tokenizer: Tokenizer
) -> list[tuple[str, bool, bool]]:
    """Neighbours of one kind decoded together, so that characters stay whole."""
    runs: list[tuple[list[int], bool, bool]] = []
    for token, learned in zip(ids, trained, strict=False):
        kind = (learned, token in special)
        if runs and runs[-1][1:] == kind:
            runs[-1][0].append(token)
        else:
            runs.append(([token], *kind))
    return [(tokenizer.decode(part), learned, mark) for part, learned, mark in runs]


def visible(text: str) -> str:
    """``text`` with what a terminal would obey, rather than show, written out."""
    return "".join(c if c == "\n" or c.isprintable() else ascii(c)[1:-1] for c in text)
