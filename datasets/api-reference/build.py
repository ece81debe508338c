"""Build the API reference set: `python datasets/api-reference/build.py`, about half a minute on one core.

Walks the public names of numpy, scipy, pandas and scikit-learn in a fixed order, encodes their docstrings and writes
vectors, names, judgements and a manifest beside this file. The docstrings themselves are not written.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
import json
import pkgutil
import re
import sys
import warnings
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from engine.embeddings.encoder import ENCODER_NAME, encode
from engine.embeddings.samples.docstrings import PACKAGES, Entry, docstring_of, entry_of, split_docstring

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import numpy.typing as npt

HERE = Path(__file__).parent
SEED = 0
N_QUERIES = 1000
FEWEST_WORDS = 20  # shorter documents are stubs such as "See numpy.sort for details"
DISTRIBUTIONS = {"sklearn": "scikit-learn"}

_NOT_PUBLIC = {"tests", "conftest", "setup", "distutils", "f2py", "core", "compat", "typing", "externals"}
# Importing these makes experimental names public for the rest of the process.
_NOT_PUBLIC |= {"experimental", "estimator_checks"}
# Generated while importing, with random numbers or the order of a set in it: every process would encode another text.
_UNSTABLE = {"scipy.signal.lombscargle", *(f"scipy.stats.{n}" for n in ("Binomial", "Logistic", "Normal", "Uniform"))}


def main() -> None:
    """Collect, encode, judge and write."""
    entries, canonical = collect()
    names = sorted(entries)
    corpus = encode([entries[name].rest for name in names]).astype(np.float16)
    kept = _first_of_equal(corpus)
    corpus, names = corpus[kept], [names[row] for row in kept]
    entries = {name: entries[name] for name in names}
    rows = np.sort(np.random.default_rng(SEED).choice(len(names), size=N_QUERIES, replace=False))
    query_names = [names[row] for row in rows]
    queries = encode([entries[name].summary for name in query_names])
    judgements = [line for name in query_names for line in judge(name, entries, canonical)]
    np.save(HERE / "corpus.npy", corpus)
    np.save(HERE / "queries.npy", queries.astype(np.float16))
    _write_lines("corpus_ids.txt", names)
    _write_lines("query_ids.txt", query_names)
    _write_lines("qrels.tsv", ["query-id\tcorpus-id\tscore", *judgements])
    _write_manifest(n_docs=len(names), n_queries=len(query_names), n_judgements=len(judgements))


def collect() -> tuple[dict[str, Entry], dict[str, str]]:
    """Return the entries by name, and for every other public name of the same docstring the name of its entry."""
    names_of: dict[str, set[str]] = {}
    for package in PACKAGES:
        for name, value in _public_values(package):
            docstring = docstring_of(value)
            if docstring and name not in _UNSTABLE:
                names_of.setdefault(docstring, set()).add(name)
    entries: dict[str, Entry] = {}
    canonical: dict[str, str] = {}
    for docstring, names in names_of.items():
        shortest = min(names, key=lambda name: (name.count("."), len(name), name))
        entry = split_docstring(docstring)
        # What cannot be read back by its name could not be shown either.
        if entry.summary and len(entry.rest.split()) >= FEWEST_WORDS and entry_of(shortest) == entry:
            entries[shortest] = entry
            canonical.update(dict.fromkeys(names, shortest))
    return entries, canonical


def _first_of_equal(vectors: npt.NDArray[np.float16]) -> list[int]:
    # Templates give some entries documents of the same words: no ranking could tell them apart.
    first = {vectors[row].tobytes(): row for row in reversed(range(len(vectors)))}
    return sorted(first.values())


def judge(name: str, entries: dict[str, Entry], canonical: dict[str, str]) -> list[str]:
    """Return the judgement lines of one query: the entry itself, then what its authors list under See Also."""
    grades = {name: 2}
    for mentioned in _names_in(entries[name].see_also):
        other = _resolve(mentioned, name, canonical)
        if other in entries:
            grades.setdefault(other, 1)
    return [f"{name}\t{other}\t{grade}" for other, grade in grades.items()]


def _names_in(see_also: str) -> list[str]:
    heads: list[str] = []
    for line in see_also.split("\n"):
        if line[:1].strip():  # descriptions are indented
            heads += re.split(r"\s*:(?:\s|$)", line, maxsplit=1)[0].split(",")
    mentioned = [re.sub(r"^:\w+:", "", head.strip()).strip(" `~.") for head in heads]
    return [name for name in mentioned if re.fullmatch(r"\w[\w.]*", name)]


def _resolve(mentioned: str, name: str, canonical: dict[str, str]) -> str | None:
    mentioned = re.sub(r"^np\.", "numpy.", re.sub(r"^pd\.", "pandas.", mentioned))
    scope = name.split(".")
    candidates = [".".join([*scope[:end], mentioned]) for end in range(len(scope) - 1, -1, -1)]
    return next((canonical[candidate] for candidate in candidates if candidate in canonical), None)


def _public_values(package: str) -> Iterator[tuple[str, object]]:
    for module in _public_modules(package):
        for name in _public_names(module, package):
            value = _quiet_attribute(module, name)
            if value is not None and not isinstance(value, ModuleType):
                yield from _with_members(f"{module.__name__}.{name}", value, package, depth=0)


def _public_modules(package: str) -> Iterator[ModuleType]:
    waiting = [importlib.import_module(package)]
    while waiting:
        module = waiting.pop()
        yield module
        found = sorted(pkgutil.iter_modules(getattr(module, "__path__", [])), key=lambda info: info.name)
        public = [info.name for info in found if not info.name.startswith("_") and info.name not in _NOT_PUBLIC]
        waiting += [child for name in public if (child := _quiet_import(f"{module.__name__}.{name}")) is not None]


def _public_names(module: ModuleType, package: str) -> Iterable[str]:
    if hasattr(module, "__all__"):
        return sorted({name for name in module.__all__ if not name.startswith("_")})
    if package != "sklearn":  # the others name what is public
        return []
    here = module.__name__
    return sorted(k for k, v in vars(module).items() if not k.startswith("_") and getattr(v, "__module__", "") == here)


def _with_members(name: str, value: object, package: str, *, depth: int) -> Iterator[tuple[str, object]]:
    if not inspect.isclass(value):
        if inspect.isroutine(value) or isinstance(value, np.ufunc) or _is_inside(type(value), package):
            yield name, value
        return
    if not _is_inside(value, package):
        return
    yield name, value
    if depth > 1:
        return
    own = {key for parent in value.__mro__ if _is_inside(parent, package) for key in vars(parent)}
    for key in sorted(key for key in own if not key.startswith("_")):
        member = _quiet_attribute(value, key)
        if inspect.isclass(member):  # accessors such as pandas.Series.str
            yield from _with_members(f"{name}.{key}", member, package, depth=depth + 1)
        elif inspect.isroutine(member) or inspect.isdatadescriptor(member):
            yield f"{name}.{key}", member


def _is_inside(value: object, package: str) -> bool:
    return str(getattr(value, "__module__", "")).split(".")[0] == package


def _quiet_import(name: str) -> ModuleType | None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # what warns on import is on its way out
        try:
            return importlib.import_module(name)
        except (ImportError, Warning):
            return None


def _quiet_attribute(owner: object, name: str) -> object:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            return getattr(owner, name)
        except (AttributeError, ImportError, Warning):
            return None


def _write_lines(file_name: str, lines: list[str]) -> None:
    (HERE / file_name).write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")


def _write_manifest(**counts: int) -> None:
    files = ["corpus.npy", "queries.npy", "corpus_ids.txt", "query_ids.txt", "qrels.tsv"]
    manifest = {
        **counts,
        "encoder": ENCODER_NAME,
        "seed": SEED,
        "versions": {name: version(DISTRIBUTIONS.get(name, name)) for name in PACKAGES},
        "sha256": {name: hashlib.sha256((HERE / name).read_bytes()).hexdigest() for name in files},
    }
    text = json.dumps(manifest, indent=2) + "\n"
    (HERE / "manifest.json").write_text(text, encoding="utf-8", newline="\n")
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
