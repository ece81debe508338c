"""Flags, schedules, thresholds, logs, observations, plans, URLs and stored results: damaged ones are refused in words.

The slow part runs 60,000 of the 100,000 cases; the readers' part of it stands in test_fuzz_readers.
"""

from __future__ import annotations

import gzip
import io
import json
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from engine.commands.rollout_options import schedule_of, seconds_of, thresholds_of
from engine.embeddings.readers.source import Source
from engine.embeddings.readers.trec import read_run
from engine.errors import FormatError, ParameterError, WorkspaceError
from engine.experiment.logs import log_columns, read_log
from engine.flags.flagd_file import FlagFile
from engine.flags.importing import parse_flagd
from engine.migration.stores.urls import parse_url, shown
from engine.present.plan import PlanInputs, make_plan
from engine.present.plan.storage import decode_plan, encode_plan
from engine.present.report.sections import parse_sections
from engine.rollout import Schedule, Thresholds, parse_fault
from engine.rollout.observing import read_observations
from engine.workspace.codec import decode, encode

if TYPE_CHECKING:
    from collections.abc import Callable

SEED = 20_260_105

FLAGD = json.dumps(
    {
        "$schema": "https://flagd.dev/schema/v0/flags.json",
        "metadata": {"team": "search"},
        "$evaluators": {"staff": {"ends_with": [{"var": "email"}, "@example.com"]}},
        "flags": {
            "use_reduced_dims": {
                "state": "ENABLED",
                "variants": {"on": True, "off": False},
                "defaultVariant": "off",
                "targeting": {"fractional": [["on", 5000], ["off", 95000]]},
                "metadata": {"safeVariant": "off", "owner": "ann"},
            },
            "dims": {
                "state": "DISABLED",
                "variants": {"low": 256, "high": 1024.5},
                "defaultVariant": "high",
                "targeting": {"if": [{"$ref": "staff"}, "low", None]},
            },
        },
    }
).encode()
LOG = (
    b"user_id,timestamp,experiment_id,variation_id,clicked,latency_ms,segment\n"
    b"ada,2026-01-05T10:00:00Z,e1,control,1,40.5,a\nbo,2026-01-06T10:00:00Z,e1,treatment,0,12,b\n"
    b"ada,2026-01-06T11:00:00+02:00,e1,control,no,,a\ncleo,1767607200,e1,treatment,TRUE,13,\n"
)
OBSERVATION = {
    "start": "2026-03-01T00:00:00+01:00", "end": "2026-03-02T00:00:00+01:00", "arm": "control", "percent": 5.0,
    "users": 1000, "queries": 4000, "clicks": 480, "errors": 4, "p99_ms": 120.5, "p99_low_ms": 118, "p99_high_ms": 125,
}  # fmt: skip
URLS = (
    b"postgresql://me:secret@db.example.com:5432/search?sslmode=require&id=doc_id#public.docs",
    b"postgresql://me@/search?host=/run/postgresql#docs",
    b"postgresql://[::1]:5432/db#t",
    b"lancedb:///data/vectors#docs_768",
    b"lancedb+s3://bucket/folder#docs_768",
    b"qdrant://host:6333?tls=1#docs",
    b"qdrant:///data/folder#docs",
    b"file:///data/vectors%20a.npy?id=doc_id",
)


@dataclass(frozen=True, kw_only=True)
class Stored:
    """A result as runs keep it."""

    name: str
    values: Any
    table: Any
    by_k: dict[int, float]


@dataclass(frozen=True, kw_only=True)
class Target:
    """A parser, valid inputs of it, and how many damaged ones each part of the suite gives it."""

    seeds: Callable[[], list[bytes]]
    read: Callable[[Any], object]
    n_slow: int
    n_quick: int = 25
    is_document: bool = False


def _text(read: Callable[[str], object]) -> Callable[[bytes], object]:
    return lambda data: read(data.decode("utf-8", "surrogateescape"))


def _log(data: bytes) -> object:
    log_columns(io.BytesIO(data))
    return read_log(io.BytesIO(data))


@cache
def _log_seeds() -> list[bytes]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = io.BytesIO()
    table = {"user_id": ["a", "b", "c"], "variation_id": ["control", "treatment", "treatment"], "clicked": [1, 0, 1]}
    pq.write_table(pa.table({**table, "timestamp": ["2026-01-05", "2026-01-05", "2026-01-06"]}), file)
    return [LOG, LOG.replace(b",", b";"), LOG.replace(b",", b"\t"), gzip.compress(LOG, mtime=0), file.getvalue()]


def _observation_seeds() -> list[bytes]:
    rows = [OBSERVATION, {**OBSERVATION, "arm": "treatment"}]
    csv = "\n".join([",".join(OBSERVATION), *(",".join(map(str, row.values())) for row in rows)])
    return [csv.encode(), json.dumps(rows).encode(), "\n".join(map(json.dumps, rows)).encode()]


def _plan_seeds() -> list[bytes]:
    inputs = PlanInputs(from_dims=16, to_dims=8, owners={"ab-test": "ann"}, start="2026-03-02")
    return [json.dumps(encode_plan(make_plan(inputs))).encode()]


def _stored_seeds() -> list[bytes]:
    kept = Stored(name="a", values=np.arange(6.0).reshape(2, 3), table=(1, None, ("x",)), by_k={1: 0.5, 10: np.inf})
    return [json.dumps(encode(kept)[0]).encode()]


def _thresholds(data: bytes) -> object:
    return Thresholds.from_json(json.loads(data))


TARGETS = {
    "flag file": Target(seeds=lambda: [FLAGD], read=parse_flagd, n_slow=8_000),
    "flag document": Target(
        seeds=lambda: [FLAGD], read=lambda one: parse_flagd(json.dumps(one)), n_slow=8_000, is_document=True
    ),
    "schedule": Target(
        seeds=lambda: [b"0:5,3:10,7:25", b"0:5%:first, 12h:10, 2:100:all"],
        read=_text(lambda text: schedule_of(text, 5.0)),
        n_slow=8_000,
    ),
    "schedule document": Target(
        seeds=lambda: [json.dumps(Schedule.parse("0:5,3:10:x,7:25", holdback_percent=5).as_json()).encode()],
        read=Schedule.from_json,
        n_slow=4_000,
        is_document=True,
    ),
    "thresholds document": Target(
        seeds=lambda: [json.dumps(Thresholds().as_json()).encode()],
        read=Thresholds.from_json,
        n_slow=4_000,
        is_document=True,
    ),
    "fault": Target(
        seeds=lambda: [b"latency:2@day10", b"clicks:-8%@50%", b"errors:0.5%@day3"],
        read=_text(parse_fault),
        n_slow=3_000,
    ),
    "seconds": Target(
        seeds=lambda: [b"30s", b"5m", b"2h", b"1d"],
        read=_text(lambda text: seconds_of(text, "--for", least=0, most=1e6)),
        n_slow=2_000,
    ),
    "sections": Target(
        seeds=lambda: [b'verdict,curves="What we keep",cost', b"latency"], read=_text(parse_sections), n_slow=2_000
    ),
    "exposure log": Target(seeds=_log_seeds, read=_log, n_slow=6_000, n_quick=40),
    "observations": Target(
        seeds=_observation_seeds, read=lambda data: read_observations(data, name="o.csv"), n_slow=5_000, n_quick=40
    ),
    "plan": Target(seeds=_plan_seeds, read=decode_plan, n_slow=2_000, n_quick=15, is_document=True),
    "stored result": Target(
        seeds=_stored_seeds, read=lambda document: decode(document, {}, Stored), n_slow=4_000, is_document=True
    ),
    "store url": Target(seeds=lambda: list(URLS), read=_text(parse_url), n_slow=8_000, n_quick=60),
    "shown url": Target(seeds=lambda: list(URLS), read=_text(shown), n_slow=2_000),
    "trec run": Target(
        seeds=lambda: [b"q1 Q0 d1 1 12.5 tag\nq1 Q0 d2 2 11.5 tag\n"],
        read=lambda data: read_run(Source.of_bytes("run.txt", data)),
        n_slow=2_000,
    ),
}


def _run(target: Target, n_cases: int, mutator: Any, judge: Any) -> None:
    damage = mutator(target.seeds(), seed=SEED)
    with judge.bounded_memory():
        for _ in range(n_cases):
            case = damage.document() if target.is_document else damage.bytes()
            judge(lambda case=case: target.read(case), lambda case=case: case)


@pytest.mark.parametrize("name", TARGETS)
def test_damaged_imports_are_read_or_refused(name, mutator, judge):
    """A flag file, schedule, log, plan or URL with damage: a value or one printable sentence, never anything else."""
    _run(TARGETS[name], TARGETS[name].n_quick, mutator, judge)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", TARGETS)
def test_many_damaged_imports_are_read_or_refused(name, mutator, judge):
    """The same claim over tens of thousands of damaged files, in bounded CPU time and memory."""
    _run(TARGETS[name], TARGETS[name].n_slow, mutator, judge)


def test_the_slow_part_runs_sixty_thousand_cases():
    """Together with the 40,000 of the readers, the slow suite tries 100,000 hostile inputs."""
    assert sum(target.n_slow for target in TARGETS.values()) >= 60_000


@pytest.mark.parametrize("nested", [b"\x19" * 4000, b"\x39" + b"\x99" * 4000, b"\x3c" + b"\x1c" * 4000])
def test_a_parquet_footer_that_nests_without_end_is_refused(nested):
    """Lists of lists and structs of structs in a footer end in a sentence, not in the limit of recursion."""
    content = b"PAR1" + nested + len(nested).to_bytes(4, "little") + b"PAR1"
    with pytest.raises(FormatError, match="a Parquet footer must list rows and columns"):
        log_columns(io.BytesIO(content))


@pytest.mark.parametrize("number", [10**400, -(10**400), float("nan"), float("inf")])
def test_numbers_that_no_float_holds_are_refused(number):
    """A schedule, a threshold and a plan take no number beyond floating point, however a file writes it."""
    with pytest.raises(ParameterError, match="finite number"):
        Schedule.from_json({"stages": [{"day": 0, "percent": number}]})
    with pytest.raises(ParameterError, match="must be"):
        Thresholds.from_json({"cool_down_hours": number})
    with pytest.raises(ParameterError, match="must be"):
        PlanInputs(p99_ms=number)


def test_a_stored_array_of_any_width_or_kind_is_refused():
    """A document of a run may not make texts of a gigabyte, objects or endless shapes of an inline array."""
    for dtype, shape in (("<U500000000", [1]), ("O", [1]), ("<f8", [1 << 60]), ("V99999999", [1])):
        with pytest.raises(WorkspaceError, match="a form this version knows"):
            decode({"dtype": dtype, "shape": shape, "values": [1]}, {}, Stored)


def test_half_a_surrogate_pair_in_a_url_is_refused_in_words():
    """Bytes that are no text, as a shell passes them on, are refused and shown as a placeholder."""
    with pytest.raises(ParameterError, match="nothing that is no text"):
        parse_url("file:///data/\udcf0.npy")
    assert shown("file:///data/\udcf0.npy") == "(not a store's URL)"


def test_damaged_flag_and_threshold_files_are_told_in_words(tmp_path, mutator, judge):
    """The flag file of a workspace and a thresholds file on disk: a finding or one printable sentence."""
    flags = FlagFile(tmp_path, workspace_id="w")
    thresholds = tmp_path / "thresholds.json"
    seeds = [FLAGD, json.dumps(Thresholds().as_json()).encode()]
    damage = mutator(seeds, seed=SEED)
    for _ in range(60):
        content = damage.bytes()
        flags.path.write_bytes(content)
        thresholds.write_bytes(content)
        judge(flags.found, lambda content=content: content)
        judge(lambda: thresholds_of(thresholds), lambda content=content: content)
