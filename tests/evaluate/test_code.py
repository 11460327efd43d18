"""Sampled functions: where they are cut, and that they are parsed but never run."""

import ast
import textwrap

from hypothesis import given
from hypothesis import strategies as st

from hornbook.evaluate.code import (
    cut_function,
    function_headers,
    parse,
    parsing_functions,
)

MODULE = textwrap.dedent(
    '''
    """A module."""
    import os

    def short(): return 1

    def plain(a, b=2):
        """Doc."""
        return a + b

    @decorated
    def wide(
        first,
        *rest: int,
    ) -> dict[str, int]:
        return {}

    class Holder:
        def method(self):
            pass
    '''
)


def test_headers_are_those_of_top_level_functions_up_to_their_body():
    headers = function_headers([MODULE, "not (python", MODULE], 10)
    assert sorted(headers) == [
        "def plain(a, b=2):\n",
        "def wide(\n    first,\n    *rest: int,\n) -> dict[str, int]:\n",
    ]
    assert all(parse(header + "    pass\n") for header in headers)


def test_the_choice_of_headers_depends_on_the_seed_alone():
    documents = [f"def f{k}(x):\n    return x\n" for k in range(50)]
    first = function_headers(documents, 5, seed=1)
    assert first == function_headers(iter(documents), 5, seed=1)
    assert first != function_headers(documents, 5, seed=2)
    assert len(set(first)) == 5


def test_a_function_ends_where_a_line_is_back_in_column_0():
    body = "    x = 1\n\n    return x\n\n"
    assert cut_function(body + "def other():\n    pass\n") == (body, True)
    assert cut_function(body) == (body, False)
    assert cut_function("    x = 1\n    return (x") == ("    x = 1\n", False)
    assert cut_function("    return 1") == ("    return 1", False)
    assert cut_function("class A:\n") == ("", True)
    assert cut_function("") == ("", False)


def test_share_and_interval_of_what_parses():
    answers = {
        "def a():\n": "    return 1\n\nprint('next')\n",
        "def b():\n": "    return (1\n\nx = 2\n",
        "def c():\n": "    if True:\n        return 1\n    retur",
        "def d():\n": "x = 1\n",
    }
    result = parsing_functions(
        lambda prompts: [answers[p] for p in prompts], list(answers)
    )
    assert (result["value"], result["n"]) == (0.5, 4)
    low, high = result["ci95"]
    assert 0 < low < 0.5 < high < 1
    assert result["note"].startswith("3 came")


def test_nothing_the_model_writes_is_run(tmp_path):
    target = tmp_path / "made"
    evil = f"    pass\n    open({str(target)!r}, 'w').close()\n"
    result = parsing_functions(lambda prompts: [evil], ["def f():\n"])
    assert result["value"] == 1.0
    assert not target.exists()


@given(st.text(max_size=200) | st.text("()[]{}'\"\\:\n\t\x00 ab", max_size=200))
def test_any_text_is_judged_without_an_error(completion):
    body, _ = cut_function(completion)
    assert completion.startswith(body)
    result = parsing_functions(lambda prompts: [completion], ["def f():\n"])
    assert result["value"] in (0.0, 1.0)


def test_parse_refuses_what_the_parser_cannot_take_and_stays_quiet(recwarn):
    assert parse("x = '\x00'") is None
    assert parse("(" * 500) is None
    assert isinstance(parse(r"x = '\d'"), ast.Module)
    assert not recwarn.list
