"""Vector registers as values in Numba: a few numbers side by side, worked on at once.

LLVM can vectorise a plain loop by itself, but then chooses the order in which a sum is
added up, and chooses differently when the loop around it changes. Here the order is
written down: lane ``l`` adds up every 32nd (or 16th) product, and :func:`total` folds the
lanes in halves. So a number is the same in its last bit on every processor, and whether
one sequence is decoded or eight are.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic as numba_intrinsic
from numba.extending import models, register_model

intrinsic: Any = numba_intrinsic  # the function below writes LLVM instructions itself
FLOATS = 32  # lanes of a vector of floats
AHEAD = 4096  # bytes
INT32 = ir.IntType(32)


class Lanes(types.Type):
    """A vector of ``count`` numbers of ``kind``: "float", "int8" or "int32"."""

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


FLOAT32S, FLOAT16S, FLOAT8S = (Lanes("float", n) for n in (FLOATS, 16, 8))
BYTES, INT32S = Lanes("int8", 64), Lanes("int32", 16)


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
def sixteen_zeros(typing):
    """16 zeros."""
    return FLOAT16S(), lambda context, builder, signature, args: ir.Constant(
        FLOAT16S.vector, None
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
        if array_type.dtype == types.float32:
            return _load(context, builder, array_type, *args, FLOAT32S.vector)
        words = _load(context, builder, array_type, *args, INT32S.vector)
        # A bfloat16 is the upper half of a float32.
        low = builder.shl(words, _constant(INT32S.vector, 16))
        high = builder.and_(words, _constant(INT32S.vector, -65536))
        mask = ir.Constant(ir.VectorType(INT32, FLOATS), list(range(FLOATS)))
        both = builder.shuffle_vector(low, high, mask)
        return builder.bitcast(both, FLOAT32S.vector)

    return FLOAT32S(array, types.intp), codegen


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


@intrinsic
def load_bytes(typing, array, index):
    """64 bytes from ``array[index]`` on."""

    def codegen(context, builder, signature, args):
        return _load(context, builder, signature.args[0], *args, BYTES.vector)

    return BYTES(array, types.intp), codegen


@intrinsic
def low_nibbles(typing, bytes_):
    """The lower four bits of each byte: 0 to 15."""
    return BYTES(bytes_), lambda context, builder, signature, args: builder.and_(
        args[0], _constant(BYTES.vector, 15)
    )


@intrinsic
def high_nibbles(typing, bytes_):
    """The upper four bits of each byte: 0 to 15."""
    return BYTES(bytes_), lambda context, builder, signature, args: builder.lshr(
        args[0], _constant(BYTES.vector, 4)
    )


@intrinsic
def add_fours(typing, sums, a, b):
    """``sums[l]`` plus the four products of bytes ``a[4l + i] * b[4l + i]``, exactly.

    ``a`` counts from 0 to 255, ``b`` from -128 to 127. One instruction (VPDPBUSD) where the
    processor has it.
    """

    def codegen(context, builder, signature, args):
        if "+avx512vnni" not in context.codegen().magic_tuple()[2]:
            return _add_fours_plainly(builder, *args)
        sums, a, b = args
        vector = INT32S.vector
        name, kind = (
            "llvm.x86.avx512.vpdpbusd.512",
            ir.FunctionType(vector, [vector] * 3),
        )
        instruction = cgutils.get_or_insert_function(builder.module, kind, name)
        words = [builder.bitcast(bytes_, vector) for bytes_ in (a, b)]
        return builder.call(instruction, [sums, *words])

    return INT32S(INT32S, BYTES, BYTES), codegen


@intrinsic
def add_fours_plainly(typing, sums, a, b):
    """The same in instructions that every processor has."""
    return INT32S(
        INT32S, BYTES, BYTES
    ), lambda context, builder, signature, args: _add_fours_plainly(builder, *args)


def _add_fours_plainly(builder, sums, a, b):
    wide = _vector("int32", 64)
    products = builder.mul(builder.zext(a, wide), builder.sext(b, wide))
    for i in range(4):
        sums = builder.add(sums, _pick(builder, products, range(i, 64, 4)))
    return sums


@intrinsic
def joined(typing, high, low):
    """``256 * high + low``."""

    def codegen(context, builder, signature, args):
        high, low = args
        return builder.add(builder.shl(high, _constant(INT32S.vector, 8)), low)

    return INT32S(INT32S, INT32S), codegen


@intrinsic
def plus(typing, a, b):
    """``a + b``, lane by lane, of integers."""
    return a(a, a), lambda context, builder, signature, args: builder.add(*args)


@intrinsic
def less(typing, sums, array, index):
    """``sums[l] - array[index + l]``, as floats."""

    def codegen(context, builder, signature, args):
        sums, array, index = args
        other = _load(context, builder, signature.args[1], array, index, sums.type)
        kind = _vector("float", signature.args[0].count)
        return builder.sitofp(builder.sub(sums, other), kind)

    return Lanes("float", sums.count)(sums, array, types.intp), codegen


@intrinsic
def halved(typing, sums):
    """The upper half of the lanes added to the lower half."""

    def codegen(context, builder, signature, args):
        count = signature.args[0].count
        low = _pick(builder, args[0], range(count // 2))
        high = _pick(builder, args[0], range(count // 2, count))
        add = builder.fadd if signature.args[0].kind == "float" else builder.add
        return add(low, high)

    return Lanes(sums.kind, sums.count // 2)(sums), codegen


def _load_scales(context, builder, signature, args, count):
    array_type = signature.args[0]
    vector = _vector("float", count)
    if array_type.dtype == types.float32:
        return _load(context, builder, array_type, *args, vector)
    bits = _load(context, builder, array_type, *args, _vector("int16", count))
    return builder.fpext(builder.bitcast(bits, _vector("half", count)), vector)


@intrinsic
def load_eight(typing, array, index):
    """8 numbers from ``array[index]`` on; float16, kept as uint16, is widened."""

    def codegen(context, builder, signature, args):
        return _load_scales(context, builder, signature, args, 8)

    return FLOAT8S(array, types.intp), codegen


@intrinsic
def load_sixteen(typing, array, index):
    """16 of the same."""

    def codegen(context, builder, signature, args):
        return _load_scales(context, builder, signature, args, 16)

    return FLOAT16S(array, types.intp), codegen


@intrinsic
def times(typing, a, b):
    """``a * b``, lane by lane."""
    return a(a, a), lambda context, builder, signature, args: builder.fmul(*args)
