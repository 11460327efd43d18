"""What runs inside: a fresh interpreter locks itself in, then runs a program and its tests.

Started as ``python -I -S -B child.py VERDICT SECRET`` with two file descriptors, and on
standard input a job as JSON. It imports nothing of Hornbook, and little else, for imports are
most of what a short program would wait for. Three processes come of it:

    the starter    makes the namespaces, and waits
    the checker    process 1 in them: runs the tests, and alone knows the secret
    the candidate  runs the model's program; answers the checker's calls with plain values

The candidate is forked off before the secret is read, so there is nothing in its memory to
find; and what it answers is data, never an object that could lie about what it equals.
"""

import _json  # type: ignore[import-not-found]  # json's own core, without regular expressions
import ctypes
import os
import resource
import struct
import sys

libc = ctypes.CDLL(None, use_errno=True)

NEW_NS, NEW_UTS, NEW_IPC, NEW_USER = 0x20000, 0x4000000, 0x8000000, 0x10000000
NEW_PID, NEW_NET = 0x20000000, 0x40000000
SET_DEATH_SIGNAL, SET_SECCOMP, NO_NEW_PRIVILEGES = 1, 22, 38
LANDLOCK_CREATE, LANDLOCK_ADD, LANDLOCK_RESTRICT = 444, 445, 446
EXECUTE, READ_FILE, READ_FOLDER = 1 << 0, 1 << 2, 1 << 3
SIGKILL = 9


def main():
    """Start the three processes; see above."""
    verdict, secret = int(sys.argv[1]), int(sys.argv[2])
    job = loads(sys.stdin.read())
    os.close(0)
    compile("", "", "exec")  # what the first call sets up, both processes will need
    layers = {"namespaces": enter_namespaces()}
    pid = os.fork()  # the first process in the new namespace of process numbers
    if pid:
        os.close(secret)
        os.close(verdict)
        os.waitpid(pid, 0)
        os._exit(0)
    lock_in(job, layers)
    calls, answers = os.pipe(), os.pipe()
    pid = os.fork()
    if pid == 0:
        for descriptor in (verdict, secret, calls[1], answers[0]):
            os.close(descriptor)
        be_candidate(job, calls[0], answers[1])
    os.close(calls[0])
    os.close(answers[1])
    layers["seccomp"] = forbid_calls(job)
    be_checker(verdict, secret, layers, calls[1], answers[0])


# --------------------------------------------------------------------------- the layers


def enter_namespaces():
    """Own network (none), process numbers, mounts and users; False where refused."""
    user, group = os.getuid(), os.getgid()
    every = NEW_USER | NEW_NET | NEW_IPC | NEW_UTS | NEW_PID | NEW_NS
    if libc.unshare(every) != 0:
        return False
    try:
        for name, line in (
            ("setgroups", "deny"),
            ("uid_map", f"65534 {user} 1"),
            ("gid_map", f"65534 {group} 1"),
        ):
            with open(f"/proc/self/{name}", "w") as file:
                file.write(line)
    except OSError:
        pass  # nobody's rights are even fewer
    return True


def lock_in(job, layers):
    """Limits and the view of the file system, for this process and those it forks."""
    libc.prctl(SET_DEATH_SIGNAL, SIGKILL)
    for kind, most in (
        (resource.RLIMIT_AS, job["memory"]),
        (resource.RLIMIT_CPU, int(job["seconds"]) + 1),
        (resource.RLIMIT_FSIZE, 8 << 20),
        (resource.RLIMIT_NOFILE, 32),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(kind, (most, most))
    libc.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    layers["landlock"] = hide_files(job["readable"], job["folder"])
    os.chdir(job["folder"])


def hide_files(readable, writable):
    """Landlock (Linux 5.13): read below ``readable``, anything below ``writable``."""
    version = libc.syscall(LANDLOCK_CREATE, None, ctypes.c_size_t(0), 1)
    if version <= 0:
        return False
    files = (1 << 13) - 1 | (version >= 2) << 13 | (version >= 3) << 14
    network = 3 if version >= 4 else 0  # no TCP either way
    scopes = 3 if version >= 6 else 0  # no signals and no abstract sockets beyond
    rules = struct.pack("<QQQ", files, network, scopes)
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    ruleset = libc.syscall(
        LANDLOCK_CREATE, ctypes.c_char_p(rules), ctypes.c_size_t(size), 0
    )
    if ruleset < 0:
        return False
    places = [(path, EXECUTE | READ_FILE | READ_FOLDER) for path in readable]
    for path, rights in [*places, (writable, files & ~EXECUTE)]:
        try:
            place = os.open(path, os.O_PATH)
        except OSError:
            continue
        if not os.path.isdir(path):
            rights &= EXECUTE | READ_FILE
        rule = struct.pack("<Qi", rights, place)
        libc.syscall(LANDLOCK_ADD, ruleset, 1, ctypes.c_char_p(rule), 0)
        os.close(place)
    done = libc.syscall(LANDLOCK_RESTRICT, ruleset, 0) == 0
    os.close(ruleset)
    return done


class Filter(ctypes.Structure):
    """The kernel's ``struct sock_fprog``."""

    _fields_ = [("length", ctypes.c_ushort), ("steps", ctypes.c_void_p)]


def forbid_calls(job):
    """seccomp: the filter that the parent built; from here on this process cannot fork."""
    steps = bytes.fromhex(job["filter"])
    if not steps:
        return False
    buffer = ctypes.create_string_buffer(steps)
    program = Filter(len(steps) // 8, ctypes.addressof(buffer))
    return libc.prctl(SET_SECCOMP, 2, ctypes.byref(program), 0, 0) == 0


# ---------------------------------------------------------------------------- messages


class Plainly:
    """How JSON is read: nothing but plain values come of it."""

    strict, parse_float, parse_int = True, float, int
    object_hook = object_pairs_hook = parse_constant = None


scan = _json.make_scanner(Plainly)  # pyright: ignore[reportArgumentType]


def loads(text):
    """The value at the start of a text of JSON; ValueError where there is none."""
    try:
        return scan(text, 0)[0]
    except StopIteration:
        raise ValueError("not JSON") from None


def dumps(value):
    """A plain value as a line of JSON."""
    encode = _json.make_encoder(
        *(None, repr, _json.encode_basestring_ascii, None),
        *(": ", ", ", False, False, True),
    )
    return "".join(encode(value, 0))


def say(file, message):
    """Send a message; what was printed before it comes first."""
    sys.stdout.flush()
    file.write(dumps(message) + "\n")
    file.flush()


# ------------------------------------------------------------------------- the candidate


def be_candidate(job, calls, answers):
    """Run the program, then answer calls of its functions until there are no more."""
    libc.prctl(SET_DEATH_SIGNAL, SIGKILL)
    forbid_calls(job)
    globals_: dict = {"__name__": "__main__"}
    requests = os.fdopen(calls, "r")
    replies = os.fdopen(answers, "w")
    try:
        exec(compile(job["program"], "<program>", "exec"), globals_)
        say(replies, {"value": None})
    except BaseException as error:
        say(replies, {"error": describe(error)})
    for line in requests:
        name, arguments, keywords = from_plain(loads(line))
        try:
            say(replies, {"value": to_plain(globals_[name](*arguments, **keywords))})
        except BaseException as error:
            say(replies, {"error": describe(error)})
    os._exit(0)


def describe(error):
    """An error in one line."""
    return f"{type(error).__name__}: {error}"[:300]


def to_plain(value):
    """Plain values as JSON that keeps their types; TypeError for anything else."""
    if value is None or isinstance(value, bool | str):
        return str(value) if isinstance(value, str) else value
    if isinstance(value, int):
        return {"int": hex(int(value))}
    if isinstance(value, float):
        return {"float": float(value).hex()}
    if isinstance(value, complex):
        return {"complex": [value.real.hex(), value.imag.hex()]}
    if isinstance(value, bytes | bytearray):
        return {type(value).__name__: bytes(value).hex()}
    if isinstance(value, dict):
        pairs = [[to_plain(k), to_plain(v)] for k, v in value.items()]
        return {"dict": pairs}
    for kind in (list, tuple, set, frozenset):
        if isinstance(value, kind):
            return {kind.__name__: [to_plain(item) for item in value]}
    raise TypeError(f"a {type(value).__name__} is not a plain value")


def from_plain(value):
    """What :func:`to_plain` was given."""
    if not isinstance(value, dict):
        return value
    ((kind, inner),) = value.items()
    if kind == "int":
        return int(inner, 16)
    if kind == "float":
        return float.fromhex(inner)
    if kind == "complex":
        return complex(*map(float.fromhex, inner))
    if kind in ("bytes", "bytearray"):
        return {"bytes": bytes, "bytearray": bytearray}[kind].fromhex(inner)
    if kind == "dict":
        return {from_plain(k): from_plain(v) for k, v in inner}
    makers = {"list": list, "tuple": tuple, "set": set, "frozenset": frozenset}
    return makers[kind](map(from_plain, inner))


# --------------------------------------------------------------------------- the checker


class Raised(Exception):
    """The candidate's function raised; the message says what."""


def be_checker(verdict, secret, layers, calls, answers):
    """Run the tests against the candidate's functions and report with the secret."""
    requests, replies = os.fdopen(calls, "w"), os.fdopen(answers, "r")
    with os.fdopen(secret) as file:
        task = loads(file.read())
    report = {"secret": task["secret"], "layers": layers, "passed": False, "error": ""}
    try:
        answer(replies)  # the program itself ran
        tests: dict = {"__name__": "__main__"}
        exec(compile(task["helpers"], "<helpers>", "exec"), tests)
        for name in task["functions"]:
            tests[name] = proxy(name, requests, replies)
        exec(compile(task["tests"], "<tests>", "exec"), tests)
        report["passed"] = True
    except BaseException as error:
        report["error"] = describe(error)
    with os.fdopen(verdict, "w") as file:
        say(file, report)
    os._exit(0)


def proxy(name, requests, replies):
    """A function that asks the candidate's process; arguments and result are plain values."""

    def call(*arguments, **keywords):
        say(requests, to_plain([name, list(arguments), keywords]))
        return answer(replies)

    return call


def answer(replies):
    """The value that the candidate answers; raises :class:`Raised` where it gives none."""
    line = replies.readline()
    if not line:
        raise Raised("the program ended by itself")
    reply = loads(line)
    if "error" in reply:
        raise Raised(reply["error"])
    return from_plain(reply["value"])


main()
