"""A phase 3 from measured phases: YAML that the study room takes, and no winner among equals."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from raw_blocks import block, rounds, write_dataset
from study_texts import BASE, read

from tandembench.cli import main
from tandembench.dataset.load import load_dataset
from tandembench.errors import TandemError
from tandembench.select import proposal

HEAD = BASE[: BASE.index("phases:")]
NAMES = ("collector", "insight")
Row = dict[str, Any]


def config(
    config_id: str, slowdown: float, scenario: str, asked: list[Row], applied: bool = True
) -> list[list[Row]]:
    """Five rounds of a config whose run takes ``slowdown`` times its solos, give or take.

    Its servers report the options as asked, or none of them.
    """
    found = []
    for repetition in range(1, 6):
        shared = slowdown * (1 + 0.004 * ((repetition * 7 + len(config_id)) % 5))
        rows = block("dual", (1.0, 1.0), (shared, shared))
        found.append(
            [
                row
                | {"config_id": config_id, "repetition": repetition, "scenario": scenario}
                | {"content": config_id, "options_asked": json.dumps(asked[row["agent_index"]])}
                | {
                    "options_effective": json.dumps(asked[row["agent_index"]] if applied else {}),
                    "num_ctx_effective": asked[row["agent_index"]].get("num_ctx")
                    if applied
                    else None,
                }
                for row in rows
            ]
        )
    return found


def dataset(tmp_path: Path, *configs: list[list[Row]]) -> Path:
    return write_dataset(tmp_path, [rows for one in configs for rows in one])


def proposed(folder: Path, metric: str = "speedup_true", within: str = "scenario") -> str:
    found = load_dataset(folder)
    return proposal(found.runs, found.executions, metric, within)


def homo(num_ctx: int) -> list[Row]:
    return [{"num_gpu": 80, "num_ctx": num_ctx}] * 2


def test_the_best_is_proposed_and_can_be_pasted(tmp_path: Path) -> None:
    hetero = [{"num_gpu": 60, "num_ctx": 512}, {"num_gpu": 80, "num_ctx": 512}]
    bvc: list[Row] = [{}, {"num_ctx": 1024, "temperature": 0.8}]
    text = proposed(
        dataset(
            tmp_path,
            config("homo-c512", 1.5, "chimera_homo", homo(512)),
            config("homo-c1024", 1.1, "chimera_homo", homo(1024)),
            config("homo-c2048", 1.5, "chimera_homo", homo(2048)),
            config("hetero-a", 1.2, "chimera_hetero", hetero),
            config("bvc-a", 1.2, "baseline_vs_chimera", bvc),
        )
    )
    study = read(HEAD + text)
    by_scenario = {one.scenario: one for one in study.configs}
    assert [len(study.configs), len(by_scenario)] == [3, 3]
    best = by_scenario["chimera_homo"]
    assert best.id == "validation-homo-c1024"
    assert [dict(agent.options) for agent in best.agents] == homo(1024)
    assert [agent.name for agent in best.agents] == list(NAMES)
    assert (best.topology, best.work_policy) == ("dual", "fixed")
    assert {agent.max_tokens for agent in best.agents} == {8}
    assert [dict(a.options) for a in by_scenario["chimera_hetero"].agents] == hetero
    assert [dict(a.options) for a in by_scenario["baseline_vs_chimera"].agents] == bvc
    assert "better than every other" in text
    assert "the only config" in text


def test_one_of_an_a_a_pair_is_enough(tmp_path: Path) -> None:
    pair = [config(name, 1.5, "chimera_homo", homo(512)) for name in ("homo-a", "homo-b")]
    same = [[[row | {"content": "one"} for row in rows] for rows in blocks] for blocks in pair]
    text = proposed(dataset(tmp_path, *same))
    assert "the only config (1 config, 5 rounds)" in text
    assert [one.id for one in read(HEAD + text).configs] == ["validation-homo-a"]


def test_among_equals_none_is_better(tmp_path: Path) -> None:
    equal = [config(f"homo-{n}", 1.5, "chimera_homo", homo(512 * n)) for n in (1, 2, 3)]
    text = proposed(dataset(tmp_path, *equal))
    assert "5 rounds" in text
    assert "better than" not in text
    assert [one.id for one in read(HEAD + text).configs] == ["validation-homo-1"]


def test_configs_of_other_invocations_are_not_compared(tmp_path: Path) -> None:
    first = config("homo-1", 1.5, "chimera_homo", homo(512))
    other = config("homo-2", 1.1, "chimera_homo", homo(1024))
    late = [[row | {"invocation": "inv2"} for row in rows] for rows in other]
    text = proposed(dataset(tmp_path, first, late))
    assert [one.id for one in read(HEAD + text).configs] == ["validation-homo-1"]
    assert "better than" not in text


def test_what_was_not_applied_makes_no_config_better(tmp_path: Path) -> None:
    def three(applied: bool) -> list[list[list[Row]]]:
        slowdowns = {512: 1.5, 1024: 1.1, 2048: 1.51}
        return [
            config(f"homo-{num_ctx}", slowdown, "chimera_homo", homo(num_ctx), applied)
            for num_ctx, slowdown in slowdowns.items()
        ]

    text = proposed(dataset(tmp_path / "a", *three(applied=False)))
    assert "num_ctx" in text.splitlines()[4]
    assert [one.id for one in read(HEAD + text).configs] == ["validation-homo-512"]
    assert "better than" not in text
    sure = proposed(dataset(tmp_path / "b", *three(applied=True)))
    assert "better than every other\n" in sure
    # one of them differs in more than that
    first, *others = three(applied=False)
    single = [
        [row | {"topology": "single", "server": 0, "endpoint": "http://one"} for row in rows]
        for rows in first
    ]
    mixed = proposed(dataset(tmp_path / "c", single, *others))
    assert "better than every other; not known to have been applied: num_ctx\n" in mixed


def test_imported_runs_know_no_answer_length(tmp_path: Path) -> None:
    one = config("homo-1", 1.5, "chimera_homo", homo(512))
    text = proposed(dataset(tmp_path, [[row | {"max_tokens": None} for row in r] for r in one]))
    assert "work:" not in text
    with_work = f"work: {{policy: natural, tokens: 9}}\n{HEAD[HEAD.index('agents') :]}"
    (found,) = read(f"name: small\nmodel: m\n{with_work}{text}").configs
    assert found.work_policy == "natural"


def test_one_round_is_too_little(tmp_path: Path) -> None:
    both = [config(f"homo-{n}", n, "chimera_homo", homo(512))[0] for n in (1, 2)]
    text = proposed(write_dataset(tmp_path, both))
    assert [one.id for one in read(HEAD + text).configs] == ["validation-homo-1"]
    assert "better than" not in text


def test_a_metric_that_nothing_has_is_one_line(tmp_path: Path) -> None:
    folder = write_dataset(tmp_path, rounds(2, block("dual")))
    with pytest.raises(TandemError, match="no config has a makespan_ratio: it needs fixed work"):
        proposed(folder, "makespan_ratio")
    with pytest.raises(TandemError, match=r"unknown metric 'wall'.*one of makespan_ratio, speedup"):
        proposed(folder, "wall")
    done = CliRunner().invoke(
        main, ["select", str(folder), "--best", "speedup_true", "--phase", "nope"]
    )
    assert done.exit_code == 2
    assert done.stderr == "tandembench: --phase: no phase 'nope'; measured phases: main\n"


def test_the_command_prints_it(tmp_path: Path) -> None:
    folder = dataset(tmp_path, config("homo-c512", 1.5, "chimera_homo", homo(512)))
    for argument in (folder, folder / "datapackage.json"):
        done = CliRunner().invoke(main, ["select", str(argument), "--best", "speedup_true"])
        assert done.exit_code == 0
        assert read(HEAD + done.stdout).configs[0].id == "validation-homo-c512"
