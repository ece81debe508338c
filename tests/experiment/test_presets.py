"""Each preset leads to the verdict that a statistician expects of it."""

from dataclasses import replace

import pytest

from engine.errors import ParameterError
from engine.experiment.analysis import analyze
from engine.experiment.presets import preset, presets
from engine.experiment.settings import AnalysisSettings
from engine.experiment.traffic import simulate


@pytest.mark.slow
@pytest.mark.parametrize("name", [preset.name for preset in presets()])
def test_presets_lead_to_the_verdict_expected(name):
    """Identical arms and 768 of 3072 are safe, and what breaks at day 5 is harmful, with the default margins."""
    chosen = preset(name)
    assert analyze(simulate(chosen.settings), AnalysisSettings()).verdict == chosen.expected


@pytest.mark.parametrize("name", [preset.name for preset in presets()])
def test_a_tenth_of_the_traffic_tells_harm_from_no_harm(name):
    """With a tenth of users and queries what breaks is still harmful, and the others are not."""
    chosen = preset(name)
    fewer = replace(chosen.settings, n_users=chosen.settings.n_users // 10, queries_per_day=50_000)
    verdict = analyze(simulate(fewer), AnalysisSettings()).verdict
    assert (verdict == "harmful") == (chosen.expected == "harmful")


def test_a_preset_that_does_not_exist_is_refused_with_the_names():
    """The message lists the presets there are."""
    with pytest.raises(ParameterError, match="identical arms, 768 of 3072, broken at day 5"):
        preset("perfect")
