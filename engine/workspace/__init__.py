"""The workspace: runs, their arrays, stored data sets, records with their audit log, and background jobs.

Everything that outlives a process is here: a database (SQLite in the workspace folder, or PostgreSQL) and the array
files beside it.
"""

from engine.workspace.audit import AuditCheck, AuditEvent
from engine.workspace.datasets import StoredDataset
from engine.workspace.environment import Blas, Environment, environment
from engine.workspace.jobs import Job, JobRunner, JobState
from engine.workspace.plain import JsonValue, plain_json
from engine.workspace.records import Entry, Ledger, Record
from engine.workspace.runs import Run
from engine.workspace.store import Workspace

__all__ = [
    "AuditCheck",
    "AuditEvent",
    "Blas",
    "Entry",
    "Environment",
    "Job",
    "JobRunner",
    "JobState",
    "JsonValue",
    "Ledger",
    "Record",
    "Run",
    "StoredDataset",
    "Workspace",
    "environment",
    "plain_json",
]
