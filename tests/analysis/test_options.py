"""What an option changes, and which config is best: what is compared, and what is said of it."""

import json
import math
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from raw_blocks import block, failed, rounds, scaled, unsteady, write_dataset
from report_tables import t_interval

from tandembench.analysis.answer import served
from tandembench.analysis.choices import groups, measured_again
from tandembench.analysis.options import Option, options
from tandembench.analysis.settings import checks
from tandembench.dataset.load import Dataset, load_dataset
from tandembench.report.formats import interval
from tandembench.report.render import harmless
from tandembench.report.write import rendered
from tandembench.tables.columns import EXECUTIONS, STUDY_RUNS, arrow_schema

Row = dict[str, Any]
Blocks = Sequence[Sequence[Row]]
STEADY = (1.0, 1.01, 0.99)


def config(name: str, *by_agent: Row, **changes: Any) -> list[Row]:
    """A dual config of two agents under ``by_agent`` options, which its servers applied."""
    rows = block(name, (1.0, 1.1), (1.25, 1.4), topology="dual", workload=name, content=name)
    for row in rows:
        asked = by_agent[row["agent_index"] % len(by_agent)]
        row["options_asked"] = json.dumps(asked)
        row["options_effective"] = json.dumps(asked | {"top_k": 40})
        row["num_ctx_effective"] = asked.get("num_ctx", 2048)
    return [row | changes for row in rows]


def hot(*values: float, **changes: Any) -> list[list[Row]]:
    return [config(f"t{value}", {"temperature": value}, **changes) for value in values]


def grid(*pairs: tuple[int, float]) -> list[list[Row]]:
    return [config(f"c{c}-t{t}", {"num_ctx": c, "temperature": t}) for c, t in pairs]


def measured(folder: Path, blocks: Blocks, **study: Any) -> Dataset:
    return load_dataset(write_dataset(folder, blocks, **study))


def of(data: Dataset) -> tuple[Option, ...]:
    sides = served(data.executions)
    return options(data.runs, data.executions, checks(data.executions), sides, 0.05)


def compared(folder: Path, blocks: Blocks) -> tuple[Option, ...]:
    return of(measured(folder, blocks))


def levels(option: Option) -> list[str]:
    return [level.level for level in option.levels]


def test_a_full_grid_is_compared_along_both_its_sides(tmp_path: Path) -> None:
    blocks = rounds(2, *grid(*product((512, 1024, 2048), (0.6, 1.0))))
    temperature, context = compared(tmp_path, blocks)
    assert (temperature.option, levels(temperature)) == ("temperature", ["0.6", "1"])
    assert temperature.configs == 6
    assert (context.option, levels(context)) == ("num_ctx", ["512", "1024", "2048"])
    assert [level.n for level in context.levels] == [4, 4, 4]
    assert [level.against.rounds for level in context.levels[1:]] == [4, 4]


def test_levels_stand_beside_the_same_other_options(tmp_path: Path) -> None:
    """2048 was run at one temperature: its slow config weighs on no other level."""
    blocks = grid((512, 0.6), (1024, 0.6), (512, 1.0), (1024, 1.0), (2048, 1.0))
    found = [one for one in compared(tmp_path, rounds(2, *blocks)) if one.option == "num_ctx"]
    assert sorted(map(levels, found)) == [["512", "1024"], ["512", "1024", "2048"]]
    assert all(len({level.n for level in one.levels}) == 1 for one in found)


HETERO = [({"num_ctx": a}, {"num_ctx": b}) for a, b in ((1024, 2048), (512, 1024), (512, 512))]


@pytest.mark.parametrize(
    ("configs", "wanted"),
    [
        ([({}, {"num_ctx": c}) for c in (1024, 512)], ["default / 512", "default / 1024"]),
        (HETERO, ["512", "512 / 1024", "1024 / 2048"]),
        ([({"stop": "a"},), ({"stop": True},), ({},)], ["default", "True", "a"]),
        ([({},), ({},)], None),
    ],
)
def test_levels_of_agents_under_different_options(
    tmp_path: Path, configs: list[tuple[Row, ...]], wanted: list[str] | None
) -> None:
    blocks = [config(f"c{number}", *asked) for number, asked in enumerate(configs)]
    found = compared(tmp_path, rounds(1, *blocks))
    assert [*map(levels, found)] == ([wanted] if wanted else [])


OURS, THEIRS = ({"engine": engine} for engine in ("embedded", "ollama"))


@pytest.mark.parametrize(
    ("low", "high", "found"),
    [
        ({}, {}, 1),
        ({}, {"scenario": "chimera_hetero"}, 0),
        ({}, {"topology": "single"}, 0),
        ({}, {"work_policy": "natural"}, 0),
        ({}, {"threads": 2}, 0),
        ({}, {"max_tokens": 9}, 0),
        ({}, {"engine": "another"}, 0),
        ({}, {"options_asked": json.dumps({"temperature": 1.0, "top_p": 0.9})}, 0),
        # the port of a server of our own says nothing, that of another names the server
        (OURS | {"endpoint": "http://a:1"}, OURS | {"endpoint": "http://a:2"}, 1),
        (THEIRS | {"endpoint": "http://a:1"}, THEIRS | {"endpoint": "http://a:2"}, 0),
    ],
)
def test_only_configs_that_are_alike_in_all_else_are_compared(
    tmp_path: Path, low: Row, high: Row, found: int
) -> None:
    blocks = rounds(1, *hot(0.6, **low), *hot(1.0, **high))
    assert len(compared(tmp_path, blocks)) == found


def test_of_replicates_the_one_with_most_valid_runs_counts(tmp_path: Path) -> None:
    low, high = hot(0.6, 1.0)
    again = config("again", {"temperature": 1.0})
    lost = failed([row | {"repetition": 3} for row in again], "insight", "concurrent", "oom")
    blocks = [*rounds(3, low, scaled(high, 1.2)), *rounds(2, scaled(again, 3.0)), lost]
    (found,) = compared(tmp_path, blocks)
    assert [level.n for level in found.levels] == [3, 3]
    assert found.levels[1].beside["wall_s"].value == pytest.approx(1.2)


@pytest.mark.parametrize(
    ("factors", "verdict", "outcome"),
    [
        ((1.5, 1.51, 1.49), "worse", "differs"),
        ((0.7, 0.71, 0.7), "better", "differs"),
        (STEADY, "equivalent", "equivalent"),
        ((0.5, 1.0, 1.9), "inconclusive", "inconclusive"),
        ((1.5,), "inconclusive", "unknown"),
    ],
)
def test_the_verdict_follows_the_ratio(
    tmp_path: Path, factors: Sequence[float], verdict: str, outcome: str
) -> None:
    low, high = hot(0.6, 1.0)
    (found,) = compared(tmp_path, [*rounds(3, low), *unsteady(high, *factors)])
    assert (found.levels[1].against.verdict, found.outcome) == (verdict, outcome)


def test_all_levels_of_all_options_are_one_family(tmp_path: Path) -> None:
    """By itself one level in ten differs; among ten it does not."""

    def blocks(values: Sequence[float]) -> list[list[Row]]:
        found = rounds(3, *hot(0.0))
        for value in values:
            factors = (1.20, 1.10, 1.15) if value == 1.0 else (0.8, 1.0, 1.3)
            found += unsteady(hot(value)[0], *factors)
        return found

    (alone,) = compared(tmp_path / "alone", blocks([1.0]))
    (many,) = compared(tmp_path / "many", blocks([0.1 * n for n in range(1, 11)]))
    first, last = alone.levels[1], many.levels[-1]
    assert (alone.outcome, last.level, many.outcome) == ("differs", "1", "inconclusive")
    assert last.against.p == pytest.approx(first.against.p)
    assert last.adjusted_p == pytest.approx(10 * first.adjusted_p)


def test_what_was_not_applied_has_no_effect(tmp_path: Path) -> None:
    blocks = [config(f"g{n}", {"num_gpu": n}) for n in (60, 80, 120)]
    raised = [row | {"options_effective": json.dumps({"num_gpu": 80})} for row in blocks[0]]
    (found,) = compared(tmp_path, rounds(2, raised, *blocks[1:]))
    assert found.outcome == "not_applied"
    assert [(check.asked, check.effective) for check in found.not_applied] == [("60", "80")]
    assert not any(level.against or level.beside for level in found.levels)
    assert [level.n for level in found.levels] == [2, 2, 2]


@pytest.mark.parametrize("work", ["fixed", "natural"])
def test_wall_times_are_compared_at_fixed_work_alone(tmp_path: Path, work: str) -> None:
    (found,) = compared(tmp_path, rounds(2, *hot(0.6, 1.0, work_effective=work)))
    assert ("wall_s" in found.levels[1].beside) == found.fixed == (work == "fixed")


def test_one_agent_has_no_gain_and_is_compared_by_its_rate(tmp_path: Path) -> None:
    asked = [json.dumps({"temperature": value}) for value in (0.6, 1.0)]
    blocks = [
        block(f"single-{n}", (1.0,), workload=str(n), options_asked=text, options_effective=text)
        for n, text in enumerate(asked)
    ]
    (found,) = compared(tmp_path, rounds(2, *blocks))
    assert (found.metric, found.outcome) == ("aggregate_tokens_per_s", "equivalent")
    assert found.levels[1].beside["wall_s"].value == pytest.approx(1.0)


def test_the_numbers_of_levels_are_those_of_the_tables(tmp_path: Path) -> None:
    speeds = iter(np.random.default_rng(3).normal(1.0, 0.01, 12).tolist())
    blocks = [
        [row | {"repetition": n} for row in scaled(rows, next(speeds))]
        for rows in grid(*product((512, 1024), (0.6, 1.0)))
        for n in (1, 2, 3)
    ]
    data = measured(tmp_path, blocks)
    shared = data.executions[data.executions["mode"] == "concurrent"]
    first = shared.groupby(["config_id", "repetition"])["ttft_s"].mean().reset_index()
    runs = data.runs.merge(first, on=["config_id", "repetition"])
    for one in of(data):
        marks = ("-t0.6", "-t1.0") if one.option == "temperature" else ("c512-", "c1024-")
        low, high = (runs[runs["config_id"].str.contains(mark)] for mark in marks)
        for level, own in zip(one.levels, (low, high), strict=True):
            assert level.means == pytest.approx({name: own[name].mean() for name in level.means})
            assert interval(level.speedup_true) == t_interval(np.log(own["speedup_true"]))
        logs = np.log(high["wall_s"].to_numpy() / low["wall_s"].to_numpy())
        wall = one.levels[1].beside["wall_s"].value
        assert math.log(wall) == pytest.approx(np.mean(logs), abs=0.005)


def test_no_block_is_no_comparison() -> None:
    runs, executions = (
        arrow_schema(columns, "").empty_table().to_pandas().astype({"valid": bool, "twin": bool})
        for columns in (STUDY_RUNS, EXECUTIONS)
    )
    assert options(runs, executions, [], {}, 0.05) == groups(runs, 0.05, {}, []) == ()


def test_options_of_foreign_names_and_values_forge_nothing(tmp_path: Path) -> None:
    name, value = "a\n# b `c` | <d>", "x\n## y | *z* `w`"
    blocks = rounds(2, config("a", {name: value}), config("b", {name: value + "2"}))
    (_, text, _), _ = rendered(measured(tmp_path, blocks), ())
    section = text.split("### Other options")[1].split("\n## ")[0]
    assert all(harmless(foreign) in section for foreign in (name, value))
    assert "\n#" not in section


def differing(folder: Path, **factors: Sequence[float]) -> list[Any]:
    """What is said of configs of one scenario each, as their names begin: "homo_a"."""
    blocks = [
        rows
        for name, own in factors.items()
        for rows in unsteady(config(name, {}, scenario=f"chimera_{name.split('_')[0]}"), *own)
    ]
    data = measured(folder, blocks)
    sides, settings = served(data.executions), checks(data.executions)
    return [(one.scenario, one.best) for one in groups(data.runs, 0.05, sides, settings)]


def test_the_best_config_is_named_only_where_one_differs(tmp_path: Path) -> None:
    equal = {"homo_a": STEADY, "homo_b": (1.0, 1.0, 1.01)}
    ((scenario, best),) = differing(tmp_path / "a", **equal, homo_c=(1.3, 1.31, 1.3))
    assert (scenario, best.metric, best.configs) == ("chimera_homo", "speedup_true", 3)
    assert (best.rounds, best.compared.outcome) == (3, "among")
    assert {best.config_id, *best.compared.rivals} == {*equal}
    ((_, best),) = differing(tmp_path / "b", **equal)
    assert (best.compared.best, best.compared.outcome) == (None, "equivalent")


def test_scenarios_are_compared_alone_and_together_in_one_family(tmp_path: Path) -> None:
    homo = {"homo_a": STEADY, "homo_b": (0.91, 0.9, 0.89)}
    found = differing(tmp_path, **homo, hetero_a=STEADY, hetero_b=(0.5, 1.0, 1.9))
    assert [scenario for scenario, _ in found] == ["chimera_hetero", "chimera_homo", None]
    assert found[1][1].p == pytest.approx(3 * found[1][1].compared.adjusted_p)


def again(folder: Path, margin: float, **later: Sequence[float]) -> list[Any]:
    """Configs measured steadily in one phase, and once more in the next."""
    blocks = []
    for name, factors in later.items():
        blocks += unsteady(config(name, {}, content=name), *STEADY)
        blocks += unsteady(config(f"{name}-later", {}, content=name), *factors)
    phases = {"core": [*later], "validation": [f"{name}-later" for name in later]}
    data = measured(folder, blocks, phases=phases)
    listed = data.descriptor["study"]["phases"]
    return [*measured_again(data.runs, listed, margin, served(data.executions))]


@pytest.mark.parametrize(
    ("later", "verdict"),
    [
        (STEADY, "equivalent"),
        ((1.5, 1.49, 1.51), "worse"),
        ((0.5, 1.0, 1.9), "inconclusive"),
        ((1.0,), "inconclusive"),
    ],
)
def test_a_config_measured_in_two_phases(
    tmp_path: Path, later: Sequence[float], verdict: str
) -> None:
    (one,) = again(tmp_path, 0.05, a=later)
    phases = (one.first, one.first_phase, one.later, one.later_phase)
    assert phases == ("a", "core", "a-later", "validation")
    assert (one.metric, one.against.verdict) == ("speedup_true", verdict)


def test_configs_measured_again_are_one_family(tmp_path: Path) -> None:
    """Each pair differs at p = 0.025 by itself; among three none does."""
    changed = (1.1, 1.09, 1.13)
    (alone,) = again(tmp_path / "a", 0.01, a=changed)
    assert alone.against.verdict == "worse"
    every = again(tmp_path / "b", 0.01, a=changed, b=changed, c=changed)
    assert [one.against.verdict for one in every] == ["inconclusive"] * 3
    assert every[0].against.p == pytest.approx(alone.against.p)
