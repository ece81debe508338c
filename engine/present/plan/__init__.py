"""The migration plan: strategy with its reason from the data, timeline, metrics, triggers, storage, cost and owners.

`make_plan` is a pure function of `PlanInputs` and `PlanEvidence`; `PlanStore` keeps the plan in the workspace, and
`changes` says what moved between two of them.
"""

from engine.present.plan.changes import Change, changes
from engine.present.plan.evidence import PlanEvidence, evidence_of, inputs_from
from engine.present.plan.inputs import RISK_PROFILES, RISKS, PlanInputs, Risk, RiskProfile
from engine.present.plan.making import make_plan
from engine.present.plan.markdown import render_markdown
from engine.present.plan.results import Plan, PlanStep, Strategy
from engine.present.plan.storage import KeptPlan, PlanStore

__all__ = [
    "RISKS",
    "RISK_PROFILES",
    "Change",
    "KeptPlan",
    "Plan",
    "PlanEvidence",
    "PlanInputs",
    "PlanStep",
    "PlanStore",
    "Risk",
    "RiskProfile",
    "Strategy",
    "changes",
    "evidence_of",
    "inputs_from",
    "make_plan",
    "render_markdown",
]
