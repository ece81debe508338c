"""The control plane against a model: any order of people, days, data and kills over several rollouts on two flags."""

from __future__ import annotations

import json
import tempfile
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from engine.errors import ConflictError, FlagError, RolloutError
from engine.flags import FlagStore
from engine.rollout import Observation, RolloutControl, Schedule
from engine.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Callable

FLAGS = ("use_reduced_dims", "enable_new_index")
KEYS = ("a", "b", "c")
SCHEDULES = ("0:5,1:50,2:100", "0:20,12h:100", "0:100")
ONWARD = ("start", "advance", "resume", "complete")


class ControlMachine(RuleBasedStateMachine):
    """Random steps through the database; a model keeps the last percentage of every rollout."""

    new_database: Callable[[], str | None]

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.now = datetime(2026, 3, 1, tzinfo=UTC)
        self.workspace = Workspace.open(
            Path(self.folder.name) / "workspace", database_url=self.new_database(), clock=lambda: self.now
        )
        self.flags = FlagStore(self.workspace, refresh_s=0)
        self.control = RolloutControl(self.workspace, self.flags)
        self.percents: dict[str, float] = {}

    def teardown(self):
        """Check the whole chain at the end, and that every rollout follows from the audit log alone."""
        try:
            assert self.workspace.check_audit().is_intact
            for status in self.control.rollouts():
                assert self.control.replay(status.rollout.key).agrees
        finally:
            self.workspace.close()
            self.folder.cleanup()

    @initialize(flag=st.sampled_from(FLAGS), schedule=st.sampled_from(SCHEDULES), automatic=st.booleans())
    def begin(self, flag, schedule, automatic):
        """Make a first rollout and start it."""
        self.create("a", flag, schedule, automatic)
        self.percents["a"] = self.control.start("a", actor="ann").percent

    @rule(
        key=st.sampled_from(KEYS),
        flag=st.sampled_from(FLAGS),
        schedule=st.sampled_from(SCHEDULES),
        automatic=st.booleans(),
    )
    def create(self, key, flag, schedule, automatic):
        """Make a draft; a key that is there is refused."""
        is_new = key not in self.percents
        try:
            self.control.create(
                key, flag_key=flag, schedule=Schedule.parse(schedule), is_automatic=automatic, actor="ann"
            )
        except RolloutError:
            assert not is_new
        else:
            assert is_new
            self.percents[key] = 0.0

    @rule(days=st.sampled_from([0.25, 0.5, 1]))
    def wait(self, days):
        """Let time pass."""
        self.now += timedelta(days=days)

    @rule(key=st.sampled_from(KEYS), action=st.sampled_from(ONWARD), override=st.sampled_from(["", "I looked"]))
    def go_on(self, key, action, override):
        """Go on where it may; the share of the users never falls."""
        options = {} if action == "start" else {"override": override}
        with suppress(RolloutError):
            status = getattr(self.control, action)(key, actor="ann", **options)
            assert status.percent >= self.percents[key]
            self.percents[key] = status.percent

    @rule(key=st.sampled_from(KEYS))
    def pause(self, key):
        """Pause where it may; the share stays."""
        with suppress(RolloutError):
            assert self.control.pause(key, actor="ann", reason="lunch").percent == self.percents[key]

    @rule(key=st.sampled_from(KEYS))
    def roll_back(self, key):
        """Roll back where it may; the share is 0 from then on."""
        with suppress(RolloutError):
            assert self.control.roll_back(key, actor="ann", reason="no", typed="roll back").percent == 0
            self.percents[key] = 0.0

    @rule(key=st.sampled_from(KEYS), latency=st.sampled_from([1.0, 1.0, 1.7, 3.0]))
    def observe(self, key, latency):
        """Append six more hours; a share falls only when the monitor rolls back."""
        self.now += timedelta(hours=6)
        before = self.percents.get(key, 0.0)
        with suppress(RolloutError):
            status = self.control.observe(key, tuple(self._six_hours(before, latency)), actor="metrics").status
            assert status.percent >= before or (status.state, status.rollout.cause) == ("rolled back", "monitor")
            self.percents[key] = status.percent

    @rule(key=st.sampled_from(KEYS))
    def look(self, key):
        """Look, which settles what is due; only the monitor lowers a share."""
        with suppress(RolloutError):
            status = self.control.status(key)
            assert status.percent >= self.percents[key] or status.rollout.cause == "monitor"
            self.percents[key] = status.percent

    @rule()
    def kill(self):
        """Switch everything to safe, or restore it."""
        if self.flags.is_killed is None:
            self.flags.kill(actor="bob", typed="kill")
        else:
            self.flags.restore(actor="bob", typed="restore", reason="fine")

    @rule(flag=st.sampled_from(FLAGS))
    def meddle(self, flag):
        """Change the percentage by hand: refused exactly while a rollout drives the flag."""
        present = self.flags.flag(flag)
        try:
            self.flags.set(present.with_percent(0), expected_version=present.version, actor="bob")
        except FlagError:
            assert present.driven_by is not None
        else:
            assert present.driven_by is None

    @rule(key=st.sampled_from(KEYS))
    def come_late(self, key):
        """Act on what one saw a version ago: a conflict, and nothing happens."""
        with suppress(RolloutError):
            version = self.control.status(key, settle=False).version
            with pytest.raises(ConflictError):
                self.control.pause(key, actor="bob", reason="late", expected_version=version - 1)

    @invariant()
    def flags_follow_their_rollouts(self):
        """Check that no flag has two active rollouts, and that each driven flag has its rollout's percentage."""
        active = [status.rollout for status in self.control.rollouts() if status.rollout.is_active]
        assert len({rollout.flag_key for rollout in active}) == len(active)
        for rollout in active:
            flag = self.flags.flag(rollout.flag_key)
            assert (flag.driven_by, flag.treatment, flag.percent) == (rollout.key, "on", rollout.percent)
        driven = {flag.key for flag in self.flags.flags() if flag.driven_by is not None}
        assert driven == {rollout.flag_key for rollout in active}

    @invariant()
    def the_file_says_what_the_database_says(self):
        """Check that the published file is the one that the database gives."""
        assert json.loads(self.flags.path.read_text())["flags"] == self.flags.live_document()["flags"]

    def _six_hours(self, percent, latency):
        for arm, share in (("control", 1 - percent / 100), ("treatment", percent / 100)):
            queries, p99 = round(500_000 * share), 120 * (latency if arm == "treatment" else 1)
            if queries:
                yield Observation(
                    start=(self.now - timedelta(hours=6)).isoformat(),
                    end=self.now.isoformat(),
                    arm=arm,
                    percent=percent,
                    n_users=queries // 5,
                    n_queries=queries,
                    n_clicks=queries // 8,
                    n_errors=queries // 500,
                    p99_ms=p99,
                    p99_low_ms=p99 * 0.98,
                    p99_high_ms=p99 * 1.02,
                )


@pytest.fixture(autouse=True)
def _databases_of_the_machine(monkeypatch: pytest.MonkeyPatch, new_database: Callable[..., str | None]) -> None:
    monkeypatch.setattr(ControlMachine, "new_database", staticmethod(new_database), raising=False)


TestControlMachine = ControlMachine.TestCase
TestControlMachine.settings = settings(
    max_examples=7, stateful_step_count=12, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
