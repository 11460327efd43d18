"""Units: a stage's work in pieces of a fixed size, each kept as soon as it is whole.

Unit 7 writes its files under names of its own (``documents-000007.parquet``), each by one
rename, and as the last of them ``units/000007.json`` with its facts. A stage that was killed
finds there what need not be done again. Units are cut and numbered by the input alone, so
what comes out is the same for any number of workers and any number of kills.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from hornbook import __version__
from hornbook.core.files import fresh_directory, read_json, sync, write_json
from hornbook.data.engine import ordered_map

Item = TypeVar("Item")
Work = Callable[[int, Item], dict[str, Any]]  # number, unit -> facts, as JSON knows them
Mapper = Callable[[Callable[[Any], Any], Iterable[Any]], Iterator[Any]]

FOLDER = "units"  # beside a stage's files; not published


def each_unit(
    work: Work[Item], units: Iterable[Item], out: Path, mapper: Mapper, cut: Any
) -> Iterator[tuple[dict[str, Any], bool]]:
    """Do ``work(number, unit)`` of all ``units``; gives each one's facts in order.

    With them comes whether an earlier attempt at the stage had done the unit already.
    ``mapper`` is an :func:`~hornbook.data.engine.ordered_map` that knows its workers; ``cut``
    is what the cutting into units depends on besides the input.
    """
    folder = out / FOLDER
    _begin(folder, {"hornbook": __version__, "cut": cut})
    planned: deque[tuple[int, bool]] = deque()  # number, done already

    def missing() -> Iterator[tuple[int, Item]]:
        for number, unit in enumerate(units):
            planned.append((number, _facts_file(folder, number).exists()))
            if not planned[-1][1]:
                yield number, unit

    def facts_up_to(last: int | None) -> Iterator[tuple[dict[str, Any], bool]]:
        while planned and (last is None or planned[0][0] <= last):
            number, earlier = planned.popleft()
            yield read_json(_facts_file(folder, number)), earlier

    for number in mapper(partial(_do, work, folder), missing()):
        yield from facts_up_to(number)
    yield from facts_up_to(None)


def _begin(folder: Path, plan: dict[str, Any]) -> None:
    """Forget units that were cut by other rules."""
    noted = folder / "plan.json"
    if not (noted.exists() and read_json(noted) == plan):
        fresh_directory(folder)
        write_json(noted, plan)


def _do(work: Work[Item], folder: Path, task: tuple[int, Item]) -> int:
    number, unit = task
    facts = work(number, unit)
    sync(folder.parent)  # the names of its files must be on the disk before its facts are
    write_json(_facts_file(folder, number), facts)
    return number


def _facts_file(folder: Path, number: int) -> Path:
    return folder / f"{number:06d}.json"
