"""How kernels are compiled and cached, and the machine operations Numba has no word for.

All kernels share one cache folder, named after the hash of all their sources
(core/kernel_cache.py).
"""

import gc
import threading
from pathlib import Path
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils, event
from numba.extending import intrinsic as numba_intrinsic
from numba.np.arrayobj import populate_array

from hornbook.core.kernel_cache import cache_folder, cached
from hornbook.tokenizer.kernels import compiler

BYTE, INT32, INT64 = ir.IntType(8), ir.IntType(32), ir.IntType(64)

CACHE = cache_folder(Path(__file__).parent, "kernels")


# No kernel allocates, so Numba need count no references to arrays ("_nrt"): a fifth less to
# compile.
OPTIONS: dict[str, Any] = {"error_model": "numpy", "_nrt": False}
_njit: Any = numba.njit
_inner = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True, **OPTIONS}
inner = _njit(pipeline_class=compiler.Kernel, **_inner)
# For what runs once per piece, where a real call would be felt.
inlined = _njit(forceinline=True, pipeline_class=compiler.Kernel, **_inner)
# The same two, quicker to compile; encoding would be a fifth slower with them.
part = _njit(pipeline_class=compiler.Part, **_inner)
inlined_part = _njit(forceinline=True, pipeline_class=compiler.Part, **_inner)


def kernel(function: Any) -> Any:
    """Compile on first call from Python, cached on disk, free of the interpreter lock.

    What only kernels call is ``@inner`` instead: compiled into its callers, faster to build.
    """
    compiled = _njit(cache=True, nogil=True, pipeline_class=compiler.Kernel, **OPTIONS)
    return cached(compiled, function, CACHE)


def c_function(function: Any) -> Any:
    """Compile now, cached on disk: a function of a state's address that kernels :func:`call`.

    Its ``address`` is a number, so what calls it is compiled apart from it.
    """
    signature = types.void(types.int64)
    compiled: Any = numba.cfunc(
        signature, cache=True, pipeline_class=compiler.Kernel, **OPTIONS
    )
    with uncollected:  # Numba's own tables are read, too, when it compiles its first
        return cached(compiled, function, CACHE)


class _Uncollected(event.Listener):
    """No garbage collection while Numba compiles or loads: it looks through a million objects.

    That takes a tenth of the time. Within ``with``, and whenever Numba says it compiles.
    """

    def __init__(self) -> None:
        self._lock, self._depth, self._was_on = threading.Lock(), 0, False

    def on_start(self, event: Any = None) -> None:
        with self._lock:
            if self._depth == 0:
                self._was_on = gc.isenabled()
                gc.disable()
            self._depth += 1

    def on_end(self, event: Any = None) -> None:
        with self._lock:
            self._depth -= 1
            if self._depth == 0 and self._was_on:
                gc.enable()

    def __enter__(self) -> None:
        self.on_start()

    def __exit__(self, *_: object) -> None:
        self.on_end()


uncollected = _Uncollected()
event.register("numba:compile", uncollected)


def intrinsic(function: Any) -> Any:
    """``numba.extending.intrinsic``: the function below writes LLVM instructions itself."""
    return numba_intrinsic(function)


def _address(context, builder, array_type, array, byte):
    """A pointer to ``byte`` bytes past the start of the array's data."""
    data = context.make_array(array_type)(context, builder, array).data
    return builder.gep(builder.bitcast(data, BYTE.as_pointer()), [byte])


@intrinsic
def load64(typing, array, byte):
    """The eight bytes at offset ``byte`` of ``array``, aligned or not, as a uint64."""

    def codegen(context, builder, signature, args):
        place = _address(context, builder, signature.args[0], *args)
        return builder.load(builder.bitcast(place, INT64.as_pointer()), align=1)

    return types.uint64(array, types.int64), codegen


@intrinsic
def store64(typing, array, byte, value):
    """Write eight bytes at offset ``byte`` of ``array``, aligned or not."""

    def codegen(context, builder, signature, args):
        place = _address(context, builder, signature.args[0], args[0], args[1])
        builder.store(args[2], builder.bitcast(place, INT64.as_pointer()), align=1)
        return context.get_dummy_value()

    return types.void(array, types.int64, types.uint64), codegen


@intrinsic
def prefetch(typing, array, byte):
    """Ask the processor for the cache line of offset ``byte``; changes nothing else."""

    def codegen(context, builder, signature, args):
        place = _address(context, builder, signature.args[0], *args)
        kind = ir.FunctionType(ir.VoidType(), [BYTE.as_pointer(), INT32, INT32, INT32])
        function = cgutils.get_or_insert_function(
            builder.module, kind, "llvm.prefetch.p0"
        )
        builder.call(function, [place, INT32(0), INT32(3), INT32(1)])
        return context.get_dummy_value()

    return types.void(array, types.int64), codegen


@intrinsic
def byte_mask(typing, array, byte, raised, low, count):
    """Which of the 64 bytes from ``byte`` on lie in ``low .. low + count - 1``, as bits.

    Each byte is first or-ed with ``raised``: 0x20 makes capital letters small. A plain
    vector compare; LLVM picks AVX-512, AVX2, SSE or NEON.
    """

    def codegen(context, builder, signature, args):
        vector = ir.VectorType(BYTE, 64)
        anything = ir.Constant(vector, ir.Undefined)
        zeros = ir.Constant(ir.VectorType(INT32, 64), [0] * 64)

        def repeated(value):
            one = builder.insert_element(anything, builder.trunc(value, BYTE), INT32(0))
            return builder.shuffle_vector(one, anything, zeros)

        place = _address(context, builder, signature.args[0], args[0], args[1])
        data = builder.load(builder.bitcast(place, vector.as_pointer()), align=1)
        data = builder.or_(data, repeated(args[2]))
        data = builder.sub(data, repeated(args[3]))
        return builder.bitcast(
            builder.icmp_unsigned("<", data, repeated(args[4])), INT64
        )

    number = types.int64
    return types.uint64(array, number, number, number, number), codegen


@intrinsic
def smallest_of_16(typing, array, first):
    """The smallest of sixteen uint32 of ``array`` from index ``first`` on."""

    def codegen(context, builder, signature, args):
        vector = ir.VectorType(INT32, 16)
        byte = builder.shl(args[1], INT64(2))
        place = _address(context, builder, signature.args[0], args[0], byte)
        data = builder.load(builder.bitcast(place, vector.as_pointer()), align=4)
        kind = ir.FunctionType(INT32, [vector])
        function = cgutils.get_or_insert_function(
            builder.module, kind, "llvm.vector.reduce.umin.v16i32"
        )
        return builder.call(function, [data])

    return types.uint32(array, types.int64), codegen


@intrinsic
def lowest_bit(typing, bits):
    """The index of the lowest set bit; 64 when there is none."""

    def codegen(context, builder, signature, args):
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 0))

    return types.int64(types.uint64), codegen


@intrinsic
def count_bits(typing, bits):
    """How many bits are set."""

    def codegen(context, builder, signature, args):
        return builder.ctpop(args[0])

    return types.int64(types.uint64), codegen


@intrinsic
def stand_apart(typing):
    """Keep the function this stands in out of its callers, though it is called once.

    A loop in a function of its own has all the processor's registers; in a large one, what
    each round needs would wait in memory.
    """

    def codegen(context, builder, signature, args):
        builder.function.attributes.add("noinline")
        return context.get_dummy_value()

    return types.void(), codegen


@intrinsic
def call(typing, function, address):
    """Call the C function that lies at ``function`` with a state's address."""

    def codegen(context, builder, signature, args):
        kind = ir.FunctionType(ir.VoidType(), [INT64])
        builder.call(builder.inttoptr(args[0], kind.as_pointer()), [args[1]])
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), codegen


def _array_at(context, builder, dtype, place, sizes):
    """An array over memory that someone else holds."""
    array_type = types.Array(dtype, len(sizes), "C")
    array = context.make_array(array_type)(context, builder)
    item = INT64(dtype.bitwidth // 8)
    strides = [item]
    for size in reversed(sizes[1:]):
        strides.insert(0, builder.mul(strides[0], size))
    data = builder.inttoptr(place, array.data.type)
    populate_array(array, data, sizes, strides, item, None)
    return array._getvalue()


def _state_word(builder, address, number, word):
    """Word 0 or 1, the place or the size, of array ``number`` of a state."""
    place = builder.add(address, builder.shl(number, INT64(4)))
    place = builder.add(place, INT64(8 * word))
    return builder.load(builder.inttoptr(place, INT64.as_pointer()))


@intrinsic
def view(typing, address, number, dtype):
    """Array ``number`` of the state at ``address`` (see :func:`addresses`), in one dimension.

    It costs nothing, unlike an argument.
    """

    def codegen(context, builder, signature, args):
        place, size = (_state_word(builder, args[0], args[1], word) for word in (0, 1))
        return _array_at(context, builder, dtype.dtype, place, [size])

    return types.Array(dtype.dtype, 1, "C")(types.int64, types.int64, dtype), codegen


@intrinsic
def view_as(typing, address, number, shape, dtype):
    """The same in the dimensions of ``shape``."""

    def codegen(context, builder, signature, args):
        sizes = cgutils.unpack_tuple(builder, args[2])
        place = _state_word(builder, args[0], args[1], 0)
        return _array_at(context, builder, dtype.dtype, place, sizes)

    array = types.Array(dtype.dtype, len(shape), "C")
    shapes = types.UniTuple(types.int64, len(shape))
    return array(types.int64, types.int64, shapes, dtype), codegen


def addresses(*arrays: np.ndarray) -> np.ndarray:
    """A state: where each array lies and its length, ``(arrays, 2)`` int64.

    A kernel call pays for every array argument; this passes many as one number, the
    state's own address. Whoever uses that must hold the state and the arrays.
    """
    state = np.zeros((len(arrays), 2), np.int64)
    point(state, 0, *arrays)
    return state


def point(state: np.ndarray, first: int, *arrays: np.ndarray) -> None:
    """Let the arrays from number ``first`` on be ``arrays``."""
    rows = [(array.ctypes.data, array.size) for array in arrays]
    state[first : first + len(rows)] = rows


# An int64 beside a uint64 silently becomes a float64, so constants carry their type.
ZERO, ONE = np.uint64(0), np.uint64(1)
