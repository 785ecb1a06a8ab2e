"""The authors' own runs: what the report says of TR114's, and what it refuses to say."""

from pathlib import Path

import pytest

from tandembench.analysis.answer import served
from tandembench.analysis.attribution import attribution
from tandembench.analysis.choices import groups
from tandembench.analysis.settings import checks, settings
from tandembench.dataset.load import Dataset
from tandembench.metrics import IMBALANCE_PARTS
from tandembench.project import load_hypotheses
from tandembench.report.attribution import as_text
from tandembench.report.copied import proposal
from tandembench.report.questions import hypotheses_section


def test_time_outside_the_agents_is_under_a_thousandth_of_the_loss(tr114: Dataset) -> None:
    whole = attribution(tr114.runs, tr114.executions, 0.05)[0]
    parts = whole.estimate.parts
    assert (whole.n, whole.topology, whole.outside) == (150, "dual", "below")
    assert round(100 * parts["imbalance_loss"].mean.mean, 4) == 10.7318
    assert round(100 * parts["orchestration_loss"].mean.mean, 4) == 0.0056
    share = parts["orchestration_loss"].share
    assert share.mean < 0.001
    assert share.high < 0.001
    assert whole.estimate.largest == "imbalance_loss"
    assert max(IMBALANCE_PARTS, key=lambda one: parts[one].mean.mean) == "imbalance_token"
    assert (whole.true, whole.n_true) == (None, 0)


def test_every_scenario_tells_the_same(tr114: Dataset) -> None:
    found = attribution(tr114.runs, tr114.executions, 0.05)[1:]
    assert [(row.scenario, row.n) for row in found] == [
        ("baseline_vs_chimera", 35),
        ("chimera_hetero", 35),
        ("chimera_homo", 80),
    ]
    for row in found:
        assert row.estimate.parts["orchestration_loss"].share.high < 0.001
        assert row.predictions.finding == "lengths"


def test_the_estimator_has_measured_answer_lengths(tr114: Dataset) -> None:
    whole = attribution(tr114.runs, tr114.executions, 0.05)[0]
    every, warm = whole.with_cold, whole.predictions
    rows = every.rows
    assert every.n == 150
    assert [round(mean) for mean in every.tokens] == [398, 610]
    assert rows["share_one"].predicted == pytest.approx(0.867, abs=5e-4)
    assert rows["own_each"].predicted == pytest.approx(0.796, abs=5e-4)
    assert rows["own_each"].measured == pytest.approx(0.893, abs=5e-4)
    assert every.gain.mean == pytest.approx(0.74, abs=0.01)
    assert rows["own_each"].outcome == "differs"
    # without a load of the model in between, lengths tell nearly all of it
    assert (warm.n, warm.finding, warm.by) == (140, "lengths", "fitted")
    assert warm.gain.mean == pytest.approx(0.747, abs=1e-3)
    assert warm.rows["fitted"].correlation.low > 0.99
    assert abs(warm.rows["fitted"].difference.mean) < 0.001


def test_one_server_serves_in_turn(tr113: Dataset) -> None:
    """And the estimator of one server is near what turns give, far from any sharing."""
    whole = attribution(tr113.runs, tr113.executions, 0.05)[0]
    rows = whole.with_cold.rows
    assert rows["turns"].predicted == pytest.approx(0.726, abs=1e-3)
    assert rows["turns"].measured == pytest.approx(0.720, abs=1e-3)
    assert (rows["turns"].outcome, rows["share_one"].outcome) == ("mean_only", "differs")
    parts = whole.estimate.parts
    assert max(IMBALANCE_PARTS, key=lambda one: parts[one].mean.mean) == "imbalance_first_token"


def test_two_calls_an_agent_are_split_as_far_as_the_source_tells(tr110: Dataset) -> None:
    whole = attribution(tr110.runs, tr110.executions, 0.05)[0]
    parts = whole.estimate.parts
    assert parts["imbalance_token"] is None
    assert parts["imbalance_loss"].mean.mean + parts["orchestration_loss"].mean.mean == (
        pytest.approx(whole.estimate.loss.mean)
    )
    assert "| - | - |" in as_text(tr110, "markdown")


def test_no_option_is_known_to_have_been_applied_but_the_topology_is(
    tr114: Dataset, tr113: Dataset
) -> None:
    for dataset, asked, effective, n in (
        (tr114, "dual", "2 servers; agents decoded at once", 30),
        (tr113, "single", "1 server; agents never decoded at once", 19),
    ):
        found = checks(dataset.executions)
        (topology,) = (check for check in found if check.factor == "topology")
        assert (topology.asked, topology.effective, topology.applied) == (asked, effective, True)
        by_factor = {row.factor: row for row in settings(found).summary}
        for option in ("num_ctx", "num_gpu", "temperature"):
            row = by_factor[option]
            assert (row.applied, row.not_applied, row.not_reported) == (0, 0, n)


def test_no_best_config_is_named(tr114: Dataset) -> None:
    (*_, whole) = groups(tr114.runs, 0.05, served(tr114.executions), checks(tr114.executions))
    best = whole.best
    assert (whole.scenario, best.configs, best.rounds) == (None, 26, 5)
    assert best.compared.best is None
    assert best.p > 0.5
    for within in ("topology", "scenario"):
        text = proposal(tr114.runs, tr114.executions, "efficiency_estimate", within)
        remarks = [line for line in text.splitlines() if "# " in line]
        assert len(remarks) == {"topology": 1, "scenario": 3}[within]
        assert all("so this takes the first" in line for line in remarks)
        assert "work:" not in text


def test_questions_that_these_runs_cannot_answer_say_why(
    tr114: Dataset, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(repository)
    asked = load_hypotheses("config/hypotheses/tr114.yaml")
    rows = {row.id: row.result for row in hypotheses_section(tr114, asked).rows}
    reasons = {name: row.reason for name, row in rows.items() if row.reason}
    assert reasons == {
        "q1-gain": "no makespan_ratio of side a",
        "q1-estimator": "no valid run of side b",
        "q2-gain": "no efficiency_true of side a",
        "q3-gain": "no speedup_true of side a",
        "q3-estimator": "not reported by the servers: num_ctx",
        "q4-gain": "no antt of side a",
        "q5-gain": "no orchestration_true of side a",
    }
    verdicts = {name: row.verdict for name, row in rows.items() if not row.reason}
    assert verdicts == {
        "q1-printed": "inconclusive",  # "hypothesis confirmed", says the report
        "q2-estimator": "contradicted",
        "q4-estimator": "confirmed",
        "q5-estimator": "contradicted",  # tokio and reqwest
    }
    assert rows["q2-estimator"].cold == 10
    assert {row.declared for row in rows.values()} == {"after", "not known"}
