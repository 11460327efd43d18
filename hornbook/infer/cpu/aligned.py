"""Memory for the kernels."""

import numpy as np


def aligned(array: np.ndarray) -> np.ndarray:
    """A copy that begins where a vector register's worth of memory does.

    It is NumPy's own memory, for which the system is asked for large pages.
    """
    memory = np.empty(array.nbytes + 64, np.uint8)
    start = -memory.ctypes.data % 64
    copy = memory[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy
