"""The one BLAS routine the sweep needs, callable from threads, and the switch that keeps BLAS itself to one thread."""

from __future__ import annotations

import ctypes
import threading
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

from threadpoolctl import ThreadpoolController

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy as np
    import numpy.typing as npt

    Float32 = npt.NDArray[np.float32]


@cache
def _sgemm() -> Callable[..., None]:
    # SciPy exports its BLAS to other compiled code; numba knows how to look the address up. Unlike np.matmul it can add
    # to its output (beta = 1), unlike scipy.linalg.blas.sgemm it lets other threads run (ctypes releases the GIL).
    import scipy.linalg.cython_blas  # noqa: F401 -- the look-up needs the module loaded
    from numba.extending import get_cython_function_address

    address = get_cython_function_address("scipy.linalg.cython_blas", "sgemm")
    function: Callable[..., None] = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 13)(address)
    return function


def add_product(left: Float32, right: Float32, start: int, stop: int, out: Float32, *, first: bool) -> None:
    """Add ``left[:, start:stop] @ right[:, start:stop].T`` to `out`, or overwrite it when `first`.

    `left` (m, d), `right` (n, d) and `out` (m, >= n) are float32 with contiguous rows.
    """
    rows, columns = left.shape[0], right.shape[0]
    # BLAS is column-major: it sees our arrays transposed, so it computes out' = right · left'.
    transposed, plain = ctypes.c_char(b"T"), ctypes.c_char(b"N")
    one, beta = ctypes.c_float(1.0), ctypes.c_float(0.0 if first else 1.0)
    sizes = [ctypes.c_int(value) for value in (columns, rows, stop - start)]
    # The stride of a single row can be anything (0 for `row[None]`), and BLAS refuses one below the width.
    strides = [ctypes.c_int(max(array.strides[0] // 4, array.shape[1])) for array in (right, left, out)]
    _sgemm()(
        ctypes.byref(transposed),
        ctypes.byref(plain),
        *[ctypes.byref(size) for size in sizes],
        ctypes.byref(one),
        right.ctypes.data + 4 * start,
        ctypes.byref(strides[0]),
        left.ctypes.data + 4 * start,
        ctypes.byref(strides[1]),
        ctypes.byref(beta),
        out.ctypes.data,
        ctypes.byref(strides[2]),
    )


class _OneBlasThread:
    """Counts who needs BLAS on one thread; the last one out restores what the first one found.

    Overlapping `threadpool_limits` would restore each other's limit and could leave the process slow for good.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._limit: Any = None

    @contextmanager
    def __call__(self) -> Iterator[None]:
        with self._lock:
            if self._users == 0:
                self._limit = ThreadpoolController().limit(limits=1, user_api="blas")
                self._limit.__enter__()
            self._users += 1
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
                if self._users == 0:
                    self._limit.__exit__(None, None, None)


one_blas_thread = _OneBlasThread()
"""Context in which BLAS calls use the calling thread only; safe to overlap from several threads."""


def blas_thread_count() -> int | None:
    """Return the most threads that a BLAS library of this process would use now; None where none of them tells."""
    counts = [library["num_threads"] for library in ThreadpoolController().info() if library["user_api"] == "blas"]
    return max(counts, default=None)
