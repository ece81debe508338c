"""The workspace: runs, their arrays, stored data sets and background jobs of one migration.

Everything that outlives a process is here: a database (SQLite in the workspace folder, or PostgreSQL) and the array
files beside it.
"""

from engine.workspace.datasets import StoredDataset
from engine.workspace.environment import Blas, Environment, environment
from engine.workspace.jobs import Job, JobRunner, JobState
from engine.workspace.plain import JsonValue, plain_json
from engine.workspace.runs import Run
from engine.workspace.store import Workspace

__all__ = [
    "Blas",
    "Environment",
    "Job",
    "JobRunner",
    "JobState",
    "JsonValue",
    "Run",
    "StoredDataset",
    "Workspace",
    "environment",
    "plain_json",
]
