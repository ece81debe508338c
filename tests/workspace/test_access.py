"""Roles: who may do what is decided in the engine's calls, and the log names who did it."""

from __future__ import annotations

import ast
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.embeddings import EmbeddingSet
from engine.errors import AccessError, ConflictError, ParameterError
from engine.migration import DualControl, DualSettings
from engine.rollout import RolloutControl, SimulatedRollouts, SimulationSettings, parse_fault
from engine.rollout.gates import Action
from engine.rollout.schedule import Schedule
from engine.workspace import (
    LEAST_ROLES,
    AccessPolicy,
    Identity,
    JobRunner,
    Role,
    RoleList,
    Workspace,
    check_access,
    least_role,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from engine.workspace import Run

ENGINE = Path(__file__).resolve().parents[2] / "engine"
VERA = Identity(name="vera@example.com", role=Role.VIEWER)
OTTO = Identity(name="otto@example.com", role=Role.OPERATOR)
ADA = Identity(name="ada@example.com", role=Role.ADMIN)
EVERYBODY = (VERA, OTTO, ADA)


def flags_of(workspace: Workspace) -> Any:
    from engine.flags import FlagStore

    return FlagStore(workspace, refresh_s=0)


def refused(work: Callable[[], object]) -> bool:
    try:
        work()
    except AccessError:
        return True
    return False


def may(role: Role, kind: str, action: str) -> bool:
    """Tell whether somebody with this role may do it."""
    somebody = Identity(name="x", role=role)
    return not refused(lambda: check_access(somebody, kind, action, role=role))


def head(workspace: Workspace) -> tuple[int, int]:
    """Return how many audit events and runs there are."""
    return workspace.audit_head(), len(workspace.runs())


@given(st.sampled_from(list(LEAST_ROLES)), st.sampled_from(list(Role)))
def test_a_role_may_do_what_the_roles_before_it_may(action: tuple[str, str], role: Role) -> None:
    """Whatever a viewer may, an operator may; whatever an operator may, an admin may; nobody the other way round."""
    allowed = [may(one, *action) for one in Role]
    assert allowed == sorted(allowed)
    assert allowed[-1]
    assert may(role, *action) is role.includes(LEAST_ROLES[action])


def test_what_nobody_classified_takes_an_admin() -> None:
    """An action that is not in the table is no gap that viewers come through."""
    assert least_role("something", "new") is Role.ADMIN
    assert [may(role, "something", "new") for role in Role] == [False, False, True]


def _written_actions() -> set[str]:
    """Return every constant that the engine passes as the action of a change."""
    found: set[str] = set()
    rooms = ("flags", "rollout", "migration", "present", "workspace")
    for path in (path for room in rooms for path in (ENGINE / room).rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        if "action=" not in text or not any(name in text for name in ("ledger", "_workspace", "record.change")):
            continue
        for node in ast.walk(ast.parse(text)):
            for keyword in node.keywords if isinstance(node, ast.Call) else ():
                if keyword.arg == "action" and isinstance(keyword.value, ast.Constant):
                    found.add(str(keyword.value.value))
    return found


def test_every_audited_action_of_the_engine_is_classified() -> None:
    """Each word that the engine writes as an action of a change has its least role in the one table."""
    classified = {action for _, action in LEAST_ROLES}
    not_changes = {"step", "none", "roll_back"}  # of the monitor's judgement, and of a step that is not written
    written = {action for action in _written_actions() if action.islower()} - not_changes
    assert {"kill", "restore", "set role", "start migration", "append", "save"} & (written | classified) == {
        *("kill", "restore", "set role", "start migration", "append", "save")
    }
    assert len(written) > 30, "the search must find what there is"
    assert sorted(written - classified) == []


def test_steps_of_rollouts_and_states_of_migrations_are_classified() -> None:
    """Actions that are put together at run time are in the table too, from the very types that they come from."""
    from typing import get_args

    from engine.migration.job import STATES

    for step in get_args(Action):
        assert ("rollout", step) in LEAST_ROLES
    for step in ("start", "advance", "resume", "complete", "roll back"):
        assert ("flag", f"rollout {step}") in LEAST_ROLES
    for state in STATES:
        assert ("migration", state) in LEAST_ROLES


def test_everything_that_a_whole_path_writes_is_classified(told_workspace: Path) -> None:
    """The log of a workspace in which everything was done holds no event that the table does not know."""
    with Workspace.open(told_workspace, database_url=f"sqlite:///{told_workspace / 'workspace.db'}") as workspace:
        events = workspace.audit(limit=100_000)
    assert len({event.kind for event in events}) >= 5
    assert {(event.kind, event.action) for event in events} <= set(LEAST_ROLES)


def _changes(workspace: Workspace, save: Callable[..., Any]) -> Mapping[str, Callable[[], object]]:
    """Return one change of every kind, as `workspace` would make it."""
    flags = flags_of(workspace)
    control = RolloutControl(workspace, flags)
    simulated = SimulatedRollouts(control)
    dual = DualControl(workspace, refresh_s=0)
    settings = SimulationSettings(faults=(parse_fault("errors:0.01@day12"),))
    flag = flags.flag("enable_new_index")
    corpus = EmbeddingSet(name="tiny", corpus=np.eye(4, dtype=np.float32))
    made = {"flag_key": flag.key, "actor": "x", "is_simulated": True, "schedule": Schedule.parse("0:10,2:100")}
    return {
        "run": lambda: save(workspace),
        "data set": lambda: workspace.save_dataset(corpus),
        "delete data set": lambda: workspace.delete_dataset(corpus.sha256),
        "flag": lambda: flags.set(flag.with_percent(3), expected_version=flag.version, actor="x"),
        "rollout": lambda: control.create("ramp", **made),
        "simulation": lambda: simulated.set("ramp", settings, actor="x"),
        "start": lambda: control.start("ramp", actor="x"),
        "clock": lambda: simulated.step("ramp", days=1, actor="x"),
        "pause": lambda: control.pause("ramp", actor="x", reason="to look"),
        "roll back": lambda: control.roll_back("ramp", actor="x", reason="enough", typed="roll back"),
        "dual search": lambda: dual.change(DualSettings(mode="shadow"), expected_version=0, actor="x"),
        "kill": lambda: flags.kill(actor="x", typed="kill"),
    }


@pytest.fixture
def save_in() -> Callable[[Workspace], Run]:
    """Return what saves a small run in a workspace."""

    def saved(workspace: Workspace) -> Run:
        arrays = {"values": np.zeros(1)}
        return workspace.save_run(
            kind="sweep", dataset={}, parameters={}, seed=0, summary={}, arrays=arrays, elapsed_s=0.0
        )

    return saved


def test_a_viewer_changes_nothing(workspace: Workspace, save_in: Callable[[Workspace], Run]) -> None:
    """Every kind of change is refused to a viewer before anything is written, and reading works as before."""
    flags_of(workspace)
    bound = workspace.acting_as(VERA)
    made = {"flag_key": "enable_new_index", "actor": "ada", "is_simulated": True}
    RolloutControl(workspace, flags_of(workspace)).create("ramp", **made)
    before = head(workspace)
    kept = {name: work for name, work in _changes(bound, save_in).items() if not refused(work)}
    assert kept == {}
    assert head(workspace) == before
    assert bound.runs() == workspace.runs()
    assert [flag.key for flag in flags_of(bound).flags()] == [flag.key for flag in flags_of(workspace).flags()]
    with pytest.raises(AccessError, match="only operators and admins may do this, kill; found vera@example.com, view"):
        flags_of(bound).kill(actor="ada@example.com", typed="kill")


def test_an_operator_does_everything_but_restore(workspace: Workspace, save_in: Callable[[Workspace], Run]) -> None:
    """An operator sweeps, ramps, changes and kills; all of it carries that name, whatever name was given."""
    flags_of(workspace)
    began = workspace.audit_head()
    bound = workspace.acting_as(OTTO)
    for name, work in _changes(bound, save_in).items():
        assert not refused(work), name
    events = workspace.audit(after=began)
    assert {event.actor for event in events} == {OTTO.name}
    assert {run.created_by for run in workspace.runs()} == {OTTO.name}
    killed = flags_of(workspace).is_killed
    assert killed is not None
    assert killed.actor == OTTO.name
    assert RolloutControl(workspace, flags_of(workspace)).status("ramp").rollout.changed_by == OTTO.name
    with pytest.raises(AccessError, match="only admins may do this, restore; found otto@example.com, operator"):
        flags_of(bound).restore(actor="ada@example.com", typed="restore", reason="it is me")
    assert flags_of(workspace).is_killed is not None
    flags_of(workspace.acting_as(ADA)).restore(actor="x", typed="restore", reason="rebuilt")
    assert flags_of(workspace).is_killed is None
    assert workspace.check_audit().is_intact


def test_looking_lets_a_rollout_take_its_own_steps(workspace: Workspace) -> None:
    """A viewer who looks at a rollout after a kill sees it pause itself: the log says the kill switch did, not they."""
    flags = flags_of(workspace)
    control = RolloutControl(workspace, flags)
    control.create("ramp", flag_key="enable_new_index", actor="otto", schedule=Schedule.parse("0:10,2:100"))
    control.start("ramp", actor="otto")
    flags.kill(actor="otto", typed="kill")
    seen = control.acting_as(VERA).status("ramp")
    assert seen.rollout.state == "paused"
    last = workspace.audit(kind="rollout", newest_first=True, limit=1)[0]
    assert (last.actor, last.action) == ("kill switch", "pause")
    assert refused(lambda: control.acting_as(VERA).resume("ramp", actor="x"))


def test_a_bound_store_shares_what_it_knows(workspace: Workspace) -> None:
    """What one person changes, everybody sees in the next call, without a look at the database in between."""
    from engine.flags import FlagStore

    flags = FlagStore(workspace, refresh_s=3600)
    flags.acting_as(OTTO).kill(actor="x", typed="kill")
    assert flags.is_killed is not None
    assert flags.acting_as(VERA).is_killed is not None


def test_a_viewer_moves_no_vectors(workspace: Workspace, tmp_path: Path) -> None:
    """A migration is refused before its target is made, and its target before it is dropped."""
    from engine.migration import MigrationSettings, Migrator, open_store

    np.save(tmp_path / "source.npy", np.random.default_rng(1).standard_normal((20, 8)).astype(np.float32))
    with (
        open_store(f"file://{tmp_path}/source.npy", role="source") as source,
        open_store(f"file://{tmp_path}/target.npy") as target,
    ):
        migrator = Migrator(
            source, target, MigrationSettings(dims=4), workspace=workspace.acting_as(VERA), actor="ada@example.com"
        )
        for change in (migrator.run, lambda: migrator.discard(typed="target.npy")):
            assert refused(change)
        assert not target.exists()
    assert head(workspace) == (0, 0)


def test_a_role_taken_away_stops_what_was_begun(workspace: Workspace, save_in: Callable[[Workspace], Run]) -> None:
    """A job whose person is a viewer by its end keeps nothing and says why, and goes through once the role is back."""
    roles, bound = RoleList(workspace.acting_as(ADA)), workspace.acting_as(OTTO)
    is_changed = threading.Event()

    def work(_progress: object, _cancelled: object) -> str:
        assert is_changed.wait(10)
        return save_in(bound).id

    with JobRunner() as runner:
        jobs = runner.acting_as(OTTO)
        job = jobs.submit("tab", "a sweep", work)
        roles.set(OTTO.name, Role.VIEWER, expected_version=None, actor="ada")
        is_changed.set()
        ended = jobs.wait("tab", job.id, timeout_s=10)
        assert ended.state == "failed"
        assert ended.error == (
            "only operators and admins may do this, save; found otto@example.com, viewer now, operator before. "
            "Ask an admin for another role, or somebody who has it."
        )
        assert workspace.runs() == ()
        assert refused(lambda: flags_of(bound).kill(actor="otto", reason="p99", typed="kill"))
        assert bound.check_access("session", "log out") is None
        roles.set(OTTO.name, Role.ADMIN, expected_version=None, actor="ada")
        again = jobs.submit("tab", "a sweep", work)
        assert jobs.wait("tab", again.id, timeout_s=10).state == "done"
    assert len(workspace.runs()) == 1


@pytest.mark.parametrize(
    ("claims", "listed", "after", "expected"),
    [
        ({"email": "otto@example.com"}, Role.OPERATOR, None, None),
        ({"email": "otto@example.com", "groups": "viewer"}, Role.OPERATOR, None, Role.VIEWER),
        ({"email": "otto@example.com", "groups": "operator"}, None, Role.VIEWER, Role.VIEWER),
        ({"email": "otto@example.com", "groups": "operator"}, None, None, Role.OPERATOR),
        ({"email": "ada@example.com"}, None, Role.VIEWER, Role.ADMIN),
    ],
)
def test_what_the_list_says_later_counts(
    workspace: Workspace, claims: Any, listed: Role | None, after: Role | None, expected: Role | None
) -> None:
    """Off the list, the configuration and the claims decide again; who is an admin by configuration stays one."""
    policy = AccessPolicy(role_claim="groups", admins=frozenset({"ada@example.com"}))
    identity = policy.identity(claims, listed={} if listed is None else {claims["email"]: listed})
    assert identity.role_now(listed) is identity.role
    assert identity.role_now(after) is expected
    if after is not None:
        RoleList(workspace).set(identity.name, after, expected_version=0, actor="shell")
    bound = workspace.acting_as(identity)
    for kind, action in [("session", "log out"), ("run", "save"), ("role", "set role")]:
        may_now = expected is not None and expected.includes(least_role(kind, action))
        assert refused(lambda kind=kind, action=action: bound.check_access(kind, action)) is not may_now  # type: ignore[misc]  # mypy cannot infer defaults


def test_a_role_taken_away_stops_a_migration(workspace: Workspace, tmp_path: Path) -> None:
    """The copy ends at its next batch, and its record says who was at work and why it stopped."""
    from engine.migration import MigrationSettings, Migrator, open_store

    np.save(tmp_path / "source.npy", np.random.default_rng(1).standard_normal((40, 8)).astype(np.float32))

    def take_away(share: float, _message: str) -> None:
        if share > 0 and not RoleList(workspace).all():
            RoleList(workspace).set(OTTO.name, Role.VIEWER, expected_version=0, actor="ada")

    with (
        open_store(f"file://{tmp_path}/source.npy", role="source") as source,
        open_store(f"file://{tmp_path}/target.npy") as target,
    ):
        bound = workspace.acting_as(OTTO)
        migrator = Migrator(source, target, MigrationSettings(dims=4, batch_size=10), workspace=bound, actor="otto")
        with pytest.raises(AccessError, match="viewer now, operator before"):
            migrator.run(progress=take_away)
        job = migrator.status()
    assert job is not None
    assert (job.state, job.owner) == ("stopped", None)
    assert "viewer now" in job.reason
    newest = workspace.audit(kind="migration", newest_first=True, limit=1)[0]
    assert (newest.actor, newest.action) == (OTTO.name, "stopped")


def test_nobody_acts_as_somebody_else(workspace: Workspace) -> None:
    """A handle that is bound to one person cannot be bound to another, so that no role is borrowed."""
    with pytest.raises(AccessError, match="one person cannot act as another"):
        workspace.acting_as(VERA).acting_as(ADA)
    assert workspace.acting_as(VERA).acting_as(VERA).identity == VERA
    assert workspace.identity is None


def test_a_job_is_started_by_who_may(workspace: Workspace) -> None:
    """A viewer starts no background job; a job keeps the handle that it was given, with its name."""
    with JobRunner() as runner:
        with pytest.raises(AccessError, match="start"):
            runner.acting_as(VERA).submit("tab", "a job", lambda _progress, _cancelled: 1)
        bound = workspace.acting_as(OTTO)
        jobs = runner.acting_as(OTTO)
        job = jobs.submit("tab", "a job", lambda _progress, _cancelled: bound.identity)
        assert jobs.wait("tab", job.id, timeout_s=10).state == "done"
        assert jobs.result("tab", job.id) == OTTO


def test_only_admins_edit_the_list_and_never_their_own_role(workspace: Workspace) -> None:
    """The list is versioned and audited; nobody raises or lowers themselves."""
    admin = RoleList(workspace.acting_as(ADA))
    first = admin.set("Vera@Example.com ", Role.OPERATOR, expected_version=0, actor="x", reason="on call")
    assert (first.name, first.role, first.version) == ("vera@example.com", Role.OPERATOR, 1)
    with pytest.raises(ConflictError):
        admin.set("vera@example.com", Role.VIEWER, expected_version=0, actor="x")
    for identity in (VERA, OTTO):
        one = RoleList(workspace.acting_as(identity))
        assert refused(lambda one=one: one.set("x@example.com", Role.ADMIN, expected_version=None, actor="ada"))
        assert refused(lambda one=one: one.remove("vera@example.com", expected_version=None, actor="ada"))
        assert one.all() == (first,)
    for change in (
        lambda: admin.set(ADA.name, Role.ADMIN, expected_version=None, actor="x"),
        lambda: admin.remove(ADA.name, expected_version=None, actor="x"),
    ):
        with pytest.raises(AccessError, match="nobody changes their own role"):
            change()
    admin.remove("vera@example.com", expected_version=1, actor="x")
    done = [(event.actor, event.action, event.reason) for event in workspace.audit(kind="role")]
    assert done == [(ADA.name, "set role", "on call"), (ADA.name, "remove role", "")]


def test_an_ended_session_is_ended_everywhere(workspace: Workspace) -> None:
    """Whoever logged out is out for every process on this workspace, and only with that sign-in."""
    people = RoleList(workspace.acting_as(VERA))
    people.end_session("a" * 64, actor="")
    people.end_session("a" * 64, actor="")
    assert people.access(VERA.name, session="a" * 64).is_ended
    assert not people.access(VERA.name, session="b" * 64).is_ended
    assert [event.actor for event in workspace.audit(kind="session")] == [VERA.name]


SETTINGS = {
    "role_claim": "groups",
    "claim_roles": {"readers": "viewer", "on-call": "operator"},
    "roles": {"Olga@Example.com": "admin"},
}


@pytest.mark.parametrize(
    ("claims", "listed", "expected"),
    [
        ({"email": "Ada@Example.com", "groups": []}, Role.VIEWER, Role.ADMIN),
        ({"email": "olga@example.com"}, None, Role.ADMIN),
        ({"email": "olga@example.com"}, Role.VIEWER, Role.VIEWER),
        ({"email": "x@example.com", "groups": ["readers", "on-call"]}, None, Role.OPERATOR),
        ({"email": "x@example.com", "groups": "readers"}, None, Role.VIEWER),
        ({"email": "x@example.com", "groups": ["admin"]}, None, None),
        ({"email": "x@example.com", "groups": {"on-call": True}}, None, None),
        ({"sub": "x@example.com"}, Role.OPERATOR, Role.OPERATOR),
    ],
)
def test_the_first_that_names_a_person_decides(claims: Any, listed: Role | None, expected: Role | None) -> None:
    """Configured admins, then the list of the workspace, then the configured list, then the highest of the claims."""
    policy = AccessPolicy.from_settings(SETTINGS, admins=" ADA@example.com, ")
    name = str(claims.get("email") or claims["sub"]).lower()
    kept = {} if listed is None else {name: listed}
    if expected is None:
        with pytest.raises(AccessError, match="only people with a role"):
            policy.identity(claims, listed=kept)
    else:
        assert policy.identity(claims, listed=kept) == Identity(name=name, role=expected)


def test_claims_without_a_translation_are_roles_themselves() -> None:
    """A nested claim is named with dots; a value that is no role counts for nothing, and the default for the rest."""
    policy = AccessPolicy.from_settings({"role_claim": "realm_access.roles", "default_role": "viewer"})
    claims: dict[str, Any] = {"email": "x@example.com", "realm_access": {"roles": ["offline", "operator", 7]}}
    assert policy.identity(claims, listed={}).role is Role.OPERATOR
    assert policy.identity({**claims, "realm_access": "admin"}, listed={}).role is Role.VIEWER


@pytest.mark.parametrize("verified", [False, "false", None, 0])
def test_an_unverified_address_is_nobody(verified: object) -> None:
    """An address that the provider did not verify could be anybody's: it is refused, even an admin's."""
    policy = AccessPolicy.from_settings({}, admins="ada@example.com")
    with pytest.raises(AccessError, match="verified"):
        policy.identity({"email": "ada@example.com", "email_verified": verified, "sub": "1"}, listed={})
    with pytest.raises(AccessError, match="must say who signs in"):
        policy.identity({"email": ""}, listed={})


@pytest.mark.parametrize(
    "settings",
    [
        {"rolle_claim": "groups"},
        {"roles": {"x@example.com": "root"}},
        {"roles": ["x"]},
        {"roles": {"": "admin"}},
        {"default_role": "none"},
        {"session_hours": 0},
        {"session_hours": float("nan")},
        {"session_hours": "12"},
        {"session_hours": True},
    ],
)
def test_settings_that_could_be_misread_are_refused(settings: dict[str, Any]) -> None:
    """A mistyped setting or role never means "everybody": it is one sentence."""
    with pytest.raises(ParameterError):
        AccessPolicy.from_settings(settings)


VALUES = st.none() | st.text(max_size=9) | st.integers() | st.lists(st.text(max_size=9), max_size=2) | st.just({"a": 1})
NAMES = st.sampled_from(["email", "email_verified", "sub", "upn", "groups", "preferred_username", "iat"])


@given(st.dictionaries(NAMES, VALUES, max_size=5))
def test_whatever_claims_hold_nobody_slips_in(claims: dict[str, Any]) -> None:
    """Any claims at all give an identity that was configured, or AccessError; never another failure."""
    policy = AccessPolicy.from_settings(SETTINGS)
    try:
        identity = policy.identity(claims, listed={})
    except AccessError:
        return
    assert identity.name == "olga@example.com" or "groups" in claims


def test_runs_of_a_single_user_carry_the_login_name(workspace: Workspace, save_in: Callable[[Workspace], Run]) -> None:
    """Where nobody signs in, a run names the login of whoever ran it, so that it is never anonymous."""
    assert save_in(workspace).created_by
    assert workspace.runs()[0].created_by == save_in(workspace).created_by
