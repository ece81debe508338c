"""Gather the rows of a log batch by batch, in about 30 bytes a row, and say which were left out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.errors import FormatError
from engine.experiment.events import SkippedRows
from engine.experiment.log_timestamps import DayReader
from engine.experiment.log_values import Flags, coded, read_flags, read_ids, read_latency, read_no_results

if TYPE_CHECKING:
    from collections.abc import Sequence
    from concurrent.futures import Future, ThreadPoolExecutor

    import numpy.typing as npt

    from engine.experiment.log_columns import LogColumns

    Bools = npt.NDArray[np.bool_]

FLAGS = ("clicked", "converted", "error", "no_results")

NO_USER, NO_TIME, NO_VARIATION = "no user id", "a timestamp that cannot be read", "no variation"
OTHER_EXPERIMENT = "another experiment"

_MOST_NAMES = 1000
_PENDING_IDS = 1 << 21


@dataclass
class _Skipped:
    """Rows left out for one reason, with the first of them and what it held."""

    n_rows: int = 0
    first_row: int = 0
    example: str = ""


class Names:
    """Numbers the different texts of a column over all batches; `first_rows` holds the first row of each."""

    def __init__(self, name: str, column: str) -> None:
        self.texts: list[str] = []
        self.first_rows: list[int] = []
        self._name, self._column = name, column
        self._codes: dict[str, int] = {}

    def codes(self, values: Any, *, first_row: int) -> npt.NDArray[np.int32]:
        """Return the code of each value in `texts`, -1 where it is missing; rows are counted from `first_row`."""
        codes, spelled = coded(self._name, self._column, values)
        texts = [text.strip() for text in spelled]
        for code, text in enumerate(texts):
            if text not in self._codes:
                self._codes[text] = len(self.texts)
                self.texts.append(text)
                self.first_rows.append(first_row + int(np.argmax(codes == code)))
        if len(self.texts) > _MOST_NAMES:
            raise FormatError.in_file(
                self._name,
                f"{self._column} may hold at most {_MOST_NAMES:,} different values",
                found=f"{len(self.texts):,} and more",
            )
        places = np.array([*(self._codes[text] for text in texts), -1], np.int32)
        return places[codes]


class UserIds:
    """Numbers the users over all batches, a few million rows at a time, on a thread of `pool` while reading goes on."""

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self._pool = pool
        self._pending: list[Any] = []
        self._n_pending = 0
        self._numbered: list[Future[Any]] = []

    def add(self, ids: Any) -> None:
        """Add the ids of further rows."""
        self._pending.append(ids)
        self._n_pending += len(ids)
        if self._n_pending >= _PENDING_IDS:
            self._number_pending()

    def finish(self) -> tuple[npt.NDArray[np.int32], Any]:
        """Return the number of each row's user, and the ids (U,), every one once."""
        import pyarrow as pa

        self._number_pending()
        numbered = [future.result() for future in self._numbered]
        if not numbered:
            return np.zeros(0, np.int32), pa.array([], pa.string())
        unified = pa.chunked_array(numbered).unify_dictionaries()
        user = np.concatenate([chunk.indices.to_numpy(zero_copy_only=False) for chunk in unified.chunks])
        return user.astype(np.int32, copy=False), unified.chunks[-1].dictionary

    def _number_pending(self) -> None:
        if self._pending:
            self._numbered.append(self._pool.submit(_numbered, self._pending))
            self._pending, self._n_pending = [], 0


def _numbered(pieces: list[Any]) -> Any:
    import pyarrow as pa

    # What the file holds as a dictionary stays one: spelling ids out and numbering them again takes twice as long.
    texts = pa.chunked_array(pieces)
    is_encoded = pa.types.is_dictionary(texts.type)
    chunks = (texts.unify_dictionaries() if is_encoded else texts.dictionary_encode()).chunks
    codes = pa.concat_arrays([chunk.indices for chunk in chunks])
    # One chunk, because unifying costs a look at all ids for each.
    return pa.DictionaryArray.from_arrays(codes, chunks[-1].dictionary)


@dataclass(eq=False, kw_only=True)
class LogRows:
    """The rows kept so far: columns as lists of arrays, a batch each."""

    name: str
    columns: LogColumns
    per_ms: float
    experiment: str | None
    pool: ThreadPoolExecutor
    n_read: int = 0
    n_counts: int = 0
    n_empty_flags: int = 0
    parts: dict[str, list[npt.NDArray[Any]]] = field(default_factory=dict)
    reasons: dict[str, _Skipped] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.days = DayReader(self.name)
        self.users = UserIds(self.pool)
        self.variations = Names(self.name, self.columns.variation_id or "")
        self.experiments = Names(self.name, self.columns.experiment_id or "")
        self.segments = Names(self.name, self.columns.segment or "")

    def add(self, batch: Any) -> None:
        """Add the rows of a record batch.

        Raises
        ------
        FormatError
            When a value cannot be meant; it names the row.
        """
        first_row = self.n_read + 1
        self.n_read += batch.num_rows
        columns = self.columns
        ids = read_ids(self.name, "the user id", batch.column(columns.user_id))
        days = self.days.read(_decoded(batch.column(columns.timestamp)), first_row=first_row)
        variation = self.variations.codes(batch.column(columns.variation_id), first_row=first_row)
        kept = self._of_experiment(batch, first_row)
        kept &= self._noted(NO_USER, kept & ~_has_text(ids), first_row, None)
        kept &= self._noted(NO_TIME, kept & ~days.is_read, first_row, batch.column(columns.timestamp))
        kept &= self._noted(NO_VARIATION, kept & (variation < 0), first_row, None)
        self.users.add(ids if kept.all() else ids.filter(_mask(kept)))
        self._keep("day", days.day, kept)
        self._keep("stamp", days.stamp, kept)
        self._keep("variation", variation.astype(np.int16), kept)
        self._add_metrics(batch, kept, first_row)
        if columns.segment is not None:
            segment = self.segments.codes(batch.column(columns.segment), first_row=first_row).astype(np.int16)
            self._keep("segment", segment, kept)

    def _add_metrics(self, batch: Any, kept: Bools, first_row: int) -> None:
        named = self.columns.named()
        flags: dict[str, Flags] = {
            role: read_flags(self.name, named[role], batch.column(named[role]), first_row=first_row)
            for role in FLAGS
            if role in named
        }
        if "results" in named:
            column = named["results"]
            flags["no_results"] = read_no_results(self.name, column, batch.column(column), first_row=first_row)
        given = [one.is_given for one in flags.values()]
        if "latency_ms" in named:
            column = named["latency_ms"]
            latency = read_latency(self.name, column, batch.column(column), per_unit=self.per_ms, first_row=first_row)
            given.append(latency.is_given)
            value = np.where(latency.is_given, latency.value, np.nan)
            self._keep("latency_ms", value.astype(np.float32), kept)
        has_metric = np.logical_or.reduce(given) if given else np.ones(batch.num_rows, np.bool_)
        self._keep("has_metric", has_metric, kept)
        for role, one in flags.items():
            self._keep(role, one.value, kept)
            self.n_counts += one.n_counts
            self.n_empty_flags += int((kept & has_metric & ~one.is_given).sum())

    def column(self, name: str) -> npt.NDArray[Any] | None:
        """Return a column of all rows kept and forget its parts; None when the log has none."""
        parts = self.parts.pop(name, None)
        return None if parts is None else np.concatenate(parts)

    def skipped(self) -> tuple[SkippedRows, ...]:
        """Return the reasons for which rows were left out so far."""
        return tuple(
            SkippedRows(reason=reason, n_rows=one.n_rows, first_row=one.first_row)
            for reason, one in self.reasons.items()
        )

    def _of_experiment(self, batch: Any, first_row: int) -> Bools:
        if self.columns.experiment_id is None:
            return np.ones(batch.num_rows, np.bool_)
        codes = self.experiments.codes(batch.column(self.columns.experiment_id), first_row=first_row)
        if self.experiment is None:
            if len(self.experiments.texts) > 1:
                raise FormatError.in_file(
                    self.name,
                    "a log of several experiments needs one to be chosen",
                    found=_listed(self.experiments.texts),
                    hint="Choose the experiment_id",
                )
            return np.ones(batch.num_rows, np.bool_)
        texts = self.experiments.texts
        wanted = texts.index(self.experiment) if self.experiment in texts else -2
        is_wanted = codes == wanted
        self._noted(OTHER_EXPERIMENT, ~is_wanted, first_row, None)
        return np.asarray(is_wanted, np.bool_)

    def _noted(self, reason: str, wrong: Bools, first_row: int, values: Any) -> Bools:
        """Count the rows that are `wrong` and return which are not."""
        n_rows = int(wrong.sum())
        if n_rows:
            row = int(np.argmax(wrong))
            example = "" if values is None else _spelled(values, row)
            noted = self.reasons.setdefault(reason, _Skipped(first_row=first_row + row, example=example))
            noted.n_rows += n_rows
        return ~wrong

    def _keep(self, name: str, values: npt.NDArray[Any], kept: Bools) -> None:
        self.parts.setdefault(name, []).append(values if kept.all() else values[kept])


def _decoded(values: Any) -> Any:
    import pyarrow as pa

    return values.dictionary_decode() if pa.types.is_dictionary(values.type) else values


def _spelled(values: Any, row: int) -> str:
    try:
        return str(values[row].as_py())
    except (OverflowError, ValueError):  # a date beyond what Python counts
        return "a date out of range"


def _has_text(ids: Any) -> Bools:
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_dictionary(ids.type):
        is_text = np.append(_has_text(ids.dictionary), False)  # the last is that of a missing value, code -1
        of_rows: Bools = is_text[ids.indices.fill_null(-1).to_numpy(zero_copy_only=False)]
        return of_rows
    lengths = pc.binary_length(ids).fill_null(0)
    has_text: Bools = lengths.to_numpy(zero_copy_only=False) > 0
    return has_text


def _mask(kept: Bools) -> Any:
    import pyarrow as pa

    return pa.array(kept)


def _listed(texts: Sequence[str]) -> str:
    return ", ".join(texts[:8]) + (" and more" if len(texts) > 8 else "")
