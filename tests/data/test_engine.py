"""The engine keeps the order, holds few results at a time, and passes errors on."""

import pytest

from hornbook.data.engine import cores, ordered_map


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_results_come_in_order(workers):
    assert list(ordered_map(str, range(50), workers, processes=False)) == [
        str(i) for i in range(50)
    ]


def test_processes_do_the_same():
    assert list(ordered_map(abs, range(-9, 0), 2, processes=True)) == list(
        range(9, 0, -1)
    )


def test_items_are_taken_only_as_results_are_wanted():
    taken = []
    results = ordered_map(str, (taken.append(i) or i for i in range(1000)), 2, False)
    for _ in range(10):
        next(results)
    assert len(taken) <= 10 + 6
    results.close()


def test_an_error_reaches_the_caller():
    with pytest.raises(ZeroDivisionError):
        list(ordered_map(lambda x: 1 / x, [1, 2, 0, 3], 2, processes=False))


def test_there_is_a_core():
    assert cores() >= 1
