"""The tools beside a read-out: how many users a test needs, and whether two assignments are independent."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from engine.charts import experiment_plans as charts
from engine.errors import EngineError
from engine.experiment.assignment import Contingency, contingency
from engine.experiment.planning import PlanSettings, plan_experiment
from engine.experiment.settings import METRICS, metric_name
from engine.experiment.wording import as_start, p_text, percent
from pages.shell import figures
from pages.shell.ab import view as ab_view
from pages.shell.text import sentence

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streamlit.delta_generator import DeltaGenerator

    from engine.experiment.results import Analysis, MetricResult
    from engine.experiment.settings import Metric
    from engine.workspace import Run

_LOSS, _CHANGE = "Rule out a loss", "Find a change"
_EXAMPLE_CTR = 0.12
_EXAMPLE_DAY = 10_000.0
_DEPENDENT = 0.001


def power(found: Analysis, run: Run) -> None:
    """Plan the next test, from the rates and the traffic of this one."""
    known = {one.key: one for one in found.metrics if one.control.value}
    names = {key: as_start(metric_name(key)) for key in known or METRICS[:1]}
    metric = ab_view.metric_field(names, key="plan_metric")
    question = st.segmented_control(
        "The test shall",
        [_LOSS, _CHANGE],
        default=_LOSS,
        required=True,
        key="plan_question",
        help="Rule out a loss: one-sided non-inferiority against a margin, what a migration needs. Find a change: the "
        "classic two-sided test.",
    )
    try:
        plan = plan_experiment(_asked(found, run, metric, known.get(metric), rules_out=question == _LOSS))
    except EngineError as error:
        st.error(sentence(error))
        return
    with st.container(horizontal=True, gap="small"):
        _card("Users, both arms", f"{plan.n_users:,}")
        _card("Queries, control", f"{plan.n_control:,}")
        _card("Days", "–" if plan.days is None else f"{plan.days:,}")
        _card(
            "A two-sided test would find",
            "–" if plan.detectable is None else percent(abs(plan.detectable)),
            "The smallest relative loss found with the power asked for.",
        )
    for words in plan.sentences:
        st.markdown(ab_view.words(words))
    figures.show(
        charts.power_chart(plan, colours=figures.colours(), n_users=found.n_users),
        alt=charts.describe_power(plan),
        key="power_chart",
    )


def _asked(found: Analysis, run: Run, metric: Metric, known: MetricResult | None, *, rules_out: bool) -> PlanSettings:
    """Let the reader edit what the plan rests on: the question, and the traffic of earlier tests."""
    tag = f"{metric}_{rules_out}_{run.id}"
    rate = (known.control.value if known is not None else None) or _EXAMPLE_CTR
    margin = 100 * found.settings.margin(metric).relative
    left, middle, right = st.columns(3)
    baseline = left.number_input(
        "Rate of the control, %", value=round(100 * rate, 3), step=0.1, format="%.3f", key=f"plan_rate_{tag}"
    )
    size = middle.number_input(
        "Relative loss to rule out, %" if rules_out else "Relative change to find, % (− is a fall)",
        value=margin if rules_out else -margin,
        step=0.5,
        format="%.2f",
        key=f"plan_size_{tag}",
    )
    share = right.number_input("Users in the treatment, %", value=50.0, step=5.0, key=f"plan_share_{tag}")
    alpha = left.number_input(
        "alpha, one-sided" if rules_out else "alpha, two-sided",
        value=found.settings.alpha,
        step=0.01,
        format="%.3f",
        key=f"plan_alpha_{tag}",
    )
    wanted = middle.number_input("Power, %", value=100 * found.settings.power, step=5.0, key=f"plan_power_{tag}")
    return PlanSettings(
        baseline=baseline / 100,
        margin=size / 100 if rules_out else None,
        effect=None if rules_out else size / 100,
        metric=metric,
        alpha=alpha,
        power=wanted / 100,
        treatment_share=share / 100,
        **_traffic(found, known, tag=tag, columns=(right, left, middle)),
    )


def _traffic(
    found: Analysis, known: MetricResult | None, *, tag: str, columns: Sequence[DeltaGenerator]
) -> dict[str, float]:
    per_user = max(1.0, round(found.n_queries / max(1, found.n_users), 1))
    effect = (known.design_effect if known is not None else None) or 1.0
    return {
        "users_per_day": columns[0].number_input(
            "New users a day",
            value=float(max(1, round(found.users_per_day or _EXAMPLE_DAY))),
            step=1000.0,
            format="%.0f",
            key=f"plan_users_{tag}",
            help="Of both arms together, seen for the first time: who comes back adds queries, but no users.",
        ),
        "queries_per_user": columns[1].number_input(
            "Queries a user", value=per_user, min_value=1.0, step=1.0, format="%.1f", key=f"plan_queries_{tag}"
        ),
        "design_effect": columns[2].number_input(
            "Design effect",
            value=round(effect, 2),
            step=0.1,
            format="%.2f",
            key=f"plan_effect_{tag}",
            help="How many times larger the variance is by user than by query, since a user's queries are alike.",
        ),
    }


def assignment() -> None:
    """Show how the users of two assignments overlap: independent under two keys, the same people under one."""
    st.markdown(
        "A user's arm is a hash of a key and the user's id. Give the rollout and the experiment **different keys**: "
        "with one shared key, everybody in a 5 % rollout lands in the same arm of the experiment."
    )
    first, second, third = st.columns(3)
    key_a = first.text_input("Key of the rollout", "rollout", max_chars=200, key="key_a")
    percent_a = first.number_input("Rollout, % of users", 0.0, 100.0, 5.0, 1.0, key="percent_a")
    key_b = second.text_input("Key of the experiment", "experiment", max_chars=200, key="key_b")
    percent_b = second.number_input("Treatment, % of users", 0.0, 100.0, 50.0, 1.0, key="percent_b")
    n_users = third.number_input("Made-up users", 1, 1_000_000, 20_000, 1000, key="contingency_users")
    try:
        table = _contingency(key_a, percent_a, key_b, percent_b, int(n_users))
    except EngineError as error:
        st.error(sentence(error))
        return
    st.dataframe(
        [
            {"who": who, "in": row[0], "out": row[1], "share": None if share is None else 100 * share}
            for who, row, share in zip(
                ("In the rollout", "Not in the rollout"),
                table.counts,
                (table.share_of_in, table.share_of_out),
                strict=True,
            )
        ],
        hide_index=True,
        key="contingency",
        placeholder="–",
        column_config={
            "who": st.column_config.TextColumn("Users", pinned=True),
            "in": st.column_config.NumberColumn("In the treatment", format="localized"),
            "out": st.column_config.NumberColumn("In the control", format="localized"),
            "share": st.column_config.NumberColumn("In the treatment, %", format="%.2f %%"),
        },
    )
    _independence(table)


def _independence(table: Contingency) -> None:
    if table.p is None or table.share_of_in is None or table.share_of_out is None:
        st.info("One of the two lets everybody in or nobody: there is nothing to compare.")
        return
    told = (
        f"{percent(table.share_of_in)} of those in the rollout are in the treatment, {percent(table.share_of_out)} of "
        f"the others ({p_text(table.p)})"
    )
    if table.p < _DEPENDENT:
        st.error(
            ab_view.words(
                f"Not independent: {told}. What the rollout does would be taken for the experiment's effect."
            ),
            icon=":material/link:",
        )
    else:
        st.success(ab_view.words(f"Independent: {told}."), icon=":material/shuffle:")


@st.cache_data(max_entries=64, show_spinner=False)
def _contingency(key_a: str, percent_a: float, key_b: str, percent_b: float, n_users: int) -> Contingency:
    users = [f"user-{number}" for number in range(n_users)]
    return contingency(users, key_a, percent_a, key_b, percent_b)


def _card(label: str, value: str, explained: str | None = None) -> None:
    st.metric(label, value, border=True, height="stretch", help=explained)
