"""Each fault that can be put into simulated traffic ends in what a statistician expects the analysis to say."""

from dataclasses import replace

import pytest

from engine.experiment.analysis import analyze
from engine.experiment.faults import Fault
from engine.experiment.presets import preset
from engine.experiment.traffic import simulate

USUAL = preset("identical arms").settings
FEWER = replace(USUAL, n_users=100_000, queries_per_day=25_000, n_days=14)


@pytest.mark.parametrize(
    ("fault", "verdict", "said"),
    [
        (Fault(kind="latency", amount=2, first_day=5), "harmful", "p99 latency rose by"),
        (Fault(kind="clicks", amount=-0.12, first_day=2), "harmful", "CTR fell by"),
        (Fault(kind="errors", amount=0.02, first_day=5, last_day=6), "harmful", "Harmful: error rate rose by"),
        (Fault(kind="errors", amount=0.02, first_day=5, arm="both"), "undecided", "not settled"),
        (Fault(kind="lost users", amount=0.1), "undecided", "The split is broken"),
        (Fault(kind="both arms", amount=0.05), "undecided", "saw both arms, where 1 % is the most"),
        (Fault(kind="silent bot", amount=20_000), "undecided", "a few users, perhaps bots, send so many"),
        (Fault(kind="clicking bot", amount=20_000), "undecided", "a few users, perhaps bots, send so many"),
    ],
    ids=lambda value: value.sentence() if isinstance(value, Fault) else None,
)
def test_a_fault_is_noticed_for_what_it_is(fault, verdict, said):
    """Slower answers, fewer clicks and a burst of errors are harm; broken splits, crossed arms, bots settle nothing."""
    found = analyze(simulate(replace(FEWER, faults=(fault,))))
    assert found.verdict == verdict
    assert said in " ".join(found.sentences)
    if fault.is_bot:
        assert {one.verdict for one in (*found.metrics, *found.latencies)} == {"undecided"}
        assert not any(one.is_real for one in found.metrics)
        assert any("“bot-1”" in warning for warning in found.warnings)
    assert bool(found.metrics) == (fault.kind not in {"lost users", "both arms"})
