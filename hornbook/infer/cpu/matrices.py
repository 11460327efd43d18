"""A weight matrix as the compiled step reads it: of numbers or of small integers.

All layers' matrices of a kind are stacked. :func:`multiply` knows both: dense.py for
float32 and bfloat16, integers.py for 8 and 4 bits.
"""

import numpy as np
from numba.extending import overload

from hornbook.infer.cpu.dense import Dense, multiply_dense
from hornbook.infer.cpu.integers import (
    Bytes,
    Nibbles,
    multiply_bytes,
    multiply_nibbles,
    quantize,
)

Matrix = Dense | Bytes | Nibbles


def multiply(
    matrix: Matrix, layer: int, x: np.ndarray, out: np.ndarray, add: bool
) -> None:
    """``out[s, i] = matrix[layer, i] . x[s]``, or added to ``out``; compiled code only.

    ``x`` (sequences, inputs) and ``out`` (sequences, outputs) float32. Threads share the
    outputs.
    """
    raise NotImplementedError("only for compiled code")


@overload(multiply, jit_options={"error_model": "numpy"}, strict=False)
def _multiply(matrix, layer, x, out, add):
    if matrix.instance_class is Dense:
        return lambda matrix, layer, x, out, add: multiply_dense(
            matrix.panels[layer], x, out, add
        )
    product = multiply_bytes if matrix.instance_class is Bytes else multiply_nibbles

    def integers(matrix, layer, x, out, add):
        words, steps, sums = quantize(x, matrix.scales.shape[2])
        product(matrix.codes[layer], matrix.scales[layer], words, steps, sums, out, add)

    return integers
