"""What the facts about an embedding set mean: one function a check, one finding in plain language from each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from engine.embeddings.health import Health, RowPairs, Rows, VectorsHealth

Severity = Literal["ok", "warning", "problem"]

MIN_QUERIES = 30  # below this no verdict is ever "safe"

_WORST_FIRST: tuple[Severity, ...] = ("problem", "warning", "ok")
# Scoring squares in float32: beyond these norms a square overflows, or drowns in the smallest number there is.
_LARGEST_NORM = float(np.sqrt(np.finfo(np.float32).max / 4))
_SMALLEST_NORM = float(np.sqrt(np.finfo(np.float32).tiny))
_DIMS_NAMED = 5


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One sentence about the set, and what to do about it where something should be done.

    A problem stops a sweep; a warning may bend its results.
    """

    severity: Severity
    message: str
    hint: str | None = None


def findings_of(health: Health) -> tuple[Finding, ...]:
    """Run every check over the facts in `health`; the worst findings come first."""
    found = [finding for check in _CHECKS for finding in check(health)]
    return tuple(sorted(found, key=lambda finding: _WORST_FIRST.index(finding.severity)))


def _size(health: Health) -> Iterator[Finding]:
    message = f"{_count(health.corpus.n, 'document')} of {_count(health.dim, 'dim')}, {health.corpus.dtype}."
    yield Finding(severity="ok", message=message)


def _finite(health: Health) -> Iterator[Finding]:
    faulty = [(what, part.non_finite_rows) for what, part in _parts(health) if part.non_finite_rows.count]
    for what, rows in faulty:
        yield Finding(
            severity="problem",
            message=f"{_count(rows.count, 'row')} of the {what} holding what is no float32 number: {_named(rows)}.",
            hint="NaN, infinite and too large values cannot be scored: remove or repair these rows.",
        )
    if not faulty:
        yield Finding(severity="ok", message="Every value is a finite number.")


def _zero(health: Health) -> Iterator[Finding]:
    faulty = [(what, part.zero_rows) for what, part in _parts(health) if part.zero_rows.count]
    for what, rows in faulty:
        yield Finding(
            severity="warning",
            message=f"{_count(rows.count, 'zero vector')} in the {what}: {_named(rows)}.",
            hint="A zero vector has no cosine and ranks last; it often stands for an empty text.",
        )
    if not faulty:
        yield Finding(severity="ok", message="No zero vectors.")


def _norms(health: Health) -> Iterator[Finding]:
    if all(part.is_unit_norm for _, part in _parts(health)):
        yield Finding(severity="ok", message="Already unit norm: cosine and inner product rank alike.")
        return
    spans = [
        f"{what} {part.norm_min:.4g} to {part.norm_max:.4g}, median {part.norm_median:.4g}"
        for what, part in _parts(health)
        if part.norm_median is not None
    ]
    if not spans:
        return
    message = f"Not unit norm ({'; '.join(spans)})"
    if health.metric == "ip":
        yield Finding(
            severity="warning",
            message=f"{message}: the inner product favours long vectors.",
            hint="Choose cosine unless your index really scores by inner product.",
        )
    elif health.metric == "cosine":
        yield Finding(severity="ok", message=f"{message}: cosine normalises.")
    else:
        yield Finding(severity="ok", message=f"{message}: l2 uses them as they are.")


def _extreme_norms(health: Health) -> Iterator[Finding]:
    if health.recipe == "layer_norm":  # brings every row to one scale before it is scored
        return
    for what, part in _parts(health):
        if part.norm_max is not None and part.norm_max > _LARGEST_NORM:
            yield Finding(
                severity="problem",
                message=f"The longest vector of the {what} has norm {part.norm_max:.2g}: its square overflows float32.",
                hint="Divide all vectors by one number.",
            )
        if part.norm_median is not None and 0 < part.norm_median < _SMALLEST_NORM:
            yield Finding(
                severity="warning",
                message=f"The median norm of the {what} is {part.norm_median:.2g}: float32 cannot hold its square.",
                hint="Multiply all vectors by one number.",
            )


def _duplicates(health: Health) -> Iterator[Finding]:
    pairs = health.duplicate_rows
    if not pairs.count:
        yield Finding(severity="ok", message="No duplicate rows in the corpus.")
        return
    yield Finding(
        severity="warning",
        message=f"{_count(pairs.count, 'row')} of the corpus equal to an earlier row: {_named_pairs(pairs, 'equals')}.",
        hint="Equal vectors tie for a place in the top k; remove them if they stand for the same document.",
    )


def _queries_in_corpus(health: Health) -> Iterator[Finding]:
    if health.queries is None:
        return
    pairs = health.queries_in_corpus
    if not pairs.count:
        yield Finding(severity="ok", message="No query occurs in the corpus.")
        return
    yield Finding(
        severity="warning",
        message=(
            f"{_count(pairs.count, 'query', 'queries')} equal to a corpus row: "
            f"{_named_pairs(pairs, 'equals corpus row', what='query')}."
        ),
        hint="A query that finds itself raises recall at every dimension; hold it out, or remove the row.",
    )


def _variance(health: Health) -> Iterator[Finding]:
    flat = health.constant_dims
    if not flat:
        yield Finding(severity="ok", message="Every dim carries variance.")
        return
    kept = health.dim - len(flat)
    if kept and flat == tuple(range(kept, health.dim)):
        yield Finding(
            severity="warning",
            message=f"The last {_count(len(flat), 'dim')} carry no variance, as in padded vectors.",
            hint=f"Everything is in the first {kept} dims.",
        )
        return
    named = ", ".join(map(str, flat[:_DIMS_NAMED])) + (" …" if len(flat) > _DIMS_NAMED else "")
    yield Finding(
        severity="warning",
        message=f"{_count(len(flat), 'dim')} without variance (component {named}, counted from 0).",
        hint="They cost memory and tell documents apart no better; check that the vectors were exported completely.",
    )


def _queries(health: Health) -> Iterator[Finding]:
    if health.queries is None:
        yield Finding(
            severity="warning",
            message="The set has no queries.",
            hint="Give real queries, or hold out a sample of the corpus as queries.",
        )
    elif health.queries.n < MIN_QUERIES:
        yield Finding(
            severity="warning",
            message=f"Only {_count(health.queries.n, 'query', 'queries')}.",
            hint=f"Fewer than {MIN_QUERIES} never yield the verdict safe; a few hundred give narrow intervals.",
        )
    else:
        yield Finding(severity="ok", message=f"{health.queries.n:,} queries.")


def _judgements(health: Health) -> Iterator[Finding]:
    if not health.n_judgements:
        yield Finding(
            severity="ok",
            message="No relevance judgements: recall is measured against the full dimension, quality is not.",
        )
    else:
        judged = _count(health.n_judged_queries, "query", "queries")
        yield Finding(severity="ok", message=f"{_count(health.n_judgements, 'relevance judgement')} for {judged}.")
    unknown = {
        "queries": health.n_judgements_of_unknown_queries,
        "documents": health.n_judgements_of_unknown_docs,
    }
    for what, count in unknown.items():
        if count:
            yield Finding(
                severity="warning",
                message=f"{_count(count, 'relevance judgement')} naming {what} that are not in the set.",
                hint="Check that the judgements use the ids of this set.",
            )


_CHECKS: tuple[Callable[[Health], Iterator[Finding]], ...] = (
    _size,
    _finite,
    _extreme_norms,
    _zero,
    _duplicates,
    _queries_in_corpus,
    _variance,
    _norms,
    _queries,
    _judgements,
)


def _parts(health: Health) -> Sequence[tuple[str, VectorsHealth]]:
    corpus = ("corpus", health.corpus)
    return [corpus] if health.queries is None else [corpus, ("queries", health.queries)]


def _count(n: int, one: str, many: str | None = None) -> str:
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def _named(rows: Rows) -> str:
    return _listed([str(row) for row in rows.first], "row", rows.count)


def _named_pairs(pairs: RowPairs, relation: str, *, what: str = "row") -> str:
    listed = [f"{row} {relation} {other}" for row, other in pairs.first]
    return _listed(listed, what, pairs.count)


def _listed(items: Sequence[str], what: str, count: int) -> str:
    more = f" and {count - len(items):,} more" if count > len(items) else ""
    return f"{what} {', '.join(items)}{more}"
