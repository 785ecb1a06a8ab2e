"""Lines to copy: a config comes back as it was, and the best ones as a phase of a study."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from raw_blocks import block, rounds, write_dataset
from ruamel.yaml import YAML
from study_texts import BASE, read

from tandembench.cli import main
from tandembench.dataset.load import load_dataset
from tandembench.report.copied import study_entry

HEAD = BASE[: BASE.index("phases:")]
Row = dict[str, Any]


@pytest.mark.parametrize(
    ("model", "kept"),
    [
        ("small-model", True),
        ("qwen2.5:0.5b", True),
        ("org/model-GGUF:Q4_K_M", True),
        ("a: {b}\n# c", False),
    ],
)
def test_a_config_comes_back_as_it_was_with_its_model(
    tmp_path: Path, model: str, kept: bool
) -> None:
    asked = {"num_ctx": 512, "temperature": 0.8}
    rows = block("dual", model=model, options_asked=json.dumps(asked))
    executions = load_dataset(write_dataset(tmp_path, [rows])).executions
    (entry,) = YAML(typ="safe").load("\n".join(study_entry("dual", executions)))
    assert entry == {
        "id": "dual",
        "scenario": "chimera_homo",
        "topology": "dual",
        "agents": ["collector", "insight"],
        "options": asked | ({"model": model} if kept else {}),
        "work": {"policy": "fixed", "tokens": 8},
    }


def config(
    name: str, slowdown: float, scenario: str, *asked: Row, applied: bool = True
) -> list[list[Row]]:
    """Five rounds of a config whose run takes ``slowdown`` times its solos, give or take.

    Its servers report the options as asked, or others, the same for all configs.
    """
    blocks = []
    for repetition in range(1, 6):
        shared = slowdown * (1 + 0.004 * ((repetition * 7 + len(name)) % 5))
        rows = block(name, (1.0, 1.0), (shared, shared), topology="dual", scenario=scenario)
        for row in rows:
            own = asked[row["agent_index"] % len(asked)]
            row |= {"repetition": repetition, "content": name, "options_asked": json.dumps(own)}
            effective = own if applied else {"num_gpu": 0, "num_ctx": 4096}
            row["options_effective"] = json.dumps(effective)
            row["num_ctx_effective"] = effective.get("num_ctx")
        blocks.append(rows)
    return blocks


def homo(num_ctx: int, slowdown: float = 1.5, **changes: Any) -> list[list[Row]]:
    asked = {"num_gpu": 80, "num_ctx": num_ctx}
    return config(f"homo-{num_ctx}", slowdown, "chimera_homo", asked, **changes)


def select(folder: Path, *configs: list[list[Row]], best: str = "speedup_true") -> Any:
    """What the command prints, and the study that has it."""
    dataset = write_dataset(folder, [rows for one in configs for rows in one])
    done = CliRunner().invoke(main, ["select", str(dataset), "--best", best])
    assert done.exit_code == 0, done.output
    return done.stdout, read(HEAD + done.stdout)


def test_the_best_of_each_scenario_is_a_phase_to_paste(tmp_path: Path) -> None:
    hetero = ({"num_gpu": 60, "num_ctx": 512}, {"num_gpu": 80, "num_ctx": 512})
    tuned: tuple[Row, ...] = ({}, {"num_ctx": 1024, "temperature": 0.8})
    _, study = select(
        tmp_path,
        *(homo(512), homo(1024, 1.1), homo(2048)),
        config("hetero-a", 1.2, "chimera_hetero", *hetero),
        config("bvc-a", 1.2, "baseline_vs_chimera", *tuned),
    )
    by_scenario = {one.scenario: one for one in study.configs}
    assert (len(study.configs), len(by_scenario)) == (3, 3)
    best = by_scenario["chimera_homo"]
    assert (best.id, best.topology, best.work_policy) == ("validation-homo-1024", "dual", "fixed")
    assert [agent.name for agent in best.agents] == ["collector", "insight"]
    assert [dict(agent.options) for agent in best.agents] == [{"num_gpu": 80, "num_ctx": 1024}] * 2
    assert {agent.max_tokens for agent in best.agents} == {8}
    assert [dict(a.options) for a in by_scenario["chimera_hetero"].agents] == [*hetero]
    assert [dict(a.options) for a in by_scenario["baseline_vs_chimera"].agents] == [*tuned]


def late(blocks: list[list[Row]]) -> list[list[Row]]:
    return [[row | {"invocation": "inv2"} for row in rows] for rows in blocks]


@pytest.mark.parametrize(
    ("configs", "chosen"),
    [
        ([homo(512), homo(1024), homo(2048)], "homo-512"),  # equals
        ([homo(512), homo(1024, 1.1)], "homo-1024"),
        ([homo(512), late(homo(1024, 1.1))], "homo-512"),  # measured another time
        ([homo(512)[:1], homo(1024, 1.1)[:1]], "homo-512"),  # one round
        # they differ in nothing that was applied
        ([homo(512, applied=False), homo(1024, 1.1, applied=False)], "homo-512"),
    ],
)
def test_where_none_is_shown_to_be_better_the_first_is_taken(
    tmp_path: Path, configs: list[list[list[Row]]], chosen: str
) -> None:
    text, study = select(tmp_path, *configs)
    assert [one.id for one in study.configs] == [f"validation-{chosen}"]
    assert text.count("#") == 1


def test_imported_runs_know_no_answer_length(tmp_path: Path) -> None:
    rows = [[row | {"max_tokens": None} for row in rows] for rows in homo(512)]
    text, _ = select(tmp_path, rows)
    assert "work:" not in text


def test_what_cannot_be_chosen_by_is_one_line(tmp_path: Path) -> None:
    folder = write_dataset(tmp_path, rounds(2, block("dual")))
    for arguments, where in (
        (["makespan_ratio"], "select"),
        (["wall"], "--best"),
        (["speedup_true", "--phase", "nope"], "--phase"),
    ):
        done = CliRunner().invoke(main, ["select", str(folder), "--best", *arguments])
        assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (2, "", 1)
        assert done.stderr.startswith(f"tandembench: {where}: ")
