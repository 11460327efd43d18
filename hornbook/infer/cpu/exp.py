"""The exponential function, written so that LLVM makes vector code of a loop around it.

The C library's is called once for every number, ten times as slow.
"""

import numpy as np

from hornbook.infer.cpu.jit import inner

LOG2_E = np.float32(1.44269504)
# ln 2 in two parts: the first has few enough bits that its multiples are exact.
LN2_HIGH, LN2_LOW = np.float32(0.693359375), np.float32(-2.12194440e-4)
LOWEST, HIGHEST = np.float32(-87), np.float32(88)  # beyond, float32 ends


@inner()
def exp(x):
    """``e ** x`` to float32's last bit or the one before, for ``x`` from -87 to 88.

    ``2 ** n * e ** r`` with ``r`` at most half of ln 2, where seven terms of the Taylor
    series are enough. What lies beyond the ends is taken for the end.
    """
    x = min(max(x, LOWEST), HIGHEST)
    n = np.rint(x * LOG2_E)
    r = x - n * LN2_HIGH - n * LN2_LOW
    p = np.float32(1 / 5040)
    p = p * r + np.float32(1 / 720)
    p = p * r + np.float32(1 / 120)
    p = p * r + np.float32(1 / 24)
    p = p * r + np.float32(1 / 6)
    p = p * r + np.float32(0.5)
    p = p * r + np.float32(1)
    p = p * r + np.float32(1)
    power = (np.int32(n) + np.int32(127)) << np.int32(23)
    return p * np.int32(power).view(np.float32)
