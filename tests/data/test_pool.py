"""Work in processes that hang, crash or eat memory: it is passed over and the rest is done."""

import os
import time

import pytest

from hornbook.core.errors import UserError
from hornbook.data.pool import at, isolated_map

# A module of its own, because the worker processes must be able to import it.
PLANTED = """
import os, signal, time
from hornbook.core.errors import UserError
from hornbook.data.pool import GivenUp, at

def careful(item):
    try:
        at(f"the place of {item}", "extraction", 1.0)
        return dangerous(item)
    except GivenUp as error:
        return str(error)

def dangerous(item):
    if item == "hangs":
        time.sleep(1000)
    if item == "exits":
        os._exit(3)
    if item == "crashes":
        os.kill(os.getpid(), signal.SIGSEGV)
    if item == "eats":
        return bytearray(1 << 40)
    if item == "mistaken":
        raise UserError("a mistake")
    if item == "full":
        raise OSError(28, "No space left on device", "x")
    if item == "wrong":
        return 1 / 0
    return f"{item} is done"

def pid(item):
    return os.getpid()
"""


@pytest.fixture
def planted(tmp_path, monkeypatch):
    (tmp_path / "planted_work.py").write_text(PLANTED)
    monkeypatch.syspath_prepend(tmp_path)
    import planted_work  # type: ignore[import-not-found]

    return planted_work


@pytest.mark.parametrize("workers", [1, 3])
def test_what_hangs_dies_or_eats_memory_is_passed_over(planted, workers):
    items = ["a", "hangs", "b", "exits", "c", "crashes", "eats", "d"]
    assert list(isolated_map(planted.careful, items, workers)) == [
        "a is done",
        "extraction took longer than 1 s",
        "b is done",
        "extraction ended the process (exit status 3)",
        "c is done",
        "extraction ended the process (SIGSEGV)",
        "extraction took more than 6 GiB",
        "d is done",
    ]


def test_a_death_that_cannot_be_passed_over_is_one_sentence(planted):
    with pytest.raises(UserError, match=r"at its start: starting ended the process"):
        list(isolated_map(planted.dangerous, ["a", "crashes"], 2))


@pytest.mark.parametrize(
    ("item", "kind", "said"),
    [
        ("mistaken", UserError, "a mistake"),
        ("full", OSError, "No space left"),
        ("wrong", RuntimeError, "ZeroDivisionError"),
    ],
)
def test_errors_reach_the_caller(planted, item, kind, said):
    with pytest.raises(kind, match=said) as caught:
        list(isolated_map(planted.dangerous, ["a", item, "b"], 2))
    assert item != "full" or caught.value.errno == 28


def test_items_are_taken_as_they_are_needed_and_processes_end(planted):
    taken = []

    def items():
        for number in range(100):
            taken.append(number)
            yield number

    results = isolated_map(planted.pid, items(), 2)
    processes = {next(results) for _ in range(5)}
    assert len(taken) <= 5 + 4 * 2
    results.close()
    for process in processes:
        for _ in range(100):
            try:
                os.kill(process, 0)
            except ProcessLookupError:
                break
            time.sleep(0.05)
        else:
            pytest.fail(f"process {process} is still there")


def test_outside_a_worker_nothing_is_watched():
    at("anywhere", seconds=0.0)
