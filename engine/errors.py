"""Every exception of the engine.

::

    EngineError
    ├── InputError                  something a user gave breaks a rule
    │   ├── FormatError             a file is not what it claims to be
    │   │   └── AmbiguousColumnsError   several columns could hold the vectors; the user must choose
    │   ├── VectorError             the vectors or ids themselves cannot be used
    │   ├── ParameterError          k, dims, target, a column name ... out of range
    │   └── PathError               a path that may not be read
    ├── WorkspaceError              the workspace cannot do what was asked
    │   ├── RunNotFoundError        no such run or data set
    │   ├── JobNotFoundError        no such job of this owner
    │   └── ConflictError           somebody else changed the same thing in between
    ├── AccessError                 who asks has no role that may do this
    ├── FlagError                   a flag, variant or flag file cannot be what was asked
    ├── RolloutError                a rollout cannot take this step now
    ├── StoreError                  a vector database cannot do what was asked
    │   └── StoreUnavailableError   it cannot be reached now; the same call may succeed later
    ├── MigrationError              a migration cannot go on
    ├── ClusterError                a cluster of machines cannot do what was asked
    └── CancelledError              the user asked the work to stop

A message is one sentence of three parts: the rule, what was found, and a hint what to do.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_LONGEST_FOUND = 200
# Control, bidi and line-separator characters could forge a second message in a log or a terminal.
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]+")
_SURROGATES = re.compile("[\ud800-\udfff]")  # half a pair: no file, terminal or page can hold it


def printable(text: object, *, longest: int = _LONGEST_FOUND) -> str:
    """Return `text` on one line, without control or bidi characters, at most `longest` characters long."""
    line = _SURROGATES.sub("\ufffd", _UNPRINTABLE.sub(" ", str(text))).strip()
    return line if len(line) <= longest else line[: longest - 1] + "…"


class EngineError(Exception):
    """A rule was broken: `rule`, what was `found`, and a `hint` what to do about it.

    >>> str(EngineError("k must be at least 1", found=0, hint="Ask for one neighbour or more"))
    'k must be at least 1; found 0. Ask for one neighbour or more.'
    """

    def __init__(self, rule: str, *, found: object = None, hint: str | None = None) -> None:
        self.rule = printable(rule, longest=400)
        self.found = None if found is None else printable(found) or ("nothing visible" if str(found) else "nothing")
        self.hint = None if hint is None else printable(hint, longest=400)
        super().__init__(self._sentence())

    def __reduce__(self) -> tuple[object, ...]:
        # An error crosses to another process as it is, whatever the arguments of its class are.
        return _as_it_was, (type(self), self.args, self.__dict__)

    def _sentence(self) -> str:
        sentence = self.rule if self.found is None else f"{self.rule}; found {self.found}"
        if self.hint is None:
            return sentence
        return f"{sentence}. {self.hint.rstrip('.')}."


def _as_it_was(kind: type[EngineError], args: tuple[object, ...], state: dict[str, object]) -> EngineError:
    error = kind.__new__(kind, *args)
    error.__dict__.update(state)
    return error


class InputError(EngineError, ValueError):
    """Something a user gave breaks a rule."""


class FormatError(InputError):
    """A file is not what it claims to be, or claims nothing known.

    >>> str(FormatError.in_file("a.fbin", "the size must be 8 + n·d·4 bytes", found="20 bytes, n 2, d 4"))
    'a.fbin: the size must be 8 + n·d·4 bytes; found 20 bytes, n 2, d 4'
    """

    @classmethod
    def in_file(cls, name: str, rule: str, *, found: object = None, hint: str | None = None) -> FormatError:
        """Build the error with the file's bare name before the rule."""
        return cls(f"{printable(name, longest=80)}: {rule}", found=found, hint=hint)


class AmbiguousColumnsError(FormatError):
    """Several columns could hold what is `wanted`; `candidates` lists them for the user to choose from.

    `role` tells whether the file is the ``corpus`` or the ``queries``, since each may ask for a choice of its own.
    """

    def __init__(self, name: str, *, wanted: str, candidates: Sequence[str], role: str = "corpus") -> None:
        self.wanted = wanted
        self.role = role
        self.candidates = tuple(candidates)
        super().__init__(
            f"{printable(name, longest=80)}: one column must hold the {wanted}",
            found=", ".join(self.candidates),
            hint="Choose one of them by name",
        )


class VectorError(InputError):
    """Vectors or ids cannot be used: NaN or infinite rows, unequal dims, duplicate ids."""


class ParameterError(InputError):
    """A parameter is out of range."""


class PathError(InputError):
    """A path may not be read: outside the data root, or not a plain file or folder."""


class WorkspaceError(EngineError):
    """The workspace cannot do what was asked."""


class RunNotFoundError(WorkspaceError):
    """No run or data set with that id is in the workspace."""


class JobNotFoundError(WorkspaceError):
    """No job with that id belongs to this owner."""


class ConflictError(WorkspaceError):
    """Somebody else changed the same thing since it was read; nothing was changed."""


class AccessError(EngineError):
    """Who asks has no role that may do this; nothing was changed."""


class FlagError(EngineError):
    """A flag, a variant or a flag file cannot be what was asked."""


class RolloutError(EngineError):
    """A rollout cannot take this step now."""


class StoreError(EngineError):
    """A vector database cannot do what was asked."""


class StoreUnavailableError(StoreError):
    """A vector database cannot be reached now, or is busy; the same call may succeed later."""


class MigrationError(EngineError):
    """A migration cannot go on."""


class ClusterError(EngineError):
    """A cluster of machines cannot do what was asked: nobody answers, or its workers cannot do this work."""


class CancelledError(EngineError):
    """The user asked the work to stop; nothing was kept."""

    def __init__(self) -> None:
        super().__init__("Cancelled; nothing was kept")
