"""Chart of the score scale: how scores are spread at every dimension, and what a cut-off becomes there."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, Literal

from engine.charts import parts

if TYPE_CHECKING:
    from collections.abc import Sequence

    import plotly.graph_objects as go

    from engine.charts.theme import Palette
    from engine.tradeoff.queries.distribution import Distribution
    from engine.tradeoff.queries.score_scale import CutoffTranslation, ScoreScale

Depth = Literal["top1", "topk"]
"""Which scores are drawn: those of the best document of every query, or of its whole top k."""

_SPREADS = ((5, 95, 0.8), (25, 75, 2.0))


def score_chart(scale: ScoreScale, translation: CutoffTranslation, *, depth: Depth, colours: Palette) -> go.Figure:
    """Draw the scores' median and middle 50 % and 90 % at every dim, with the cut-off as it was and as translated."""
    figure = parts.new_figure(colours, height=440, labels=scale.dataset.labels, legend_px=150)
    spread = distributions(scale, depth)
    for low, high, opacity in _SPREADS:
        parts.add_band(
            figure,
            scale.dims,
            [one.percentiles[low] for one in spread],
            [one.percentiles[high] for one in spread],
            colour=colours.accent,
            colours=colours,
            name=f"p{low} to p{high}",
            legend=f"middle {high - low} % of scores",
            opacity=opacity,
        )
    figure.add_scatter(
        x=list(scale.dims),
        y=[one.percentiles[50] for one in spread],
        mode="lines+markers",
        name="median score",
        line={"color": colours.accent, "width": 2.5},
        marker={"size": 8, "color": colours.accent},
        hovertext=[_hover(dim, one) for dim, one in zip(scale.dims, spread, strict=True)],
        hoverinfo="text",
    )
    _add_cutoffs(figure, translation, colours=colours)
    parts.dims_axis(figure, scale.dims)
    drawn = [one.percentiles[percent] for one in spread for percent in (5, 95)]
    drawn += [bound for at in translation.dims for bound in (at.low, at.high)] + [translation.cutoff]
    known = [value for value in drawn if isfinite(value)] or [0.0, 1.0]
    room = 0.06 * (max(known) - min(known) or 1.0)
    unit = "negated squared distance" if scale.metric == "l2" else scale.metric
    figure.update_yaxes(range=[min(known) - room, max(known) + room], title_text=f"Score ({unit})")
    return figure


def describe_scores(scale: ScoreScale, translation: CutoffTranslation, *, depth: Depth) -> str:
    """Say in words what the score chart shows."""
    medians = ", ".join(
        f"{dim} {parts.written(one.percentiles[50])}"
        for dim, one in zip(scale.dims, distributions(scale, depth), strict=True)
    )
    cutoffs = ", ".join(
        f"{at.dim} {parts.written(at.cutoff)} ({parts.written(at.low)} to {parts.written(at.high)})"
        for at in translation.dims
    )
    name = "top 1" if depth == "top1" else f"top {scale.k}"
    return (
        f"Scores of the {name} by dimension. Medians: {medians}. A cut-off of {translation.cutoff:g} at the full "
        f"dimension becomes: {cutoffs}."
    )


def distributions(scale: ScoreScale, depth: Depth) -> Sequence[Distribution]:
    """Return the distributions that are drawn, one a dim."""
    return scale.top1 if depth == "top1" else scale.topk


def _add_cutoffs(figure: go.Figure, translation: CutoffTranslation, *, colours: Palette) -> None:
    dims = [at.dim for at in translation.dims]
    cutoffs = [at.cutoff for at in translation.dims]
    figure.add_scatter(
        x=dims,
        y=cutoffs,
        mode="lines+markers",
        name="cut-off, translated",
        line={"color": colours.safe, "width": 2, "dash": "dash"},
        marker={"symbol": "square", "size": 9, "color": colours.safe},
        error_y=parts.error_bars(
            cutoffs,
            [at.low for at in translation.dims],
            [at.high for at in translation.dims],
            colour=colours.safe,
            thickness=2,
        ),
        hovertext=[
            f"<b>{at.dim:,} dimensions</b><br>cut-off {parts.written(at.cutoff)} ({parts.written(at.low)} to "
            f"{parts.written(at.high)})<br>flipped {100 * at.flipped.mean:.1f} %, kept as it was "
            f"{100 * at.kept_flipped.mean:.1f} %"
            for at in translation.dims
        ],
        hoverinfo="text",
    )
    cutoff = translation.cutoff
    parts.reference_line(figure, cutoff, f"cut-off {cutoff:g}", name="production cut-off", colours=colours, dash="dot")


def _hover(dim: int, one: Distribution) -> str:
    spread = ", ".join(f"p{percent} {parts.written(value)}" for percent, value in one.percentiles.items())
    return f"<b>{dim:,} dimensions</b><br>median {parts.written(one.percentiles[50])}<br>{spread}<br>{one.n:,} scores"
