"""Vector registers as values in Numba: a few numbers side by side, worked on at once.

LLVM can vectorise a plain loop by itself, but then chooses the order in which a sum is
added up, and chooses differently when the loop around it changes. Here the order is
written down: lane ``l`` adds up every 32nd (or 16th) product, and :func:`total` folds the
lanes in halves. So a number is the same in its last bit on every processor, and whether
one sequence is decoded or eight are.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic as numba_intrinsic
from numba.extending import models, overload, register_model

intrinsic: Any = numba_intrinsic  # the function below writes LLVM instructions itself
FLOATS, WORDS = 32, 32  # lanes of a vector of floats, and of 16-bit integers
AHEAD = 4096  # bytes
INT32 = ir.IntType(32)


class Lanes(types.Type):
    """A vector of ``count`` numbers of ``kind``: "float", "int16" or "int32"."""

    llvm = {  # noqa: RUF012
        "float": ir.FloatType(),
        "int8": ir.IntType(8),
        "int16": ir.IntType(16),
        "int32": INT32,
        "half": ir.HalfType(),
    }

    def __init__(self, kind: str, count: int):
        self.kind, self.count = kind, count
        self.vector = ir.VectorType(self.llvm[kind], count)
        super().__init__(name=f"Lanes({kind}, {count})")


@register_model(Lanes)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager: Any, lanes: Lanes):
        super().__init__(manager, lanes, lanes.vector)


FLOAT32S, FLOAT8S = Lanes("float", FLOATS), Lanes("float", 8)
INT16S, INT32S = Lanes("int16", WORDS), Lanes("int32", WORDS // 2)


def _vector(kind: str, count: int) -> ir.VectorType:
    return ir.VectorType(Lanes.llvm[kind], count)


def _load(context, builder, array_type, array, index, vector):
    """The vector that begins at element ``index`` of the array, aligned or not."""
    data = context.make_array(array_type)(context, builder, array).data
    place = builder.bitcast(builder.gep(data, [index]), vector.as_pointer())
    return builder.load(place, align=1)


def _pick(builder, vector, places):
    """The elements of ``vector`` at these places."""
    mask = ir.Constant(ir.VectorType(INT32, len(places)), list(places))
    return builder.shuffle_vector(vector, vector, mask)


def _constant(vector: ir.VectorType, value: float) -> ir.Constant:
    return ir.Constant(vector, [value] * vector.count)


def _fma(builder, a, b, c):
    kind = ir.FunctionType(a.type, [a.type] * 3)
    name = f"llvm.fma.v{a.type.count}f32"
    return builder.call(
        cgutils.get_or_insert_function(builder.module, kind, name), [a, b, c]
    )


@intrinsic
def no_floats(typing):
    """32 zeros."""
    return FLOAT32S(), lambda context, builder, signature, args: ir.Constant(
        FLOAT32S.vector, None
    )


@intrinsic
def eight_zeros(typing):
    """8 zeros."""
    return FLOAT8S(), lambda context, builder, signature, args: ir.Constant(
        FLOAT8S.vector, None
    )


@intrinsic
def no_integers(typing):
    """16 zeros, as 32-bit integers."""
    return INT32S(), lambda context, builder, signature, args: ir.Constant(
        INT32S.vector, None
    )


@intrinsic
def load_floats(typing, array, index):
    """32 numbers from ``array[index]`` on, float32 or bfloat16 in :func:`pairs`."""

    def codegen(context, builder, signature, args):
        array_type = signature.args[0]
        array, index = args
        if array_type.dtype == types.float32:
            return _load(context, builder, array_type, array, index, FLOAT32S.vector)
        words = _load(context, builder, array_type, array, index, INT32S.vector)
        # A bfloat16 is the upper half of a float32.
        low = builder.shl(words, _constant(INT32S.vector, 16))
        high = builder.and_(words, _constant(INT32S.vector, -65536))
        mask = ir.Constant(ir.VectorType(INT32, FLOATS), list(range(FLOATS)))
        both = builder.shuffle_vector(low, high, mask)
        return builder.bitcast(both, FLOAT32S.vector)

    return FLOAT32S(array, types.intp), codegen


@intrinsic
def load_row(typing, array, index):
    """32 numbers from ``array[index]`` on, float32 or bfloat16 in their own order."""

    def codegen(context, builder, signature, args):
        array_type, half = signature.args[0], _vector("int16", FLOATS)
        array, index = args
        if array_type.dtype == types.float32:
            return _load(context, builder, array_type, array, index, FLOAT32S.vector)
        halves = _load(context, builder, array_type, array, index, half)
        words = builder.zext(halves, ir.VectorType(INT32, FLOATS))
        words = builder.shl(words, _constant(words.type, 16))
        return builder.bitcast(words, FLOAT32S.vector)

    return FLOAT32S(array, types.intp), codegen


@intrinsic
def store_floats(typing, array, index, value):
    """Write 32 numbers to ``array[index]`` and on."""

    def codegen(context, builder, signature, args):
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        place = builder.gep(data, [args[1]])
        place = builder.bitcast(place, FLOAT32S.vector.as_pointer())
        builder.store(args[2], place, align=4)
        return context.get_dummy_value()

    return types.none(array, types.intp, FLOAT32S), codegen


@intrinsic
def spread(typing, value):
    """The same number in all 32 lanes."""

    def codegen(context, builder, signature, args):
        empty = ir.Constant(FLOAT32S.vector, ir.Undefined)
        one = builder.insert_element(empty, args[0], INT32(0))
        return _pick(builder, one, [0] * FLOATS)

    return FLOAT32S(types.float32), codegen


@intrinsic
def plus(typing, a, b):
    """``a + b``, lane by lane."""
    return a(a, a), lambda context, builder, signature, args: builder.fadd(*args)


@intrinsic
def fetch(typing, array, index):
    """Ask for the memory ``AHEAD`` bytes beyond ``array[index]``; it need not exist.

    Memory answers late; the more requests are under way the more it gives.
    """

    def codegen(context, builder, signature, args):
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        narrow = ir.IntType(8).as_pointer()
        place = builder.bitcast(builder.gep(data, [args[1]]), narrow)
        place = builder.gep(place, [INT32(AHEAD)])
        kind = ir.FunctionType(ir.VoidType(), [narrow, INT32, INT32, INT32])
        name = "llvm.prefetch.p0"
        instruction = cgutils.get_or_insert_function(builder.module, kind, name)
        builder.call(instruction, [place, INT32(0), INT32(3), INT32(1)])
        return context.get_dummy_value()

    return types.none(array, types.intp), codegen


@intrinsic
def multiply_add(typing, a, b, c):
    """``a * b + c``, rounded once."""
    return a(a, a, a), lambda context, builder, signature, args: _fma(builder, *args)


@intrinsic
def total(typing, a):
    """The sum of all lanes, upper half onto lower half until one is left."""

    def codegen(context, builder, signature, args):
        vector, count = args[0], signature.args[0].count
        while count > 1:
            count //= 2
            low = _pick(builder, vector, range(count))
            high = _pick(builder, vector, range(count, 2 * count))
            vector = builder.fadd(low, high)
        return builder.extract_element(vector, INT32(0))

    return types.float32(a), codegen


def _halves(builder, a, b, size):
    """Of each ``size`` lanes of ``a`` and ``b`` the upper half added onto the lower."""
    count = a.type.count
    low = [i for i in range(2 * count) if i % size < size // 2]
    parts = [
        builder.shuffle_vector(
            a, b, ir.Constant(ir.VectorType(INT32, count), [i + shift for i in low])
        )
        for shift in (0, size // 2)
    ]
    return builder.fadd(*parts)


@intrinsic
def store_totals(typing, array, index, a, b, c, d):
    """Write :func:`total` of four vectors side by side, from ``array[index]`` on.

    Bit by bit the same, in fewer instructions than one by one.
    """

    def codegen(context, builder, signature, args):
        array, index, *vectors = args
        half = FLOATS // 2
        folded = [
            builder.fadd(
                _pick(builder, v, range(half)), _pick(builder, v, range(half, FLOATS))
            )
            for v in vectors
        ]
        first = _halves(builder, folded[0], folded[1], 16)
        second = _halves(builder, folded[2], folded[3], 16)
        four = _halves(builder, first, second, 8)  # four lanes of each are left
        for size in (4, 2):
            low = [i for i in range(four.type.count) if i % size < size // 2]
            high = [i + size // 2 for i in low]
            four = builder.fadd(_pick(builder, four, low), _pick(builder, four, high))
        data = context.make_array(signature.args[0])(context, builder, array).data
        place = builder.gep(data, [index])
        place = builder.bitcast(place, four.type.as_pointer())
        builder.store(four, place, align=4)
        return context.get_dummy_value()

    return types.none(array, types.intp, a, a, a, a), codegen


def _max(builder, a, b):
    """Where ``a`` is not a number, ``a``."""
    return builder.select(builder.fcmp_ordered("<", a, b), b, a)


@intrinsic
def larger(typing, a, b):
    """The larger of two, lane by lane."""
    return a(a, a), lambda context, builder, signature, args: _max(builder, *args)


@intrinsic
def largest(typing, a):
    """The largest of all lanes."""

    def codegen(context, builder, signature, args):
        vector, count = args[0], signature.args[0].count
        while count > 1:
            count //= 2
            low = _pick(builder, vector, range(count))
            vector = _max(builder, low, _pick(builder, vector, range(count, 2 * count)))
        return builder.extract_element(vector, INT32(0))

    return types.float32(a), codegen


@intrinsic
def load_words(typing, array, index):
    """32 integers of 8 (widened) or 16 bits, from ``array[index]`` on."""

    def codegen(context, builder, signature, args):
        array_type = signature.args[0]
        if array_type.dtype == types.int16:
            return _load(context, builder, array_type, args[0], args[1], INT16S.vector)
        bytes_ = _load(
            context, builder, array_type, args[0], args[1], _vector("int8", WORDS)
        )
        return builder.sext(bytes_, INT16S.vector)

    return INT16S(array, types.intp), codegen


def _load_nibbles(context, builder, signature, args, upper):
    narrow = _vector("int8", WORDS)
    both = _load(context, builder, signature.args[0], args[0], args[1], narrow)
    four = _constant(narrow, 4)
    if not upper:
        both = builder.and_(both, _constant(narrow, 15))
    nibbles = builder.lshr(both, four) if upper else both
    return builder.zext(nibbles, INT16S.vector)


@intrinsic
def load_low_nibbles(typing, array, index):
    """The lower four bits of 32 bytes from ``array[index]`` on: 0 to 15."""

    def codegen(context, builder, signature, args):
        return _load_nibbles(context, builder, signature, args, upper=False)

    return INT16S(array, types.intp), codegen


@intrinsic
def load_high_nibbles(typing, array, index):
    """The upper four bits of 32 bytes from ``array[index]`` on: 0 to 15."""

    def codegen(context, builder, signature, args):
        return _load_nibbles(context, builder, signature, args, upper=True)

    return INT16S(array, types.intp), codegen


@intrinsic
def add_pairs(typing, sums, a, b):
    """``sums[l] + a[2l] * b[2l] + a[2l + 1] * b[2l + 1]``, exactly.

    One instruction (VPDPWSSD, or VPMADDWD and an addition) where the processor has it.
    """

    def codegen(context, builder, signature, args):
        sums, a, b = args
        wide = _vector("int32", WORDS)
        products = builder.mul(builder.sext(a, wide), builder.sext(b, wide))
        even = _pick(builder, products, range(0, WORDS, 2))
        odd = _pick(builder, products, range(1, WORDS, 2))
        return builder.add(sums, builder.add(even, odd))

    return INT32S(INT32S, INT16S, INT16S), codegen


@intrinsic
def fold(typing, sums):
    """Lane ``l`` plus lane ``l + 8`` of 16 integers, as 8 floats."""

    def codegen(context, builder, signature, args):
        low = _pick(builder, args[0], range(8))
        high = _pick(builder, args[0], range(8, 16))
        return builder.sitofp(builder.add(low, high), FLOAT8S.vector)

    return FLOAT8S(INT32S), codegen


@intrinsic
def load_eight(typing, array, index):
    """8 numbers from ``array[index]`` on; float16, kept as uint16, is widened."""

    def codegen(context, builder, signature, args):
        array_type = signature.args[0]
        if array_type.dtype == types.float32:
            return _load(context, builder, array_type, args[0], args[1], FLOAT8S.vector)
        bits = _load(
            context, builder, array_type, args[0], args[1], _vector("int16", 8)
        )
        return builder.fpext(builder.bitcast(bits, _vector("half", 8)), FLOAT8S.vector)

    return FLOAT8S(array, types.intp), codegen


@intrinsic
def times(typing, a, b):
    """``a * b``, lane by lane."""
    return a(a, a), lambda context, builder, signature, args: builder.fmul(*args)


def widen(x):
    """A stored number as float32. bfloat16 is a float32's upper half, kept as uint16."""
    raise NotImplementedError("only for compiled code")


@overload(widen, inline="always")
def _widen(x):
    if x == types.uint16:
        return lambda x: np.uint32(np.uint32(x) << 16).view(np.float32)
    return lambda x: x
