"""Read relevance judgements (BEIR TSV or TREC qrels) and TREC runs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from engine.embeddings.readers.loaded import Qrels
from engine.errors import FormatError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from engine.embeddings.readers.source import Source

_RANK = re.compile(r"[0-9]{1,18}")
_LARGEST = 1e30  # well within float32


@dataclass(frozen=True, eq=False, kw_only=True)
class TrecRun:
    """What a system retrieved: five columns of one length, in the order of the file."""

    query_ids: Sequence[str]
    doc_ids: Sequence[str]
    ranks: npt.NDArray[np.int64]
    scores: npt.NDArray[np.float64]
    tags: Sequence[str]


def read_qrels(source: Source) -> Qrels:
    """Read ``query <tab> document <tab> grade`` with or without a header, or TREC ``query 0 document grade``.

    A pair that is judged twice keeps its last grade, and is counted in a warning.
    """
    grades: dict[tuple[str, str], float] = {}
    repeated = 0
    width = 0
    for number, line in enumerate(source.lines(), 1):
        if not line.strip():
            continue
        cells = _cells(source.name, line, number, width)
        if not width:
            width = len(cells)
            if width == 3 and _grade(cells[-1]) is None:
                continue  # the header of BEIR; TREC has none
        grade = _grade(cells[-1])
        if grade is None:
            raise FormatError.in_file(source.name, "a grade must be a number", found=f"{cells[-1]!r} in line {number}")
        pair = (cells[0], cells[1 if width == 3 else 2])
        repeated += pair in grades
        grades[pair] = grade
    if not grades:
        raise FormatError.in_file(
            source.name, "a file of judgements must hold at least one", found="none",
            hint="A line is query, document and grade with tabs between, or TREC's query 0 document grade",
        )  # fmt: skip
    said = f"{repeated} judgements in {source.name} are repeated; the last of each was kept"
    return Qrels(
        name=source.name,
        query_ids=[query for query, _ in grades],
        doc_ids=[doc for _, doc in grades],
        grades=np.array(list(grades.values()), dtype=np.float32),
        warnings=(said,) if repeated else (),
    )


def read_run(source: Source) -> TrecRun:
    """Read a TREC run, ``query Q0 document rank score tag`` a line."""
    rows: list[tuple[str, str, int, float, str]] = []
    for number, line in enumerate(source.lines(), 1):
        if not line.strip():
            continue
        cells = line.split()
        rank = int(cells[3]) if len(cells) == 6 and _RANK.fullmatch(cells[3]) else None
        score = _grade(cells[4]) if len(cells) == 6 else None
        if rank is None or score is None:
            raise FormatError.in_file(
                source.name, "a line of a run must be query Q0 document rank score tag", found=f"another line {number}"
            )
        rows.append((cells[0], cells[2], rank, score, cells[5]))
    if not rows:
        raise FormatError.in_file(source.name, "a run must hold at least one line", found="none")
    return TrecRun(
        query_ids=[row[0] for row in rows],
        doc_ids=[row[1] for row in rows],
        ranks=np.array([row[2] for row in rows], dtype=np.int64),
        scores=np.array([row[3] for row in rows]),
        tags=[row[4] for row in rows],
    )


def _cells(name: str, line: str, number: int, width: int) -> list[str]:
    cells = [cell.strip() for cell in line.split("\t")]  # ids of BEIR may hold spaces
    if len(cells) not in (3, 4):
        cells = line.split()
    if len(cells) not in (3, 4) or (width and len(cells) != width):
        raise FormatError.in_file(
            name,
            "a judgement must be query, document and grade with tabs between, or TREC's query 0 document grade",
            found=f"{len(cells)} columns in line {number}",
        )
    return cells


def _grade(cell: str) -> float | None:
    try:
        grade = float(cell)
    except ValueError:
        return None
    return grade if abs(grade) <= _LARGEST else None  # not so for NaN
