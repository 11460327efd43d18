import ast

import pytest

from hornbook.align.subjects import module_name, read_subjects

SOURCE = '''
class Encoder:
    """A small encoder of values."""

    def __init__(self, indent=2, *, sort=False):
        pass

    @classmethod
    def open(cls, path, *more):
        """Open a file as an encoder."""

        with open(path) as handle:
            return cls(handle.read())

    @property
    def size(self):
        """Return the size of the output."""
        return 3

    def _hidden(self):
        """Return nothing of any interest."""


def stub(x):
    """Return something some day soon."""
    raise NotImplementedError


async def join(parts, /, sep=",", **options):
    """Join the parts with a separator.

    Further down.
    """
    # keep the order
    return sep.join(parts)


def undocumented(a):
    return a


raise SystemExit("this file must never run")
'''


@pytest.fixture(scope="module")
def subjects():
    return {s.name: s for s in read_subjects("pkg/codec.py", SOURCE)}


def test_public_documented_definitions_are_found_and_nothing_runs(subjects):
    assert list(subjects) == ["Encoder", "Encoder.open", "Encoder.size", "stub", "join"]
    kinds = [s.kind for s in subjects.values()]
    assert kinds == ["class", "method", "method", "function", "function"]
    assert subjects["Encoder.open"].full_name == "pkg.codec.Encoder.open"


def test_arguments_are_without_self_and_signatures_with_it(subjects):
    assert subjects["Encoder"].arguments == ("indent", "sort")
    assert subjects["Encoder.open"].arguments == ("path", "*more")
    assert subjects["Encoder.open"].signature == "open(cls, path, *more)"
    assert subjects["join"].arguments == ("parts", "sep", "**options")


def test_code_comes_without_docstring_and_still_parses(subjects):
    source = subjects["join"].source
    assert source == (
        'async def join(parts, /, sep=",", **options):\n'
        "    # keep the order\n"
        "    return sep.join(parts)"
    )
    assert '"""' not in subjects["Encoder.open"].source
    assert ast.get_docstring(ast.parse(source).body[0]) is None  # type: ignore[arg-type]


def test_stubs_and_decorated_code_are_not_offered_as_answers(subjects):
    assert subjects["stub"].source == ""
    assert subjects["Encoder.size"].source == ""


@pytest.mark.parametrize(
    ("path", "module"),
    [
        ("shlex.py", "shlex"),
        ("json/__init__.py", "json"),
        ("json/encoder.py", "json.encoder"),
        ("src/tool/main.py", "tool.main"),
        ("_pydecimal.py", "decimal"),
        ("_strptime.py", None),
        ("pkg/_private/a.py", None),
        ("pkg/tests/helpers.py", None),
        ("my-script.py", ""),
        ("3.11/tool.py", ""),
    ],
)
def test_module_names_follow_the_path(path, module):
    assert module_name(path) == module


def test_text_that_is_not_python_is_a_syntax_error():
    with pytest.raises(SyntaxError):
        list(read_subjects("a.py", "def f(:"))
