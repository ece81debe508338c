"""Which users are in: flagd's ``fractional``, the same for the experiment, the flags and the rollout.

``h = murmur3_32(cbor(text))`` unsigned, ``bucket = (h · sum of weights) >> 32``; a user gets the first variant whose
cumulative weight exceeds the bucket. The text is the key and the user id joined; a flag file asks for that with
``{"fractional": [{"cat": [{"var": "$flagd.flagKey"}, {"var": "targetingKey"}]}, ...]}``. Flag files of others may leave
that argument out: flagd then hashes the CBOR array of the two, the `HashedForm` ``pair``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from engine.errors import ParameterError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    UserIds = Sequence[str] | npt.NDArray[Any]

HashedForm = Literal["joined", "pair"]

WEIGHTS_PER_PERCENT = 1000
"""Weights are whole numbers: a percentage times this, so that steps of 0.001 % can be told apart."""

_HUNDRED_PERCENT = 100 * WEIGHTS_PER_PERCENT
_LARGEST_SUM = (1 << 31) - 1  # flagd's own limit of the sum of weights
_ARRAY_OF_TWO = b"\x82"


def assign(key: str, user_ids: UserIds, percent: float) -> npt.NDArray[np.bool_]:
    """Return which of `user_ids` (n,) are in the treatment of `key` at `percent` (0..100), as bools (n,).

    The treatment comes first, so a user once in stays in as the percentage grows, and the last in are the first out.
    `user_ids` is a list, tuple, NumPy or pyarrow array of texts.

    >>> assign("reduced-dims", ["ada", "bo", "cleo"], 50.0)
    array([ True, False, False])

    Raises
    ------
    ParameterError
        When the percentage is outside 0..100, or an id is not a text.
    """
    return buckets(key, user_ids, _HUNDRED_PERCENT) < treatment_weight(percent)


def treatment_weight(percent: float) -> int:
    """Return `percent` (0..100) as a weight out of 100,000; raises `ParameterError` outside that range.

    >>> treatment_weight(2.5)
    2500
    """
    if isinstance(percent, bool) or not isinstance(percent, (int, float, np.integer, np.floating)):
        raise ParameterError("a percentage must be a number from 0 to 100", found=repr(percent))
    if not 0 <= percent <= 100:
        raise ParameterError("a percentage must be from 0 to 100", found=percent)
    return round(float(percent) * WEIGHTS_PER_PERCENT)


def assign_variants(
    key: str, user_ids: UserIds, weights: Sequence[int], *, form: HashedForm = "joined"
) -> npt.NDArray[np.int16]:
    """Return the index into `weights` of the variant of each of `user_ids` (n,), as int16 (n,).

    -1 where flagd gives no variant: an empty id under the form ``pair``; the flag's default applies to it.

    Raises
    ------
    ParameterError
        When a weight is not a whole number of at least 0, their sum is 0 or above 2³¹ - 1, or an id is not a text.
    """
    _check_weights(weights)
    ends = np.cumsum(np.array(weights, np.int64))
    texts = as_texts(user_ids)
    variants = np.searchsorted(ends, _buckets(hashes(key, texts, form=form), int(ends[-1])), side="right")
    chosen: npt.NDArray[np.int16] = variants.astype(np.int16)
    if form == "pair" and len(texts):
        chosen[np.diff(text_parts(texts)[1]) == 0] = -1
    return chosen


def variant_of(key: str, user_id: str, weights: Sequence[int], *, form: HashedForm = "joined") -> int:
    """Return the index into `weights` of the variant of one user: `assign_variants` without the arrays.

    Raises
    ------
    ParameterError
        As `assign_variants` does.
    """
    _check_weights(weights)
    if form == "pair" and user_id == "":
        return -1
    bucket, end = (hash_of(key, user_id, form=form) * sum(weights)) >> 32, 0
    for variant, weight in enumerate(weights):
        end += weight
        if bucket < end:
            return variant
    return -1


def hash_of(key: str, user_id: str, *, form: HashedForm = "joined") -> int:
    """Return the unsigned hash of one user under `key`: `hashes` without the arrays.

    Raises
    ------
    ParameterError
        When the key or the id is not a text.
    """
    import cbor2
    import mmh3

    try:
        return int(mmh3.hash(cbor2.dumps(key + user_id if form == "joined" else [key, user_id]), signed=False))
    except (TypeError, ValueError) as error:  # a lone surrogate has no UTF-8
        _checked_text(key)
        raise _not_a_text(user_id, 0) from error


def buckets(key: str, user_ids: UserIds, n_buckets: int, *, form: HashedForm = "joined") -> npt.NDArray[np.int64]:
    """Return the bucket, 0..n_buckets - 1, of each of `user_ids` (n,) under `key`, as int64 (n,).

    Raises
    ------
    ParameterError
        When `n_buckets` is not in 1..2³¹ - 1, or an id is not a text.
    """
    if not 1 <= n_buckets <= _LARGEST_SUM:
        raise ParameterError(f"the number of buckets must be from 1 to {_LARGEST_SUM:,}", found=n_buckets)
    return _buckets(hashes(key, user_ids, form=form), n_buckets)


def hashes(key: str, user_ids: UserIds, *, form: HashedForm = "joined") -> npt.NDArray[np.uint32]:
    """Return the hash of each of `user_ids` (n,) under `key`, as uint32 (n,).

    Raises
    ------
    ParameterError
        When the key or an id is not a text, or an id is missing.
    """
    import cbor2

    from engine.experiment.murmur import hash_texts

    key_bytes = _checked_text(key).encode()
    texts = as_texts(user_ids)
    hashed = np.empty(len(texts), np.uint32)
    if len(texts) == 0:
        return hashed
    data, offsets = text_parts(texts)
    before, joined = (b"", key_bytes) if form == "joined" else (_ARRAY_OF_TWO + cbor2.dumps(key), b"")
    # Copies are writable: numba would compile the kernel once more for arrays that are read-only.
    hash_texts(_bytes_array(before), _bytes_array(joined), data, offsets, hashed)
    return hashed


def as_texts(user_ids: UserIds) -> Any:
    """Return `user_ids` as one pyarrow array of texts without missing values, without copying where it is one.

    Raises
    ------
    ParameterError
        When an id is not a text: missing, a number, bytes, or with a lone surrogate.
    """
    import pyarrow as pa

    if isinstance(user_ids, (str, bytes)) or not hasattr(user_ids, "__iter__"):
        raise ParameterError("user ids must be a list or an array of texts", found=repr(user_ids))
    try:
        # NumPy's own fixed-width texts would end at their first NUL.
        listed = user_ids.tolist() if isinstance(user_ids, np.ndarray) else user_ids
        texts = listed if isinstance(listed, (pa.Array, pa.ChunkedArray)) else pa.array(listed)
        if pa.types.is_null(texts.type) and len(texts) == 0:
            texts = texts.cast(pa.string())
        if pa.types.is_dictionary(texts.type) or pa.types.is_string_view(texts.type):
            texts = texts.cast(pa.string())
        if isinstance(texts, pa.ChunkedArray):
            texts = texts.cast(pa.large_string()) if texts.nbytes > _LARGEST_SUM else texts
            texts = texts.combine_chunks()
            texts = pa.concat_arrays(texts.chunks) if isinstance(texts, pa.ChunkedArray) else texts
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise _first_wrong(user_ids) from error
    if texts.null_count or not (pa.types.is_string(texts.type) or pa.types.is_large_string(texts.type)):
        raise _first_wrong(user_ids)
    return texts


def text_parts(texts: Any) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Return the UTF-8 bytes, a read-only view, and the offsets int64 (n + 1,) of a pyarrow array of n > 0 texts."""
    import pyarrow as pa

    _, offsets, data = texts.buffers()
    ends = np.frombuffer(offsets, np.int64 if pa.types.is_large_string(texts.type) else np.int32)
    all_bytes = np.frombuffer(b"\0" if data is None or data.size == 0 else data, np.uint8)
    all_bytes.flags.writeable = False
    # One type of bytes and of offsets, because numba compiles the kernels once for each.
    return all_bytes, ends[texts.offset : texts.offset + len(texts) + 1].astype(np.int64)


@dataclass(frozen=True, kw_only=True)
class Contingency:
    """How the users in and out under one key are spread over another, to see whether the two are independent.

    `counts` has a row for those in and those out of the treatment of `key_a`, a column for in and out of `key_b`.
    `share_of_in` of the users in the treatment of `key_a` are also in that of `key_b`, `share_of_out` of the others;
    None where there are none. `chi2` (1 degree of freedom, no continuity correction) and its `p` are None where a row
    or a column is empty.
    """

    key_a: str
    percent_a: float
    key_b: str
    percent_b: float
    counts: tuple[tuple[int, int], tuple[int, int]]
    share_of_in: float | None
    share_of_out: float | None
    chi2: float | None
    p: float | None


def contingency(user_ids: UserIds, key_a: str, percent_a: float, key_b: str, percent_b: float) -> Contingency:
    """Count `user_ids` by their assignment under two keys, such as the rollout's and the experiment's.

    With one shared key, all users of a 5 % rollout land in one arm of the experiment; with two, 49-50 % do.

    Raises
    ------
    ParameterError
        As `assign` does.
    """
    from scipy.special import chdtrc  # here, so that importing the room loads no SciPy

    texts = as_texts(user_ids)
    first, second = assign(key_a, texts, percent_a), assign(key_b, texts, percent_b)
    both, only_a = int((first & second).sum()), int((first & ~second).sum())
    only_b, neither = int((~first & second).sum()), int((~first & ~second).sum())
    margins = math.prod((both + only_a, only_b + neither, both + only_b, only_a + neither))
    chi2 = len(texts) * (both * neither - only_a * only_b) ** 2 / margins if margins else None
    return Contingency(
        key_a=key_a,
        percent_a=float(percent_a),
        key_b=key_b,
        percent_b=float(percent_b),
        counts=((both, only_a), (only_b, neither)),
        share_of_in=both / (both + only_a) if both + only_a else None,
        share_of_out=only_b / (only_b + neither) if only_b + neither else None,
        chi2=chi2,
        p=None if chi2 is None else float(chdtrc(1, chi2)),
    )


def _buckets(hashed: npt.NDArray[np.uint32], n_buckets: int) -> npt.NDArray[np.int64]:
    # Both factors are below 2³², so the product fits.
    return ((hashed.astype(np.uint64) * np.uint64(n_buckets)) >> np.uint64(32)).astype(np.int64)


def _check_weights(weights: Sequence[int]) -> None:
    if not all(isinstance(weight, (int, np.integer)) and not isinstance(weight, bool) for weight in weights) or (
        min(weights, default=0) < 0
    ):
        raise ParameterError("weights must be whole numbers of at least 0", found=list(weights))
    if not 1 <= sum(weights) <= _LARGEST_SUM:
        raise ParameterError(f"the sum of weights must be from 1 to {_LARGEST_SUM:,}", found=sum(weights))


def _bytes_array(data: bytes) -> npt.NDArray[np.uint8]:
    return np.frombuffer(data, np.uint8).copy()


def _checked_text(text: object) -> str:
    try:
        if isinstance(text, str):
            text.encode()
            return text
    except UnicodeEncodeError:
        pass
    raise ParameterError("keys and user ids must be texts that have a UTF-8 form", found=ascii(text))


def _not_a_text(user_id: object, row: int) -> ParameterError:
    return ParameterError(
        "every user id must be a text",
        found=f"{user_id!a} in row {row + 1:,}",
        hint="Leave rows without an id out, write numbers as text, and replace lone surrogates",
    )


def _first_wrong(user_ids: UserIds) -> ParameterError:
    """Build the error that names the first id which is no text."""
    for row, user_id in enumerate(user_ids):
        value = user_id.as_py() if hasattr(user_id, "as_py") else user_id
        try:
            _checked_text(value)
        except ParameterError:
            return _not_a_text(value, row)
    return ParameterError("user ids must be one list or array of texts", found=type(user_ids).__name__)
