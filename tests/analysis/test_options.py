"""What an option changes, and which config is best: what is compared, and what is said of it."""

import json
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from raw_blocks import block, failed, rounds, scaled, unsteady, write_dataset
from report_tables import t_interval

from tandembench.analysis.answer import served
from tandembench.analysis.choices import Again, Group, groups, measured_again
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


def measured(folder: Path, blocks: Blocks, **study: Any) -> Dataset:
    return load_dataset(write_dataset(folder, blocks, **study))


def compared(folder: Path, blocks: Blocks) -> tuple[Option, ...]:
    data = measured(folder, blocks)
    return options(data.runs, data.executions, checks(data.executions), 0.05)


def levels(option: Option) -> list[str]:
    return [level.level for level in option.levels]


def test_a_full_grid_is_compared_along_both_its_sides(tmp_path: Path) -> None:
    grid = [
        config(f"c{c}-t{t}", {"num_ctx": c, "temperature": t})
        for c, t in product((512, 1024, 2048), (0.6, 1.0))
    ]
    temperature, context = compared(tmp_path, rounds(2, *grid))
    assert (temperature.option, levels(temperature)) == ("temperature", ["0.6", "1"])
    assert (temperature.configs, temperature.cells) == (6, 3)
    assert (context.option, levels(context)) == ("num_ctx", ["512", "1024", "2048"])
    assert [level.n for level in context.levels] == [4, 4, 4]
    pairs = [level.against.rounds for level in context.levels if level.against]
    assert pairs == [4, 4]


def test_levels_stand_beside_the_same_other_options(tmp_path: Path) -> None:
    """2048 was run at one temperature: its slow config weighs on no other level."""
    blocks = [
        config(f"c{c}-t{t}", {"num_ctx": c, "temperature": t})
        for c, t in ((512, 0.6), (1024, 0.6), (512, 1.0), (1024, 1.0), (2048, 1.0))
    ]
    found = [one for one in compared(tmp_path, rounds(2, *blocks)) if one.option == "num_ctx"]
    assert sorted(map(levels, found)) == [["512", "1024"], ["512", "1024", "2048"]]
    assert all(len({level.n for level in one.levels}) == 1 for one in found)


HETERO = [({"num_ctx": a}, {"num_ctx": b}) for a, b in ((1024, 2048), (512, 1024), (512, 512))]


@pytest.mark.parametrize(
    ("configs", "option", "wanted"),
    [
        ([({}, {"num_ctx": c}) for c in (1024, 512)], "num_ctx", "default / 512, default / 1024"),
        (HETERO, "num_ctx", "512, 512 / 1024, 1024 / 2048"),
        ([({"stop": "a"},), ({"stop": True},), ({},)], "stop", "default, True, a"),
        ([({},), ({},)], None, ""),
    ],
)
def test_levels_of_agents_under_different_options(
    tmp_path: Path, configs: list[tuple[Row, ...]], option: str | None, wanted: str
) -> None:
    blocks = [config(f"c{number}", *asked) for number, asked in enumerate(configs)]
    found = compared(tmp_path, rounds(1, *blocks))
    assert [(one.option, ", ".join(levels(one))) for one in found] == (
        [(option, wanted)] if option else []
    )


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"scenario": "chimera_hetero"},
        {"topology": "single"},
        {"work_policy": "natural"},
        {"threads": 2},
        {"max_tokens": 9},
        {"engine": "another"},
        {"options_asked": json.dumps({"temperature": 1.0, "top_p": 0.9})},
    ],
)
def test_only_configs_that_are_alike_in_all_else_are_compared(tmp_path: Path, changes: Row) -> None:
    (low,), (high,) = hot(0.6), hot(1.0, **changes)
    assert len(compared(tmp_path, rounds(1, low, high))) == (0 if changes else 1)


def test_other_models_are_levels_and_other_servers_are_not(tmp_path: Path) -> None:
    small, large = config("a", {}), config("b", {}, model="large-model")
    (found,) = compared(tmp_path / "model", rounds(1, small, large))
    assert (found.option, levels(found)) == ("model", ["large-model", "small-model"])
    for engine, n in (("embedded", 1), ("ollama", 0)):
        ports = [
            hot(value, engine=engine, endpoint=f"http://127.0.0.1:{9000 + port}")[0]
            for port, value in enumerate((0.6, 1.0))
        ]
        assert len(compared(tmp_path / engine, rounds(1, *ports))) == n


def test_of_replicates_the_one_with_most_valid_runs_counts(tmp_path: Path) -> None:
    low, high = hot(0.6, 1.0)
    again = config("again", {"temperature": 1.0})
    lost = failed([row | {"repetition": 3} for row in again], "insight", "concurrent", "oom")
    blocks = [*rounds(3, low, scaled(high, 1.2)), *rounds(2, scaled(again, 3.0)), lost]
    (found,) = compared(tmp_path, blocks)
    assert [level.n for level in found.levels] == [3, 3]
    wall = found.levels[1].beside["wall_s"]
    assert wall
    assert wall.value == pytest.approx(1.2)


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
    assert found.levels[1].against
    assert (found.levels[1].against.verdict, found.outcome) == (verdict, outcome)


def test_a_machine_that_slows_down_for_both_levels_leaves_the_ratio_alone(tmp_path: Path) -> None:
    low, high = hot(0.6, 1.0)
    blocks = []
    for session, repetition, speed in (("s1", 1, 1.0), ("s1", 2, 2.0), ("s2", 1, 4.0)):
        key = {"session": session, "repetition": repetition}
        for rows, factor in ((low, 1.0), (high, 1.25)):
            blocks.append([row | key for row in scaled(rows, speed * factor)])
    (found,) = compared(tmp_path / "a", blocks)
    wall = found.levels[1].beside["wall_s"]
    assert wall
    assert (wall.value, wall.low, wall.high) == (pytest.approx(1.25), *[pytest.approx(1.25)] * 2)
    late = [[row | {"invocation": "inv2"} for row in rows] for rows in rounds(3, high)]
    (apart,) = compared(tmp_path / "b", [*rounds(3, low), *late])
    assert apart.levels[1].against
    assert (apart.levels[1].against.ratio, apart.outcome) == (None, "unknown")


def test_all_levels_of_all_options_are_one_family(tmp_path: Path) -> None:
    """By itself one level in ten differs; among ten it does not."""

    def blocks(values: Sequence[float]) -> list[list[Row]]:
        found = rounds(3, *hot(0.0))
        for value in values:
            factors = (1.20, 1.10, 1.15) if value == 1.0 else (0.8, 1.0, 1.3)
            found += unsteady(hot(value)[0], *factors)
        return found

    (alone,) = compared(tmp_path / "alone", blocks([1.0]))
    assert alone.outcome == "differs"
    (many,) = compared(tmp_path / "many", blocks([0.1 * n for n in range(1, 11)]))
    last, first = many.levels[-1], alone.levels[1]
    assert (last.level, many.outcome) == ("1", "inconclusive")
    assert last.against
    assert first.against
    assert last.against.p == pytest.approx(first.against.p)
    assert last.adjusted_p == pytest.approx(10 * (first.against.p or 0))


def test_what_was_not_applied_has_no_effect(tmp_path: Path) -> None:
    blocks = [config(f"g{n}", {"num_gpu": n}) for n in (60, 80, 120)]
    raised = [row | {"options_effective": json.dumps({"num_gpu": 80})} for row in blocks[0]]
    (found,) = compared(tmp_path, rounds(2, raised, *blocks[1:]))
    assert found.outcome == "not_applied"
    assert [(check.asked, check.effective) for check in found.not_applied] == [("60", "80")]
    assert not any(level.against or level.beside for level in found.levels)
    assert [level.n for level in found.levels] == [2, 2, 2]


def test_wall_times_are_compared_at_fixed_work_alone(tmp_path: Path) -> None:
    for work in ("fixed", "natural"):
        (found,) = compared(tmp_path / work, rounds(2, *hot(0.6, 1.0, work_effective=work)))
        assert ("wall_s" in found.levels[1].beside) == found.fixed == (work == "fixed")


def test_one_agent_has_no_gain_that_could_differ(tmp_path: Path) -> None:
    asked = [json.dumps({"temperature": value}) for value in (0.6, 1.0)]
    blocks = [
        block(f"single-{n}", (1.0,), workload=str(n), options_asked=text, options_effective=text)
        for n, text in enumerate(asked)
    ]
    (found,) = compared(tmp_path, rounds(2, *blocks))
    assert found.outcome == "unknown"
    wall = found.levels[1].beside["wall_s"]
    assert wall
    assert wall.value == pytest.approx(1.0)


def test_the_numbers_of_levels_are_those_of_the_tables(tmp_path: Path) -> None:
    speeds = iter((1.0, 1.1, 0.9, 1.05, 1.2, 1.0, 0.95, 1.15, 1.3, 1.02, 1.08, 0.97))
    blocks = [
        [
            row | {"repetition": n}
            for row in scaled(config(f"c{c}-t{t}", {"num_ctx": c, "temperature": t}), next(speeds))
        ]
        for c, t, n in product((512, 1024), (0.6, 1.0), (1, 2, 3))
    ]
    data = measured(tmp_path, blocks)
    shared = data.executions[data.executions["mode"] == "concurrent"]
    first = shared.groupby(["config_id", "repetition"])["ttft_s"].mean().rename("first")
    runs = data.runs.merge(first.reset_index(), on=["config_id", "repetition"])
    for one in compared(tmp_path / "b", blocks):
        for level in one.levels:
            mark = f"t{float(level.level)}" if one.option == "temperature" else f"c{level.level}-"
            own = runs[runs["config_id"].str.contains(mark)]
            names = {name: name for name in level.means} | {"ttft_s": "first"}
            wanted = {name: own[column].mean() for name, column in names.items()}
            assert level.means == pytest.approx(wanted)
            assert interval(level.speedup_true) == t_interval(np.log(own["speedup_true"]))
        low, high = ("t0.6", "t1.0") if one.option == "temperature" else ("c512", "c1024")
        of = runs.set_index(["config_id", "repetition"])["wall_s"]
        ratios = [
            value / of[name.replace(high, low), n]
            for (name, n), value in of.items()
            if high in name
        ]
        wall = one.levels[1].beside["wall_s"]
        assert wall
        assert wall.value == pytest.approx(np.exp(np.median(np.log(ratios))), rel=0.05)


def test_no_block_is_no_comparison() -> None:
    runs, executions = (
        arrow_schema(columns, "").empty_table().to_pandas().astype({"valid": bool, "twin": bool})
        for columns in (STUDY_RUNS, EXECUTIONS)
    )
    assert options(runs, executions, [], 0.05) == ()
    assert groups(runs, 0.05, {}, []) == ()


def test_options_of_foreign_names_and_values_forge_nothing(tmp_path: Path) -> None:
    name, value = "a\n# b `c` | <d>", "x\n## y | *z* `w`"
    blocks = rounds(2, config("a", {name: value}), config("b", {name: value + "2"}))
    (_, text, _), _ = rendered(measured(tmp_path, blocks), ())
    section = text.split("### Other options")[1].split("\n## ")[0]
    assert harmless(name) in section
    assert harmless(value) in section
    assert "\n#" not in section


def differing(folder: Path, blocks: Blocks) -> tuple[Group, ...]:
    data = measured(folder, blocks)
    return groups(data.runs, 0.05, served(data.executions), checks(data.executions))


def test_the_best_config_is_named_only_where_one_differs(tmp_path: Path) -> None:
    factors = {"a": STEADY, "b": (1.3, 1.31, 1.3), "c": (1.0, 1.0, 1.01)}
    blocks = [rows for name, own in factors.items() for rows in unsteady(config(name, {}), *own)]
    (found,) = differing(tmp_path / "a", blocks)
    best = found.best
    assert (found.scenario, found.topology, best.metric) == ("chimera_homo", "dual", "speedup_true")
    assert (best.configs, best.rounds, best.compared.outcome) == (3, 3, "among")
    assert {best.config_id, *best.compared.rivals} == {"a", "c"}
    (equal,) = differing(tmp_path / "b", [*blocks[:3], *blocks[6:]])
    assert (equal.best.compared.best, equal.best.compared.outcome) == (None, "equivalent")
    # two ids of one config are one
    same = [[row | {"content": "one"} for row in rows] for rows in [*blocks[:3], *blocks[6:]]]
    assert differing(tmp_path / "c", same) == ()


def test_several_scenarios_are_compared_alone_and_together_in_one_family(tmp_path: Path) -> None:
    def pair(scenario: str, factors: Sequence[float]) -> list[list[Row]]:
        names = (f"{scenario[8:]}-{end}" for end in "ab")
        first, second = (config(name, {}, scenario=scenario) for name in names)
        return [*rounds(3, first), *unsteady(second, *factors)]

    blocks = [*pair("chimera_homo", (0.91, 0.9, 0.89)), *pair("chimera_hetero", (0.5, 1.0, 1.9))]
    found = differing(tmp_path, blocks)
    assert [one.scenario for one in found] == ["chimera_hetero", "chimera_homo", None]
    alone = [one.best.compared.adjusted_p for one in found]
    assert [one.best.p for one in found] >= alone
    assert found[1].best.p == pytest.approx(3 * (alone[1] or 0))


def again(folder: Path, later: Sequence[float], **changes: Any) -> tuple[Again, ...]:
    first, second = config("a", {}, **changes), config("b", {}, **changes)
    blocks = [*unsteady(first, *STEADY, 1.0), *unsteady(second, *later)]
    phases = {"core": ["a"], "validation": ["b"]}
    same = [[row | {"content": "one"} for row in rows] for rows in blocks]
    data = measured(folder, same, phases=phases)
    listed = data.descriptor["study"]["phases"]
    return measured_again(data.runs, listed, 0.05, served(data.executions))


@pytest.mark.parametrize(
    ("later", "verdict"),
    [
        ((1.0, 1.01, 0.99, 1.0), "equivalent"),
        ((1.5, 1.49, 1.51, 1.5), "worse"),
        ((0.5, 1.0, 1.9, 1.0), "inconclusive"),
        ((1.0,), "inconclusive"),
    ],
)
def test_a_config_measured_in_two_phases(
    tmp_path: Path, later: Sequence[float], verdict: str
) -> None:
    (one,) = again(tmp_path, later)
    assert (one.first, one.first_phase, one.later, one.later_phase) == (
        *("a", "core"),
        *("b", "validation"),
    )
    assert (one.metric, one.against.verdict) == ("speedup_true", verdict)
    assert (one.wall is None) == (len(later) < 2)


def test_configs_measured_again_are_one_family(tmp_path: Path) -> None:
    """Each pair differs at p = 0.02 or so by itself; among three none does."""
    blocks, phases = [], {"core": list("abc"), "later": list("xyz")}
    for first, later in zip("abc", "xyz", strict=True):
        for name, factors in ((first, STEADY), (later, (1.1, 1.09, 1.13))):
            rows = config(name, {}, content=first)
            blocks += unsteady(rows, *factors)
    data = measured(tmp_path, blocks, phases=phases)
    listed, sides = data.descriptor["study"]["phases"], served(data.executions)
    found = measured_again(data.runs, listed, 0.01, sides)
    (alone,) = measured_again(
        data.runs[data.runs["config_id"].isin(["a", "x"])], listed, 0.01, sides
    )
    assert alone.against.verdict == "worse"
    assert 0.05 / 3 < (alone.against.p or 0) < 0.05
    assert {one.against.verdict for one in found} == {"inconclusive"}
