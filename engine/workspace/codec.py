"""Keep results of any shape in a run: nested frozen dataclasses as plain JSON, their large arrays beside it.

The JSON says of everything what it is, so that reading it back needs only the classes that may appear: nothing is
imported or called by name from a stored document.
"""

from __future__ import annotations

import math
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from engine.errors import WorkspaceError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import numpy.typing as npt

T = TypeVar("T")

_INLINE_ELEMENTS = 512  # small arrays stay in the JSON: a file each would cost more to open
_INLINE_KINDS = "biuf"


def encode(result: object) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
    """Return `result`, a dataclass, as a JSON document and the arrays that it refers to by name.

    Fields may be None, numbers, strings, tuples, lists (read back as tuples), dicts with string or integer keys, NumPy
    arrays without objects, and further dataclasses.

    Raises
    ------
    TypeError
        For a field of another type.
    """
    arrays: dict[str, npt.NDArray[Any]] = {}
    return _encoded(result, arrays), arrays


def decode(
    document: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]], kind: type[T], parts: Iterable[type] = ()
) -> T:
    """Return the `kind` that `encode` made `document` and `arrays` of; `parts` are the dataclasses within it.

    Raises
    ------
    WorkspaceError
        When the document holds another class, misses a field, or refers to an array that is not there.
    """
    known = {part.__name__: part for part in (kind, *parts)}
    try:
        result = _decoded(document, arrays, known)
    except (ArithmeticError, AttributeError, LookupError, MemoryError, RecursionError, TypeError, ValueError) as error:
        raise _unreadable() from error
    if not isinstance(result, kind):
        raise _unreadable()
    return result


def _unreadable() -> WorkspaceError:
    return WorkspaceError(
        "a stored result must be of a form this version knows",
        found="another one",
        hint="Open it with the version that made it, or compute it again",
    )


def _encoded(value: Any, arrays: dict[str, npt.NDArray[Any]]) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        content = {field.name: _encoded(getattr(value, field.name), arrays) for field in fields(value)}
        return {"class": type(value).__name__, "fields": content}
    if isinstance(value, np.ndarray):
        return _encoded_array(value, arrays)
    if isinstance(value, np.generic):
        return _encoded(value.item(), arrays)
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": str(value)}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, tuple | list):
        return [_encoded(item, arrays) for item in value]
    if isinstance(value, dict):
        return {"items": [[_encoded(key, arrays), _encoded(item, arrays)] for key, item in value.items()]}
    raise TypeError(f"cannot keep a {type(value).__name__} in a run")


def _encoded_array(array: npt.NDArray[Any], arrays: dict[str, npt.NDArray[Any]]) -> dict[str, Any]:
    if array.dtype.hasobject:
        raise TypeError("cannot keep an array of objects in a run")
    if array.size <= _INLINE_ELEMENTS and array.dtype.kind in _INLINE_KINDS:
        values = [_encoded(item, arrays) for item in array.ravel().tolist()]
        return {"dtype": array.dtype.str, "shape": list(array.shape), "values": values}
    name = f"array{len(arrays)}"
    arrays[name] = array
    return {"array": name}


def _decoded(value: Any, arrays: Mapping[str, npt.NDArray[Any]], known: Mapping[str, type]) -> Any:
    if isinstance(value, list):
        return tuple(_decoded(item, arrays, known) for item in value)
    if not isinstance(value, dict):
        return value
    if "class" in value:
        content = {name: _decoded(item, arrays, known) for name, item in value["fields"].items()}
        return known[value["class"]](**content)
    if "items" in value:
        return {_decoded(key, arrays, known): _decoded(item, arrays, known) for key, item in value["items"]}
    if "float" in value:
        return float(value["float"])
    if "array" in value:
        return arrays[value["array"]]
    values = [_decoded(item, arrays, known) for item in value["values"]]
    kind = np.dtype(value["dtype"])
    if kind.kind not in _INLINE_KINDS or len(values) > _INLINE_ELEMENTS:  # texts and objects of any width would be next
        raise ValueError("an array within a document is of a few numbers")
    return np.array(values, dtype=kind).reshape(value["shape"])
