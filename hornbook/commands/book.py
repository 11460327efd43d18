"""The command for readers of the book: exercises that check themselves."""

from pathlib import Path

import click

MARKS = {"right": "✓", "wrong": "✗", "empty": "·"}


@click.command()
@click.argument("chapter", type=click.IntRange(min=1))
@click.argument("worksheet", required=False, type=click.Path(path_type=Path))
def check(chapter: int, worksheet: Path | None) -> None:
    """Check the exercises of CHAPTER of the book.

    The first time, an empty WORKSHEET is written (chapter05.py for chapter 5); fill it in
    and run the same command again. The worksheet is run as a program of your own.
    """
    from hornbook.core.files import atomic_file
    from hornbook.exercises import judge
    from hornbook.exercises.worksheet import worksheet as empty

    path = worksheet or Path(f"chapter{chapter:02d}.py")
    if not path.exists():
        text = empty(chapter)
        with atomic_file(path) as handle:
            handle.write(text.encode())
        click.echo(f"Wrote {path}. Fill it in, then: hornbook check {chapter} {path}")
        return
    verdicts = judge(chapter, path)
    for number, verdict in enumerate(verdicts, start=1):
        hint = verdict.hint or ("not written yet" if verdict.state == "empty" else "")
        line = f"{MARKS[verdict.state]} {chapter}.{number} {verdict.name}"
        click.echo(f"{line}: {hint}" if hint else line)
    right = sum(verdict.state == "right" for verdict in verdicts)
    click.echo(f"{right} of {len(verdicts)} right.")
    if right < len(verdicts):
        raise SystemExit(1)
