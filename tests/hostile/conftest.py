"""What breaks files: a seeded mutator of valid ones, and the only outcomes that hostile input may have."""

from __future__ import annotations

import json
import random
import re
import signal
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from engine.errors import EngineError, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

CPU_SECONDS = 10.0
"""What one hostile file of a few KiB may cost; a healthy one of that size takes milliseconds."""

MOST_GROWTH_MIB = 512

_NUMBERS = (0, 1, 2, 127, 128, 255, 256, 32_767, 65_535, 1 << 31, (1 << 31) - 1, (1 << 32) - 1, (1 << 63) - 1, 1 << 62)
_TOKENS = (
    b"", b"-1", b"0", b"1e999", b"-1e999", b"NaN", b"nan", b"Infinity", b"null", b"true", b"[]", b"{}", b"[[1]]", b'""',
    b'"\\ud800"', b"\xed\xa0\x80", b"\xe2\x80\xae", b"\x00", b"\xff", b"\n", b"\r\n", b"\t", b",", b'"', b"'", b"\\",
    b"9" * 400, b"9" * 5000, b"1" + b"0" * 30, b"0.1e-400", b"[" * 3000, b'{"a":' * 1500, b"=1+1", b"../", b"%00",
    b"1_0", b"\xd9\xa1", b"__class__", b"2026-13-45T99:99:99+99:99", b"0001-01-01T00:00:00+23:59",
    b"9999-12-31T23:59:59-23:59", b"x" * 3000,
)  # fmt: skip
_VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 10**400, -(10**30), 1e308, float("inf"), float("nan"), 0.1, "", "x" * 3000, "\ud800",
    "\u202eabc", "\0", "<script>", [], {}, [[]], [None], {"": None}, {"class": "Schedule"}, {"float": "x"},
    {"array": "no"}, {"items": [[[], 1]]}, {"dtype": "O", "shape": [1], "values": [1]},
    {"dtype": "<U500000000", "shape": [1], "values": ["a"]}, {"dtype": "<f8", "shape": [1 << 60], "values": [1]},
)  # fmt: skip
_TOKEN = re.compile(rb"[A-Za-z0-9_.+-]+|[^A-Za-z0-9_.+-]")


class Mutator:
    """Damages `seeds`, valid files, one way after another; the same seed gives the same damage."""

    def __init__(self, seeds: Sequence[bytes], *, seed: int) -> None:
        self._seeds = list(seeds)
        self._random = random.Random(seed)

    def bytes(self) -> bytes:
        """Return a seed with one to four kinds of damage: cut, flipped, spliced, repeated, numbers and words put in."""
        data = bytearray(self._random.choice(self._seeds))
        for _ in range(self._random.choice((1, 1, 1, 2, 4))):
            data = self._damaged(data)
        return bytes(data)

    def document(self) -> Any:
        """Return a seed, a JSON document, with one to three of its values replaced, removed, renamed or repeated."""
        document = json.loads(self._random.choice(self._seeds))
        for _ in range(self._random.choice((1, 1, 2, 3))):
            document = self._changed(document)
        return document

    def _damaged(self, data: bytearray) -> bytearray:
        pick, at = self._random, self._random.randrange(len(data) + 1)
        end = min(len(data), at + pick.choice((1, 2, 4, 8, 64, 1000)))
        match pick.randrange(9):
            case 0:
                return data[:at]
            case 1 if at < len(data):
                data[at] ^= 1 << pick.randrange(8)
            case 2 if at < len(data):
                data[at] = pick.randrange(256)
            case 3:
                width = pick.choice((2, 4, 8))
                number = (pick.choice(_NUMBERS) + pick.choice((-1, 0, 0, 1))) % (1 << 8 * width)
                data[at : at + width] = number.to_bytes(width, pick.choice(("little", "big")))
            case 4:
                del data[at:end]
            case 5:
                data[at:at] = data[at:end] * pick.choice((1, 2, 30))
            case 6:
                other = pick.choice(self._seeds)
                start = pick.randrange(len(other) + 1)
                data[at:] = other[start:]
            case 7:
                data[at:at] = pick.choice(_TOKENS)
            case _:
                tokens = list(_TOKEN.finditer(data[at : at + 200]))
                if tokens:
                    token = pick.choice(tokens)
                    data[at + token.start() : at + token.end()] = pick.choice(_TOKENS)
        return data

    def _changed(self, document: Any) -> Any:
        pick = self._random
        if isinstance(document, dict | list) and document and pick.random() < 0.93:
            place = pick.choice(list(document)) if isinstance(document, dict) else pick.randrange(len(document))
            match pick.randrange(12):
                case 0:
                    del document[place]
                case 1 if isinstance(document, dict):
                    document[pick.choice(("", "\u202e", "x" * 300, "class"))] = document.pop(place)
                case 1 | 2 if isinstance(document, list):
                    document.append(deepcopy(document[place]))
                case _:
                    document[place] = self._changed(document[place])
            return document
        return deepcopy(pick.choice(_VALUES))


class Judge:
    """Runs hostile input and fails on any outcome but success or one printable sentence, in bounded time and memory."""

    def __call__(self, read: Callable[[], object], shown: Callable[[], object]) -> None:
        """Call `read`; `shown` is what a failure prints of the input."""
        try:
            with _bounded_time():
                read()
        except EngineError as error:
            words = str(error)
            if words != printable(words, longest=5000) or not words:
                pytest.fail(f"no printable sentence: {words!r} for {shown()!r}")
            words.encode("utf-8")
        except Exception as error:  # noqa: BLE001 -- whatever else escapes is the finding, and must show its input
            pytest.fail(f"{type(error).__name__}: {error} for {shown()!r}")

    @contextmanager
    def bounded_memory(self, most_mib: float = MOST_GROWTH_MIB) -> Iterator[None]:
        """Fail when the peak of resident memory grows by more than `most_mib`; where the system tells it."""
        try:
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak begins anew
        except OSError:  # another system, or one that does not allow it
            yield
            return
        before = _peak_mib()
        yield
        assert _peak_mib() - before < most_mib


@contextmanager
def _bounded_time() -> Iterator[None]:
    if not hasattr(signal, "setitimer"):
        yield
        return
    former = signal.signal(signal.SIGPROF, _too_long)
    signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, former)


def _too_long(*_: object) -> None:
    raise AssertionError(f"took more than {CPU_SECONDS:g} s of CPU time")


def _peak_mib() -> float:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(found[1]) / 1024 if found else 0.0


@pytest.fixture
def judge() -> Judge:
    """Return what runs hostile input and judges its outcome."""
    return Judge()


@pytest.fixture(scope="session")
def mutator() -> type[Mutator]:
    """Return the class of mutators."""
    return Mutator
