"""Two instructions that numba lacks: compare a group of scores into a bit mask, and find a mask's lowest bit.

Written as LLVM IR on vectors, which LLVM lowers to whatever the processor has (one compare and one move on AVX-512, a
few instructions on AVX2 or NEON).
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

GROUP = 32
"""Scores compared at once."""

_VECTOR = ir.VectorType(ir.FloatType(), GROUP)
# a·b + c may become one instruction, the same one wherever this is compiled for one machine.
_FUSE = ("contract",)


def _mask_above(_typing: Any, sums: Any, scale: Any, shift: Any, start: Any, threshold: Any) -> Any:  # noqa: ARG001 -- numba reads them
    """Return the bit mask of the `GROUP` columns from `start` on where ``sums * scale + shift > threshold``.

    `sums`, `scale` and `shift` are contiguous float32 arrays that reach at least to ``start + GROUP``.
    """
    signature = types.int64(sums, scale, shift, types.int64, types.float32)

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        def group_of(index: int) -> Any:
            array = context.make_array(signature.args[index])(context, builder, arguments[index])
            pointer = builder.bitcast(builder.gep(array.data, [arguments[3]]), _VECTOR.as_pointer())
            group = builder.load(pointer)
            group.align = 4
            return group

        sums_, scale_, shift_ = (group_of(index) for index in range(3))
        scores = builder.fadd(builder.fmul(sums_, scale_, flags=_FUSE), shift_, flags=_FUSE)
        first = builder.insert_element(ir.Constant(_VECTOR, ir.Undefined), arguments[4], ir.IntType(32)(0))
        everywhere = ir.Constant(ir.VectorType(ir.IntType(32), GROUP), [0] * GROUP)
        limit = builder.shuffle_vector(first, ir.Constant(_VECTOR, ir.Undefined), everywhere)
        bits = builder.bitcast(builder.fcmp_ordered(">", scores, limit), ir.IntType(GROUP))
        return builder.zext(bits, ir.IntType(64))

    return signature, code


def _lowest_bit(_typing: Any, mask: Any) -> Any:  # noqa: ARG001 -- numba reads its type
    """Return the position of the lowest set bit of `mask`, which has one."""

    def code(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(types.int64), code


# numba calls these with the types of what stands in the kernel; to a type checker their calls are of any form.
mask_above: Any = intrinsic(_mask_above)
lowest_bit: Any = intrinsic(_lowest_bit)
