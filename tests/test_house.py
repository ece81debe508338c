"""The rules of the house that a linter does not know."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TOP_LEVEL = {"pyproject.toml", "app.py", "pages", "engine", "tests", "datasets", "README.md", "LICENSE", "CHANGELOG.md"}

# Each room of the engine may import the rooms named here and those that these may import.
ARROWS = {
    "errors": set(),
    "progress": {"errors"},
    "seeds": {"errors"},
    "outputs": {"errors"},
    "spreadsheets": set(),
    "sizes": set(),
    "embeddings": {"errors", "progress", "seeds"},
    "scoring": {"embeddings"},
    "workspace": {"embeddings"},
    "tradeoff": {"scoring", "workspace"},
    "experiment": {"tradeoff", "spreadsheets"},
    "flags": {"experiment"},
    "rollout": {"flags"},
    "migration": {"flags"},
    "charts": {"rollout", "migration"},
    "present": {"charts", "outputs"},
    "terminal": {"tradeoff", "spreadsheets", "outputs"},
    "commands": {"terminal", "present", "sizes"},
    "cli": {"commands"},
}


def tracked_files():
    """List what git tracks, so that a developer's own files do not count."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout: what belongs to the project is not known")
    return [Path(line) for line in listed.stdout.splitlines()]


@cache
def imports_of(path):
    """Return every module that `path` imports, at any depth, also for type checking."""
    found = []
    for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.append(node.module)
    return tuple(found)


def reachable(room):
    """Return the rooms that `room` may import, itself included."""
    found, waiting = set(), [room]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += ARROWS[name]
    return found


def python_files(folder):
    """Return the Python files below `folder`, relative to the checkout."""
    return sorted(path.relative_to(ROOT) for path in (ROOT / folder).rglob("*.py") if "__pycache__" not in path.parts)


def test_top_level_holds_only_what_was_agreed():
    """Nothing stands at the top level but the agreed entries and dot-files."""
    entries = {path.parts[0] for path in tracked_files()}
    assert {entry for entry in entries if not entry.startswith(".")} <= TOP_LEVEL


def test_arrows_between_rooms_run_one_way():
    """No room of the engine imports one that stands above it."""
    wrong = []
    for path in python_files("engine"):
        room = path.parts[1].removesuffix(".py")
        if room == "__init__":
            continue
        for module in imports_of(path):
            parts = module.split(".")
            if parts[0] == "engine" and len(parts) > 1 and parts[1] not in reachable(room):
                wrong.append(f"{path} imports {module}")
    assert not wrong


def test_only_pages_import_streamlit():
    """The engine never imports streamlit, in no function and under no condition."""
    users = [str(path) for path in python_files("engine") if "streamlit" in {m.split(".")[0] for m in imports_of(path)}]
    assert not users


def test_only_workspace_talks_to_a_database():
    """SQLAlchemy is imported in the workspace and nowhere else."""
    users = {path.parts[1] for path in python_files("engine") if "sqlalchemy" in " ".join(imports_of(path))}
    assert users == {"workspace"}


def test_only_stores_talk_to_vector_databases():
    """The drivers of vector databases are imported by the stores of the migration and nowhere else."""
    drivers = {"psycopg", "pgvector", "lancedb", "lance", "qdrant_client", "qdrant_edge"}
    users = {
        path.parts[1:3]
        for path in python_files("engine")
        if drivers & {module.split(".")[0] for module in imports_of(path)}
    }
    assert users <= {("migration", "stores")}


def test_importing_the_engine_loads_no_heavy_library():
    """`import engine.embeddings` loads none of the libraries that only some readers and rooms need."""
    heavy = ("pandas", "pyarrow", "h5py", "sklearn", "wordllama", "numba", "sqlalchemy", "plotly", "scipy.stats")
    code = f"import sys, engine, engine.embeddings; print([name for name in {heavy!r} if name in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


def test_the_command_line_starts_light():
    """Starting `dimshift` loads no heavy library before a verb asks for it."""
    heavy = ("pandas", "pyarrow", "sklearn", "numba", "sqlalchemy", "plotly", "scipy.stats", "statsmodels", "lancedb")
    code = f"import sys, engine.cli; print([name for name in {heavy!r} if name in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


def test_every_test_states_its_claim():
    """Every test function has a docstring, the claim it checks."""
    silent = [
        f"{path}:{node.lineno} {node.name}"
        for path in python_files("tests")
        for node in functions_of(ast.parse((ROOT / path).read_text(encoding="utf-8")))
        if node.name.startswith("test_") and not ast.get_docstring(node)
    ]
    assert not silent


def functions_of(tree):
    """Yield the functions of a module and of its classes, where tests can be; to look into all else takes seconds."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            yield node
        elif isinstance(node, ast.ClassDef):
            yield from functions_of(node)


def test_pages_hold_no_array_maths_and_no_figures():
    """Scripts of pages outside the shell import neither numpy nor plotly nor sqlalchemy."""
    wrong = [
        f"{path} imports {module}"
        for path in python_files("pages")
        if path.parts[1] != "shell"
        for module in imports_of(path)
        if module.split(".")[0] in {"numpy", "plotly", "sqlalchemy", "scipy"}
    ]
    assert not wrong


def test_readme_table_shows_the_committed_measurements():
    """The README's two tables of benchmarks are those that the committed results give."""
    sys.path.insert(0, str(ROOT / "tests" / "benchmarks"))
    try:
        import run
    finally:
        sys.path.pop(0)
    results, readme = json.loads(run.RESULTS.read_text()), (ROOT / "README.md").read_text(encoding="utf-8")
    assert run.table(results) in readme
    assert run.cluster_table(results) in readme


def _unbounded_caches(path):
    """Yield the lines of `path` where Streamlit is told to cache without a number of entries or a time to live."""
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    called = {id(node.func): node for node in ast.walk(tree) if isinstance(node, ast.Call)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute | ast.Name):
            name = node.attr if isinstance(node, ast.Attribute) else node.id
            call = called.get(id(node))
            options = {keyword.arg for keyword in call.keywords} if call is not None else set()
            if name in {"cache_data", "cache_resource"} and not options & {"max_entries", "ttl"}:
                yield node.lineno


def test_caches_of_the_app_are_bounded():
    """Every cache of a page says how many entries it keeps, or for how long; none of the engine's is without an end."""
    pages = [*python_files("pages"), Path("app.py")]
    assert [f"{path}:{line}" for path in pages for line in _unbounded_caches(path)] == []
    n_caches = sum((ROOT / path).read_text(encoding="utf-8").count("@st.cache_") for path in pages)
    assert n_caches > 20, "the search must find what there is"
    lines = [(path, line) for path in python_files("engine") for line in (ROOT / path).read_text("utf-8").splitlines()]
    assert [f"{path}: {line}" for path, line in lines if "lru_cache(maxsize=None" in line] == []
