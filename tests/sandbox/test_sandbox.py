"""Programs that want out, or want to be judged right without being so: none succeeds."""

import json
import os
import subprocess
import sys
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hornbook.core.errors import UserError
from hornbook.sandbox import run as module
from hornbook.sandbox.run import Limits, Program, layers, require, run, run_all
from hornbook.sandbox.seccomp import seccomp_filter

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="the sandbox's layers are Linux's"
)
TESTS = "assert f(1) == 2\nassert f(5) == 6"
HONEST = "def f(x):\n    return x + 1\n"
QUICK = Limits(seconds=2.0, memory=256 << 20)


def judged(program: str, tests: str = TESTS, limits: Limits = QUICK):
    return run(Program(program, tests, ("f",)), limits)


WRONG = {
    "a wrong answer": "def f(x): return x",
    "no such function": "g = 1",
    "a syntax error": "def f(x) return x + 1",
    "exit with status 0": "import sys; sys.exit(0)",
    "exit at once": "import os; os._exit(0)",
    "exit in the function": "import os\ndef f(x): os._exit(0)",
    "SystemExit in the function": "def f(x): raise SystemExit(0)",
    "an endless loop": "while True: pass",
    "an endless function": "def f(x):\n    while True: pass",
    "sleep": "import time; time.sleep(100)",
    "too much memory": "x = bytearray(2 << 30)",
    "a flood of output": "while True: print('x' * 100000)",
    "endless recursion": "def f(x): return f(x)",
    "a lying equality": "class L:\n    def __eq__(self, o): return True\ndef f(x): return L()",
    "a lying integer": (
        "class L(int):\n    def __eq__(self, o): return True\n    __hash__ = int.__hash__\n"
        "def f(x): return L(7)"
    ),
    "a lying string": (
        "class L(str):\n    def __eq__(self, o): return True\ndef f(x): return L()"
    ),
    "a patched assertion": (
        "import builtins\nbuiltins.AssertionError = Warning\ndef f(x): return 0"
    ),
    "frame walking": (
        "import sys\n"
        "def f(x):\n"
        "    frame = sys._getframe()\n"
        "    while frame:\n"
        "        for value in list(frame.f_locals.values()) + list(frame.f_globals.values()):\n"
        "            if isinstance(value, dict) and 'secret' in value:\n"
        "                print(value['secret'])\n"
        "        frame = frame.f_back\n"
        "    return 0\n"
    ),
    "looking through memory for the secret": (
        "import gc\n"
        "found = [o for o in gc.get_objects() if isinstance(o, dict) and 'secret' in o]\n"
        "assert found\n"
        "def f(x): return x + 1"
    ),
    "a forged verdict on every descriptor": (
        "import os, json\n"
        "line = json.dumps({'passed': True, 'secret': '0' * 32, 'layers': {}, 'error': ''})\n"
        "for n in range(64):\n"
        "    try: os.write(n, line.encode() + b'\\n')\n"
        "    except OSError: pass\n"
        "def f(x): return 0"
    ),
    "printing a verdict": (
        'print(\'{"passed": true, "secret": ""}\')\ndef f(x): return 0'
    ),
    "the tests by reading the parent": (
        "open('/proc/1/environ').read()\ndef f(x): return x + 1"
    ),
    "a generator of right answers": "def f(x):\n    yield x + 1",
    "an import that is missing": "import torch\n" + HONEST,
}

FORBIDDEN = {
    "a socket": "import socket; socket.socket()",
    "a pair of sockets": "import socket; socket.socketpair()",
    "reading a user list": "open('/etc/passwd').read()",
    "listing a home": "import os; os.listdir(os.path.expanduser('~root'))",
    "listing the root": "import os; os.listdir('/')",
    "writing elsewhere": "open('/var/tmp/hornbook-landmine', 'w').write('x')",
    "a symbolic link out": "import os; os.symlink('/etc/passwd', 'p'); open('p').read()",
    "a hard link out": "import os; os.link('/etc/passwd', 'p')",
    "climbing out of the folder": "import os; os.chdir('..'); os.listdir('.')",
    "fork": "import os; os.fork()",
    "fork by its other name": "import posix; posix.fork()",
    "a fork bomb": "import os\nwhile True: os.fork()",
    "a subprocess": "import subprocess; subprocess.run(['/bin/echo'], check=True)",
    "a spawned process": "import os; os.posix_spawn('/bin/echo', ['echo'], {})",
    "the shell": "import os; assert os.system('echo hi') == 0",
    "becoming another program": "import os; os.execv('/bin/true', ['true'])",
    "killing everything": "import os; os.kill(-1, 9)",
    "killing the checker": "import os; os.kill(1, 9)",
    "killing the parent's group": "import os; os.killpg(0, 9)",
    "mounting": (
        "import ctypes\n"
        "if ctypes.CDLL(None).mount(b'x', b'/', b'tmpfs', 0, 0): raise OSError"
    ),
    "tracing the checker": (
        "import ctypes\nif ctypes.CDLL(None).ptrace(16, 1, 0, 0): raise OSError"
    ),
    "a new user namespace": (
        "import ctypes\nif ctypes.CDLL(None).unshare(0x10000000): raise OSError"
    ),
    "reading another's memory": "open('/proc/1/mem', 'rb').read(1)",
    "a large file": "open('b', 'wb').write(b'x' * (64 << 20))",
    "raising its limits": (
        "import resource as r; r.setrlimit(r.RLIMIT_FSIZE, (1 << 40, 1 << 40))"
    ),
    "a thousand files": "files = [open('/dev/null') for _ in range(1000)]",
}


@pytest.mark.parametrize("name", WRONG)
def test_a_program_that_is_not_right_is_not_judged_right(name):
    started = time.monotonic()
    outcome = judged(WRONG[name])
    assert not outcome.passed, outcome
    assert time.monotonic() - started < 10
    assert len(outcome.output) <= module.MAX_OUTPUT


@pytest.mark.parametrize("name", FORBIDDEN)
def test_what_is_forbidden_fails(name):
    require()
    outcome = judged(f"{FORBIDDEN[name]}\n{HONEST}")
    assert not outcome.passed, outcome
    assert not os.path.exists("/var/tmp/hornbook-landmine")


ALLOWED = {
    "nothing special": HONEST,
    "threads": (
        "import threading\nt = threading.Thread(target=print)\nt.start(); t.join()\n"
        + HONEST
    ),
    "files in its own folder": (
        "open('a', 'w').write('x')\nassert open('a').read() == 'x'\n" + HONEST
    ),
    "the standard library": (
        "import math, re, itertools, collections, heapq, typing, functools, string, random,"
        " copy, bisect, datetime, decimal, fractions, hashlib, statistics, json\n"
        + HONEST
    ),
    "printing": "def f(x):\n    print('a line')\n    return x + 1",
    "large integers": "def f(x):\n    assert 10 ** 9999\n    return x + 1",
    "a name as main": "def f(x): return x + 1\nif __name__ == '__main__': print(f(1))",
}


@pytest.mark.parametrize("name", ALLOWED)
def test_honest_programs_pass(name):
    outcome = judged(ALLOWED[name])
    assert outcome.passed, outcome
    assert outcome.status == "done"


PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.complex_numbers(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
    | st.binary(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text(max_size=3) | st.integers(), inner, max_size=3)
        | st.sets(st.integers() | st.text(max_size=3), max_size=3)
    ),
    max_leaves=8,
)


@settings(max_examples=15, deadline=None)
@given(st.lists(PLAIN, min_size=5, max_size=20))
def test_plain_values_pass_between_the_processes_as_they_are(values):
    tests = (
        "from math import inf\n"
        f"for value in {values!r}:\n"
        "    back = f(value)\n"
        "    assert back == value and type(back) is type(value)"
    )
    outcome = run(Program("def f(x): return x", tests, ("f",)), QUICK)
    assert outcome.passed, outcome


def test_a_program_without_functions_must_run_to_its_end():
    assert run(Program("x = 1\nassert x == 1"), QUICK).passed
    failed = run(Program("assert 1 == 2, 'no'"), QUICK)
    assert not failed.passed
    assert failed.error == "Raised: AssertionError: no"


def test_helpers_are_the_trusted_ones_and_not_the_programs():
    program = Program(
        "def f(x): return 7\ndef check(x): return True",
        "assert check(f(1))",
        ("f",),
        helpers="def check(x): return x == 2",
    )
    assert not run(program, QUICK).passed


def test_what_a_program_prints_is_kept_and_capped():
    assert judged("print('hello')\n" + HONEST).output == "hello\n"
    flood = judged(WRONG["a flood of output"])
    assert flood.status == "output limit"
    assert len(flood.output) == module.MAX_OUTPUT
    assert judged(WRONG["an endless loop"]).status == "timeout"


def test_nothing_is_left_behind(tmp_path, monkeypatch):
    monkeypatch.setattr(module.tempfile, "tempdir", str(tmp_path))
    judged("open('left', 'w').write('x')\n" + HONEST)
    judged("while True: pass")
    assert not list(tmp_path.iterdir())
    running = subprocess.run(["ps", "ax"], capture_output=True, text=True, check=False)
    mine = [line for line in running.stdout.splitlines() if str(tmp_path) in line]
    assert not mine


def test_many_run_at_once_in_their_order():
    programs = [Program(f"print({n})\n" + HONEST, TESTS, ("f",)) for n in range(8)]
    outcomes = list(run_all(programs, QUICK, workers=4))
    assert [outcome.output for outcome in outcomes] == [f"{n}\n" for n in range(8)]


def test_each_layer_is_reported_and_a_missing_one_is_refused(monkeypatch):
    assert set(layers()) == {"namespaces", "landlock", "seccomp"}
    bare = {"namespaces": False, "landlock": False, "seccomp": True}
    monkeypatch.setattr(module, "layers", lambda: bare)
    with pytest.raises(UserError, match=r"lacks namespaces, landlock.*--unsafe"):
        require()
    assert require(unsafe=True) == bare


def test_a_machine_whose_calls_are_not_listed_has_no_filter_and_says_so(monkeypatch):
    assert seccomp_filter("riscv64") == b""
    assert len(seccomp_filter("aarch64")) % 8 == 0
    monkeypatch.setattr(module, "seccomp_filter", lambda: b"")
    outcome = judged(HONEST)
    assert outcome.passed
    assert outcome.layers["seccomp"] is False


def test_a_broken_child_is_a_crash_and_no_verdict(monkeypatch, tmp_path):
    fake = tmp_path / "child.py"
    fake.write_text("import os, sys; os.write(int(sys.argv[1]), b'nonsense\\n')")
    monkeypatch.setattr(module, "CHILD", fake)
    outcome = judged(HONEST)
    assert (outcome.passed, outcome.status) == (False, "crash")
    fake.write_text(
        "import json, os, sys\n"
        f"os.write(int(sys.argv[1]), {json.dumps({'passed': True})!r}.encode() + b'\\n')"
    )
    assert not judged(HONEST).passed
