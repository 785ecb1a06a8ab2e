"""Runs that were not measured side by side: settings by tokens/s and walls, turns, loads."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from authors_runs import in_turn, reloading, rewritten

from tandembench.analysis.apart import EQUAL, Apart, apart
from tandembench.analysis.attribution import attribution
from tandembench.analysis.controls import controls
from tandembench.analysis.turns import load_times, loads, turns
from tandembench.dataset.baseline import import_runs
from tandembench.dataset.load import Dataset, load_dataset

MARGIN = 0.05
PLACE = "{path}/{config}/{run}"


def of(dataset: Dataset) -> Apart:
    result = apart(dataset.runs, dataset.executions, MARGIN)
    assert result is not None
    return result


def made(folder: Path, layout: str = "chimeraforge-rust", mapping: Path | None = None) -> Dataset:
    source = folder / "in" if mapping is None else mapping.with_suffix(".csv")
    ((baseline, _),) = import_runs(layout, source, "made", None, folder / "b", mapping)
    return load_dataset(baseline.folder)


@pytest.fixture(scope="module")
def one_server(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("one")
    rewritten(folder / "in", PLACE, reloading())
    return made(folder)


def test_equal_options_on_one_server_are_the_fastest(one_server: Dataset) -> None:
    result = of(one_server)
    (alike,) = result.factors
    assert (alike.kind, alike.best, alike.differs) == ("alike", EQUAL, True)
    equal, unlike = alike.group(EQUAL), alike.group("num_gpu, num_ctx")
    assert equal.loads is not None
    assert unlike.loads is not None
    # the model is loaded in each run of the others, and takes what it was made to take
    assert unlike.loads.runs == unlike.runs == 65
    assert equal.loads.runs < 10
    assert unlike.loads.each_s == pytest.approx(5.0, abs=0.1)
    assert unlike.loads.share > 0.3
    (pair,) = [one for one in alike.pairs if one.other == unlike.level]
    assert pair.verdict == pair.wall_verdict == "better"
    assert pair.wall_s.mean == pytest.approx(equal.wall_s.mean - unlike.wall_s.mean)
    assert result.whole.turns == {"server": 30}
    assert not [one for one in controls(one_server.runs, (), MARGIN) if one.result == "failed"]


def test_the_same_options_make_no_difference_on_two_servers(tr114: Dataset) -> None:
    result = of(tr114)
    assert round(result.whole.wall_s.mean, 2) == 12.51
    assert result.whole.turns == {"at_once": 30}
    assert not any(one.differs for one in result.factors)


def test_reports_read_right(tr113: Dataset, tr110: Dataset) -> None:
    (alike,) = of(tr113).factors
    assert (alike.best, alike.differs) == (EQUAL, True)
    assert of(tr113).whole.turns == {"server": 19}
    # TR110's same config twice: an hour later it is nearly twice as fast, whatever its options
    (failed,) = [one for one in controls(tr110.runs, (), MARGIN) if one.result == "failed"]
    assert failed.versus.ratio is not None
    assert failed.versus.ratio.value > 1.8


def test_a_runtime_that_took_turns_is_told_from_the_others(tmp_path: Path) -> None:
    changes: dict[str, Callable[[object, int], None]] = {"tokio": lambda *_: None}
    for name, change in (changes | {"async-std": in_turn}).items():
        place = f"runtime-{name}/{{scenario}}_{{config}}/{{run}}/run_1"
        rewritten(tmp_path / "in", place, change, 90)
    dataset = made(tmp_path)
    factor = of(dataset).factors[0]
    assert (factor.kind, factor.best) == ("runner", "tokio")
    ways = {one.level: dict(one.turns) for one in factor.groups}
    assert ways == {"tokio": {"at_once": 18}, "async-std": {"client": 18}}
    (whole, *_) = attribution(dataset.runs, dataset.executions, MARGIN)
    assert whole.in_turn


MAPPING = """rows: run
separator: ","
decimal: "."
run:
  config: {column: config}
  repetition: {column: rep}
  scenario: chimera_homo
  topology: dual
  engine: ollama
  wall: {column: wall, unit: s}
  started_at: "2026-03-01T10:00:00Z"
every_agent: {model: m}
agents:
  a: {duration: {column: a, unit: s}, tokens: {column: a_tokens}}
  b: {duration: {column: b, unit: s}, tokens: {column: b_tokens}}
"""


@pytest.mark.parametrize(
    ("walls", "differs"), [({"f16": 8.3, "q8": 18.3}, True), ({"f16": 8.3, "q8": 8.31}, False)]
)
def test_configs_that_a_file_names_are_compared(
    tmp_path: Path, walls: dict[str, float], differs: bool
) -> None:
    rows = [
        f"kv-{name},{n},{wall + 0.1 * n},{wall},400,{wall},600"
        for name, wall in walls.items()
        for n in (1, 2, 3)
    ]
    mapping = tmp_path / "runs.yaml"
    mapping.write_text(MAPPING, encoding="utf-8")
    text = "config,rep,wall,a,a_tokens,b,b_tokens\n" + "\n".join(rows)
    mapping.with_suffix(".csv").write_text(text, encoding="utf-8")
    dataset = made(tmp_path, "csv", mapping)
    (factor,) = of(dataset).factors
    assert (factor.kind, factor.best, factor.differs) == ("config", "kv-f16", differs)
    assert controls(dataset.runs, (), MARGIN) == ()
    ratio = factor.pairs[0].ratio
    assert ratio.mean == pytest.approx((walls["q8"] + 0.2) / (walls["f16"] + 0.2), rel=0.001)


def shared(*agents: tuple[float, float, float, float]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A run of agents (begin, load, first token, end), in s since its start."""
    keys = {"session": "s1", "comparison": "c", "repetition": 1, "round": 1}
    keys |= {"config_id": "c", "twin": False, "attempt": 1}
    rows = [
        {
            "cold": load > 0.5,
            "load_s": load,
            "ttft_s": first - begin,
            "first_token_start_s": first,
            "duration_s": end - begin,
        }
        for begin, load, first, end in agents
    ]
    return pd.DataFrame([keys]), pd.DataFrame([keys | row for row in rows])


@pytest.mark.parametrize(
    ("agents", "expected_s"),
    [
        # one after the other on one server: the second's figure holds the wait for the first
        ([(0, 5, 5, 9), (0, 14, 14, 20)], (5, 5)),
        # both wait for the same load, or for one each at the same time
        ([(0, 5, 5, 9), (0, 5, 9, 14)], (5,)),
        ([(0, 5, 5, 9), (0, 7, 7, 9)], (5,)),
        # a lock: the second begins late
        ([(0, 0.2, 0.3, 4), (4, 3, 7, 9)], (3,)),
        ([(0, 0.2, 0.3, 4), (0, 0.2, 0.3, 5)], ()),
    ],
)
def test_a_load_lasts_while_nobody_is_served(
    agents: list[tuple[float, float, float, float]], expected_s: tuple[float, ...]
) -> None:
    times = load_times(*shared(*agents))
    assert times is not None
    assert times[0] == pytest.approx(expected_s)
    wall_s = max(agent[3] for agent in agents)
    result = loads(times, [wall_s])
    assert (result.loads, result.share) == (
        len(expected_s),
        pytest.approx(sum(expected_s) / wall_s),
    )


@pytest.mark.parametrize(
    ("together", "estimate", "outside", "way"),
    [
        ((9.0, 1.0), 1.8, 0.0, "at_once"),
        ((0.0, 10.0), 1.5, 0.0, "server"),
        ((0.0, 10.0), 1.0, 0.4, "client"),
        ((None, None), 1.0, 0.4, "client"),
        ((None, None), 1.9, 0.0, None),
        # one agent hardly does anything: durations add up, and nobody waited
        ((None, None), 1.0, 0.0, None),
    ],
)
def test_turns(
    together: tuple[float | None, float | None], estimate: float, outside: float, way: str | None
) -> None:
    overlap_s, alone_s = together
    runs = pd.DataFrame(
        {"config_id": ["c"], "speedup_estimate": estimate, "orchestration_loss": outside}
    )
    of_agents = {"config_id": "c", "overlap_s": overlap_s, "alone_s": alone_s, "duration_s": 11.0}
    assert turns(runs, pd.DataFrame([of_agents, of_agents])) == {"c": way}
