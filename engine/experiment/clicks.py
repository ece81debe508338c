"""How likely a click is on the list that each arm shows for each query: a position-based model of attention.

A person examines position j with probability ``j ** -position_exponent`` and clicks what is attractive there (Craswell,
Zoeter, Taylor & Ramsey 2008, "An experimental comparison of click position-bias models"). How attractive a document is
follows from its relevance: of its grade g, ``(2^g - 1) / (2^g_max - 1)``, as in expected reciprocal rank (Chapelle et
al. 2009); without judgements, of its rank r in the full-dimension list, ``1 / log2(r + 1)``, 0 outside that list. A
document of no relevance keeps the background attractiveness. One factor on all attractiveness makes the control's CTR
the stated one; what the treatment's lists earn then follows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from engine.errors import ParameterError

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from engine.embeddings import EmbeddingSet
    from engine.embeddings.embedding_set import Judgements
    from engine.experiment.traffic_settings import ArmNumbers, TrafficSettings
    from engine.tradeoff import SweepResult

    Float64 = npt.NDArray[np.float64]

RelevanceSource = Literal["judgements", "full dimension", "plain numbers"]

_INCLINATIONS = 128
_MOST_SCALE = 1e9
_STEPS = 64
_BLOCK_VALUES = 1 << 20


@dataclass(frozen=True, eq=False, kw_only=True)
class ClickModel:
    """Click probabilities of a person of average inclination; Q queries, arms in the order control, treatment.

    `rates` (2, Q) are of a query that did not fail; `popularity` (Q,) sums to 1. `expected_ctr` of each arm is that of
    all queries, over people of every inclination, failed queries included. `scale` is the factor on all attractiveness.
    `conversions_of_click` are the shares of clicks that convert; on lists that of the control holds in both arms.
    `source` says where relevance came from. `attraction` (2, Q, n_results) is of each document shown, after scaling,
    and `examined` (n_results,) the probability of looking there; both None for plain numbers.
    """

    rates: Float64
    popularity: Float64
    expected_ctr: tuple[float, float]
    conversions_of_click: tuple[float, float]
    scale: float
    source: RelevanceSource
    attraction: Float64 | None = None
    examined: Float64 | None = None


def click_model(
    settings: TrafficSettings, sweep: SweepResult | None = None, *, judgements: Judgements | None = None
) -> ClickModel:
    """Return how likely clicks are under `settings`: on the lists of `sweep`, or by its plain numbers without one.

    `judgements` are those of the sweep's queries, in their order (`judgements_of` finds them); without them a document
    is as relevant as its rank at the full dimension says.

    Raises
    ------
    ParameterError
        When the sweep does not hold the dims asked for, the judgements name queries that it does not, or no factor
        reaches the stated CTR.
    """
    if sweep is None:
        return _plain_model(settings)
    control, treatment = arm_dims(settings, sweep)
    depth = min(settings.n_results, sweep.ids.shape[2])
    relevance, source = _relevance(sweep, (control, treatment), depth, judgements)
    raw = settings.background + (1 - settings.background) * relevance
    examined = np.arange(1, depth + 1, dtype=np.float64) ** -settings.position_exponent
    popularity = _popularity(len(sweep.query_ids), settings)
    nodes = inclination_nodes(settings.click_spread)

    def control_ctr(scale: float) -> float:
        return _mean_click(_any_click(np.minimum(1, scale * raw[0]), examined), popularity, nodes)

    answered = 1 - settings.control.error_rate
    scale = _solve(control_ctr, settings.control.ctr / answered if answered else 0.0)
    attraction = np.minimum(1, scale * raw)
    rates = np.stack([_any_click(attraction[arm], examined) for arm in range(2)])
    return _with_expected(
        ClickModel(
            rates=rates,
            popularity=popularity,
            expected_ctr=(0.0, 0.0),
            conversions_of_click=(_of_click(settings.control), _of_click(settings.control)),
            scale=scale,
            source=source,
            attraction=attraction,
            examined=examined,
        ),
        settings,
        nodes,
    )


def arm_dims(settings: TrafficSettings, sweep: SweepResult) -> tuple[int, int]:
    """Return the positions in ``sweep.dims`` of the dims of control and treatment.

    Raises
    ------
    ParameterError
        When the treatment has none, or one was not swept.
    """
    control = sweep.dims[-1] if settings.control_dim is None else settings.control_dim
    for dim in (control, settings.treatment_dim):
        if dim not in sweep.dims:
            raise ParameterError(
                "both arms need dims that were swept",
                found="none for the treatment" if dim is None else dim,
                hint=f"Choose of {', '.join(map(str, sweep.dims))}",
            )
    return sweep.dims.index(control), sweep.dims.index(settings.treatment_dim or 0)


def judgements_of(sweep: SweepResult, embedding_set: EmbeddingSet) -> Judgements | None:
    """Return the judgements of `embedding_set` with the row numbers of the queries that `sweep` kept; None without any.

    Raises
    ------
    ParameterError
        When the sweep was made of another set.
    """
    if embedding_set.sha256 != sweep.dataset.sha256:
        raise ParameterError(
            "judgements must come from the set that was swept",
            found=embedding_set.name,
            hint=f"Load {sweep.dataset.name} as it was then",
        )
    judgements = embedding_set.judgements
    if judgements is None:
        return None
    place = {query_id: row for row, query_id in enumerate(sweep.query_ids)}
    rows = np.array([place.get(embedding_set.query_id(row), -1) for row in range(embedding_set.n_queries)], np.int64)
    query_rows = rows[judgements.query_rows]
    kept = query_rows >= 0
    return replace(
        judgements,
        query_rows=query_rows[kept],
        doc_rows=judgements.doc_rows[kept],
        grades=judgements.grades[kept],
    )


def inclination_nodes(spread: float) -> Float64:
    """Return equally likely inclinations to click, gamma distributed with mean 1 and standard deviation `spread`.

    Each node is the mean of its quantile range, so that the mean over nodes is exactly 1.
    """
    from scipy.special import gammainc, gammaincinv  # here, so that importing the room loads no SciPy

    if spread == 0:
        return np.ones(1)
    shape = spread**-2
    edges = gammaincinv(shape, np.linspace(0, 1, _INCLINATIONS + 1))
    return _INCLINATIONS * np.diff(np.asarray(gammainc(shape + 1, edges), np.float64))


def _plain_model(settings: TrafficSettings) -> ClickModel:
    popularity, nodes = np.ones(1), inclination_nodes(settings.click_spread)
    rates = []
    for arm in (settings.control, settings.treatment):
        wanted = arm.ctr / (1 - arm.error_rate) if arm.error_rate < 1 else 0.0
        rates.append(_solve(lambda rate: _mean_click(np.array([rate]), popularity, nodes), wanted))
    model = ClickModel(
        rates=np.array(rates)[:, None],
        popularity=popularity,
        expected_ctr=(0.0, 0.0),
        conversions_of_click=(_of_click(settings.control), _of_click(settings.treatment)),
        scale=1.0,
        source="plain numbers",
    )
    return _with_expected(model, settings, nodes)


def _of_click(arm: ArmNumbers) -> float:
    return arm.conversion / arm.ctr if arm.ctr else 0.0


def _with_expected(model: ClickModel, settings: TrafficSettings, nodes: Float64) -> ClickModel:
    control, treatment = (
        (1 - arm.error_rate) * _mean_click(rates, model.popularity, nodes)
        for arm, rates in zip((settings.control, settings.treatment), model.rates, strict=True)
    )
    return replace(model, expected_ctr=(control, treatment))


def _relevance(
    sweep: SweepResult, dims: tuple[int, int], depth: int, judgements: Judgements | None
) -> tuple[Float64, RelevanceSource]:
    """Return the relevance, 0..1, of the first `depth` documents of both arms, (2, Q, depth)."""
    shown = [sweep.ids[dim][:, :depth] for dim in dims]
    if judgements is None:
        return np.stack([_by_full_rank(ids, sweep.ids[-1]) for ids in shown]), "full dimension"
    n_queries = len(sweep.query_ids)
    if len(judgements.query_rows) and not 0 <= judgements.query_rows.min() <= judgements.query_rows.max() < n_queries:
        raise ParameterError(
            f"judgements must be of the {n_queries:,} queries that were swept",
            found=f"row {judgements.query_rows.max():,}",
            hint="Find them with judgements_of(sweep, embedding_set)",
        )
    return np.stack([_by_grade(ids, judgements) for ids in shown]), "judgements"


def _by_full_rank(ids: npt.NDArray[np.int64], full: npt.NDArray[np.int64]) -> Float64:
    relevance = np.zeros(ids.shape)
    for rank in range(full.shape[1]):
        relevance[ids == full[:, rank, None]] = 1 / np.log2(rank + 2)
    return relevance


def _by_grade(ids: npt.NDArray[np.int64], judgements: Judgements) -> Float64:
    inside = judgements.doc_rows >= 0
    grades = np.maximum(judgements.grades[inside], 0).astype(np.float64)
    highest = grades.max(initial=0)
    if highest == 0:
        return np.zeros(ids.shape)
    stride = max(int(ids.max()), int(judgements.doc_rows.max())) + 1
    keys = judgements.query_rows[inside] * stride + judgements.doc_rows[inside]
    order = np.argsort(keys, kind="stable")  # of a document judged twice the later judgement counts
    keys, grades = keys[order], grades[order]
    wanted = np.arange(len(ids))[:, None] * stride + ids
    found = np.maximum(np.searchsorted(keys, wanted, side="right") - 1, 0)
    gains = np.expm1(np.log(2) * grades) / np.expm1(np.log(2) * highest)
    relevance: Float64 = np.where(keys[found] == wanted, gains[found], 0.0)
    return relevance


def _popularity(n_queries: int, settings: TrafficSettings) -> Float64:
    """Return the share of each query in the traffic, (Q,): which query has which rank is drawn with the seed."""
    ranks = np.random.default_rng([settings.seed, 1]).permutation(n_queries) + 1.0
    shares = ranks**-settings.query_exponent
    popularity: Float64 = shares / shares.sum()
    return popularity


def _any_click(attraction: Float64, examined: Float64) -> Float64:
    """Return the probability, (Q,), of at least one click on lists of `attraction` (Q, n_results)."""
    nothing: Float64 = 1 - np.prod(1 - attraction * examined, axis=-1)
    return nothing


def _mean_click(rates: Float64, popularity: Float64, nodes: Float64) -> float:
    """Return the mean over queries and people, whose probability of a click is at most 1."""
    at_once = max(1, _BLOCK_VALUES // len(rates))
    total = 0.0
    for start in range(0, len(nodes), at_once):
        clicks = np.minimum(1, np.multiply.outer(nodes[start : start + at_once], rates))
        total += float((clicks @ popularity).sum())
    return total / len(nodes)


def _solve(mean_of: Callable[[float], float], wanted: float) -> float:
    """Return the factor from which on `mean_of`, which never falls, reaches `wanted`; bisection on its logarithm."""
    if wanted <= 0:
        return 0.0
    reached = mean_of(_MOST_SCALE)
    if reached < wanted - 1e-9:
        raise ParameterError(
            "the control's lists must be able to earn the stated CTR",
            found=f"{100 * wanted:.3g} % stated, {100 * reached:.3g} % at most",
            hint="State a lower CTR, show more results, or let irrelevant documents be more attractive",
        )
    if wanted > 1 - 1e-9:  # also people less inclined than any of the nodes click then
        return _MOST_SCALE
    low, high = np.log(1e-12), np.log(_MOST_SCALE)
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (low, middle) if mean_of(float(np.exp(middle))) >= wanted - 1e-12 else (middle, high)
    return float(np.exp(high))
