"""The workspace: runs, their arrays, stored data sets, records with their audit log, and background jobs.

Everything that outlives a process is here: a database (SQLite in the workspace folder, or PostgreSQL) and the array
files beside it.
"""

from engine.workspace.access import LEAST_ROLES, Identity, Role, check_access, least_role
from engine.workspace.audit import AuditCheck, AuditEvent
from engine.workspace.bound_jobs import BoundJobs
from engine.workspace.datasets import StoredDataset
from engine.workspace.environment import Blas, Environment, environment
from engine.workspace.job_records import InterruptedJob, JobNote, JobRecords
from engine.workspace.jobs import Job, JobRunner, JobState
from engine.workspace.plain import JsonValue, plain_json
from engine.workspace.policy import AccessPolicy
from engine.workspace.records import Entry, Ledger, Record
from engine.workspace.roles import Access, ListedRole, RoleList
from engine.workspace.runs import Run
from engine.workspace.store import Workspace

__all__ = [
    "LEAST_ROLES",
    "Access",
    "AccessPolicy",
    "AuditCheck",
    "AuditEvent",
    "Blas",
    "BoundJobs",
    "Entry",
    "Environment",
    "Identity",
    "InterruptedJob",
    "Job",
    "JobNote",
    "JobRecords",
    "JobRunner",
    "JobState",
    "JsonValue",
    "Ledger",
    "ListedRole",
    "Record",
    "Role",
    "RoleList",
    "Run",
    "StoredDataset",
    "Workspace",
    "check_access",
    "environment",
    "least_role",
    "plain_json",
]
