"""The system calls a sandboxed program may not make, as a filter the Linux kernel runs.

A filter is a program of classic BPF: eight-byte instructions that look at the number of a
system call and its arguments and say allow, or fail with an error. It is built here, in the
parent, and sent to the child as bytes.
"""

import platform
import struct

LOAD, EQUAL, AT_LEAST, ANY_BIT, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
ALLOW, KILL, FAIL = 0x7FFF0000, 0x80000000, 0x00050000
EPERM, ENOSYS = 1, 38
NUMBER, MACHINE, FIRST_ARGUMENT = (
    0,
    4,
    16,
)  # offsets in the kernel's description of a call
CLONE_THREAD = 0x10000
X32 = 0x40000000  # the other calling convention of x86-64 numbers its calls from here

# name: number on x86-64, on 64-bit ARM (None: it has no such call)
DENIED = {
    "socket": (41, 198),
    "connect": (42, 203),
    "accept": (43, 202),
    "accept4": (288, 242),
    "sendto": (44, 206),
    "sendmsg": (46, 211),
    "bind": (49, 200),
    "listen": (50, 201),
    "socketpair": (53, 199),
    "fork": (57, None),
    "vfork": (58, None),
    "execve": (59, 221),
    "execveat": (322, 281),
    "kill": (62, 129),
    "tkill": (200, 130),
    "tgkill": (234, 131),
    "rt_sigqueueinfo": (129, 138),
    "pidfd_open": (434, 434),
    "pidfd_send_signal": (424, 424),
    "pidfd_getfd": (438, 438),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "move_mount": (429, 429),
    "open_tree": (428, 428),
    "fsopen": (430, 430),
    "unshare": (272, 97),
    "setns": (308, 268),
    "reboot": (169, 142),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "kexec_load": (246, 104),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "keyctl": (250, 219),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "setpriority": (141, 140),
    "prlimit64": (302, 261),
}
MACHINES = {  # what the kernel calls it, CLONE's number, CLONE3's number, column above
    "x86_64": (0xC000003E, 56, 435, 0),
    "aarch64": (0xC00000B7, 220, 435, 1),
}


def seccomp_filter(machine: str = "") -> bytes:
    """The filter for this machine, or none for one whose calls are not listed here.

    Denied calls fail with EPERM. ``clone`` may start threads but no processes; ``clone3``,
    whose arguments a filter cannot see, does not exist, and libraries then fall back.
    """
    known = MACHINES.get(machine or platform.machine())
    if known is None:
        return b""
    name, clone, clone3, column = known
    steps = [
        _step(LOAD, MACHINE),
        _jump(EQUAL, name, 1, 0),
        _step(RETURN, KILL),
        _step(LOAD, NUMBER),
    ]
    if column == 0:
        steps += [_jump(AT_LEAST, X32, 0, 1), _step(RETURN, KILL)]
    steps += [_jump(EQUAL, clone3, 0, 1), _step(RETURN, FAIL | ENOSYS)]
    steps += [
        _jump(EQUAL, clone, 0, 4),
        _step(LOAD, FIRST_ARGUMENT),
        _jump(ANY_BIT, CLONE_THREAD, 1, 0),
        _step(RETURN, FAIL | EPERM),
        _step(LOAD, NUMBER),
    ]
    for numbers in DENIED.values():
        number = numbers[column]
        if number is not None:
            steps += [_jump(EQUAL, number, 0, 1), _step(RETURN, FAIL | EPERM)]
    return b"".join([*steps, _step(RETURN, ALLOW)])


def _step(code: int, value: int) -> bytes:
    return struct.pack("<HBBI", code, 0, 0, value)


def _jump(code: int, value: int, if_true: int, if_false: int) -> bytes:
    """Skip ``if_true`` or ``if_false`` instructions."""
    return struct.pack("<HBBI", code, if_true, if_false, value)
