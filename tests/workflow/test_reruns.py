"""Reruns: only what a change concerns is made again, and nothing stale stays.

One study is measured once; each case changes one thing in a copy of that checkout.
"""

import json
import re
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
import pytest
from checkouts import edit, planned, simulated_checkout, snakemake
from raw_servers import digest_of, faked_thread

FILE = "config/small.yaml"
STUDY = """\
name: small
title: "A small study (simulated)"
hypotheses: config/hypotheses/tr114.yaml
seed: 7
repetitions: 2
engine: ollama
model: tiny
servers: {{dual: [{0}, {1}], single: [{0}]}}
work: {{policy: fixed, tokens: 5}}
agents:
  collector: {{task: inventory, steps: [collector.j2]}}
  insight: {{task: figures, steps: [insight.j2]}}
phases:
  first:
    configs:
      - {{scenario: chimera_homo, axes: {{topology: [serial, single]}}, options: {{num_ctx: 2048}}}}
      - {{id: beta, scenario: chimera_homo, topology: single, options: {{num_ctx: 2048}}}}
  second:
    configs:
      - {{id: gamma, scenario: chimera_homo, topology: dual, options: {{num_ctx: 2048}}}}
  third:
    configs:
      - {{id: delta, scenario: chimera_homo, topology: single, options: {{num_ctx: 4096}}}}
"""
# A comparison of two configs, and three that stand alone.
ALPHA = "homo-c2048-by-topology"
SIDES = ("homo-c2048-serial", "homo-c2048-single")
OF_ALPHA = "      - {scenario: chimera_homo, axes: {topology: [serial, single]}, "
OF_ALPHA += "options: {num_ctx: 2048}}\n"
BETA = "      - {id: beta, scenario: chimera_homo, topology: single, options: {num_ctx: 2048}}\n"
GAMMA = "      - {id: gamma, scenario: chimera_homo, topology: dual, options: {num_ctx: 2048}}\n"
DELTA = "      - {id: delta, scenario: chimera_homo, topology: single, options: {num_ctx: 4096}}\n"
OTHER_GAMMA = GAMMA.replace("2048", "2048, top_k: 30")
COMPARISONS = (ALPHA, "beta", "gamma", "delta")
PHASES = {**dict.fromkeys(SIDES, "first"), "beta": "first", "gamma": "second", "delta": "third"}

PACKAGE = "workflow/tandembench"
MEASURING_CODE = f"{PACKAGE}/measure/block.py"
METRICS = f"{PACKAGE}/metrics.py"
FORMULA = '"speedup_estimate": total / wall_s'
LOCK = "config/servers.lock.yaml"
HYPOTHESES = "config/hypotheses/tr114.yaml"
TEMPLATE = "workflow/templates/technical_report.md.j2"
# What acts in no block of this engine.
INERT = ("measure/progress.py", "servers/lock.py", "servers/embedded.py", "servers/openai.py")

# Which rules a change reaches. A new rule is named here, and nowhere else.
OF_PHASE = ("aggregate_phase",)
OF_TEMPLATE = ("report",)
OF_DATASET = ("dataset", *OF_TEMPLATE)


def blocks(*comparisons: str, repetitions: tuple[int, ...] = (1, 2)) -> list[str]:
    return [f"run_block comparison={c} repetition={r}" for c in comparisons for r in repetitions]


def tables(*phases: str) -> list[str]:
    return [f"{rule} phase={phase}" for rule in OF_PHASE for phase in phases]


NOTHING: list[str] = []
EVERY_TABLE = [*tables("first", "second", "third"), *OF_DATASET]


def spelling(folder: Path) -> None:
    """A comment, and another order of keys."""
    edit(folder / FILE, "seed: 7\nrepetitions: 2\n", "# words\nrepetitions: 2\nseed: 7 # more\n")
    edit(folder / FILE, "id: beta, scenario: chimera_homo", "scenario: chimera_homo, id: beta")


def option(folder: Path) -> None:
    edit(folder / FILE, GAMMA, OTHER_GAMMA)


def option_back(folder: Path) -> None:
    edit(folder / FILE, OTHER_GAMMA, GAMMA)


def config_added(folder: Path) -> None:
    edit(folder / FILE, BETA, BETA + BETA.replace("beta", "zeta"))


def config_removed(folder: Path) -> None:
    edit(folder / FILE, BETA, "")


def config_moved(folder: Path) -> None:
    edit(folder / FILE, BETA, "")
    edit(folder / FILE, GAMMA, GAMMA + BETA)


def comparison_moved(folder: Path) -> None:
    edit(folder / FILE, OF_ALPHA, "")
    edit(folder / FILE, GAMMA, GAMMA + OF_ALPHA)


def topology_added(folder: Path) -> None:
    edit(folder / FILE, "[serial, single]", "[serial, single, dual]")


def topologies_in_another_order(folder: Path) -> None:
    edit(folder / FILE, "[serial, single]", "[single, serial]")


def rounds(folder: Path) -> None:
    edit(folder / FILE, "{scenario: chimera_homo, axes", "{rounds: 2, scenario: chimera_homo, axes")


def phase_emptied(folder: Path) -> None:
    edit(folder / FILE, f"  third:\n    configs:\n{DELTA}", "")
    edit(folder / FILE, GAMMA, GAMMA + DELTA)


def more_repetitions(folder: Path) -> None:
    edit(folder / FILE, "repetitions: 2", "repetitions: 4")


def model_digest(folder: Path) -> None:
    edit(folder / LOCK, digest_of("tiny:latest"), digest_of("tiny:q8"))


def measuring_code(folder: Path) -> None:
    edit(folder / MEASURING_CODE, "_WARM_UP_TOKENS = 4", "_WARM_UP_TOKENS = 5")


def what_matters_not(folder: Path) -> None:
    """Another engine's lock entry and code, messages, and comments and docstrings of the rest."""
    edit(folder / LOCK, "default_num_ctx: 2048", "default_num_ctx: 1024")
    for name in (MEASURING_CODE, METRICS):
        first = (folder / name).read_text(encoding="utf-8").splitlines()[0]
        assert first.startswith('"""')
        edit(folder / name, first, f'# A comment.\n"""A docstring. {first[3:]}')
    for name in INERT:
        with (folder / PACKAGE / name).open("a", encoding="utf-8") as file:
            file.write("\n\nCHANGED = 1\n")


def formula(folder: Path) -> None:
    edit(folder / METRICS, FORMULA, f"{FORMULA} * 2")


def template(folder: Path) -> None:
    edit(folder / TEMPLATE, "\n## Why\n", "\n## Why so\n")


def hypothesis(folder: Path) -> None:
    edit(folder / HYPOTHESES, "expect: {margin: 0.05}", "expect: {margin: 0.1}")


def baseline_of_a_hypothesis(folder: Path, name: str = "tr113") -> None:
    """A newer version of what the report's questions and comparisons name."""
    own = folder / "resources/baselines" / name
    shutil.copytree(own / "1.0.0", own / "1.1.0", copy_function=shutil.copyfile)


def baseline_of_the_study(folder: Path) -> None:
    """A newer version of what no question names, but the study does."""
    baseline_of_a_hypothesis(folder, "tr110")


def baselines_named(folder: Path) -> None:
    edit(folder / FILE, "seed: 7", "seed: 7\nbaselines: [tr114]")


def criteria_declared(folder: Path) -> None:
    edit(folder / FILE, "seed: 7", "seed: 7\ncriteria: [memory]")


def run_file_deleted(folder: Path) -> None:
    (file,) = (folder / "results/small/runs/s1").glob("gamma.r2.*.parquet")
    file.unlink()


def calibration_deleted(folder: Path) -> None:
    (file,) = (folder / "results/small/calibration").iterdir()
    file.unlink()


def what_is_written_at_the_start_deleted(folder: Path) -> None:
    """RunSpecs and manifests come back when they are needed."""
    shutil.rmtree(folder / "results/small/specs")
    for file in folder.glob("results/small/**/*manifest*.json"):
        file.unlink()


CHANGES: list[tuple[Callable[[Path], None], list[str]]] = [
    (spelling, NOTHING),
    (option, [*blocks("gamma"), *tables("second"), *OF_DATASET]),
    (config_added, [*blocks("zeta"), *tables("first"), *OF_DATASET]),
    (config_removed, [*tables("first"), *OF_DATASET]),
    (config_moved, [*tables("first", "second"), *OF_DATASET]),
    (comparison_moved, [*tables("first", "second"), *OF_DATASET]),
    (topology_added, [*blocks(ALPHA), *tables("first"), *OF_DATASET]),
    (topologies_in_another_order, [*tables("first"), *OF_DATASET]),
    (rounds, [*blocks(ALPHA), *tables("first"), *OF_DATASET]),
    (phase_emptied, [*tables("second"), *OF_DATASET]),
    (more_repetitions, [*blocks(*COMPARISONS, repetitions=(3, 4)), *EVERY_TABLE]),
    (model_digest, [*blocks(*COMPARISONS), *EVERY_TABLE]),
    (measuring_code, [*blocks(*COMPARISONS), *EVERY_TABLE]),
    (what_matters_not, NOTHING),
    (formula, EVERY_TABLE),
    (template, [*OF_TEMPLATE]),
    (hypothesis, [*OF_TEMPLATE]),
    (baseline_of_a_hypothesis, [*OF_TEMPLATE]),
    (baseline_of_the_study, [*OF_TEMPLATE]),
    (baselines_named, [*OF_DATASET]),
    (criteria_declared, [*OF_DATASET]),
    (calibration_deleted, ["calibrate", *OF_DATASET]),
    (what_is_written_at_the_start_deleted, NOTHING),
    (run_file_deleted, [*blocks("gamma", repetitions=(2,)), *tables("second"), *OF_DATASET]),
]


@pytest.fixture(scope="module")
def measured(
    simulated: None, repository: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """The small study, measured, in a checkout of its own; its servers stay up."""
    with faked_thread() as one, faked_thread() as other:
        target = tmp_path_factory.mktemp("checkout")
        folder = simulated_checkout(repository, target, FILE, STUDY.format(one, other))
        snakemake(folder, FILE)
        yield folder


@pytest.fixture
def checkout(measured: Path, tmp_path: Path) -> Path:
    return copied(measured, tmp_path / "checkout")


def copied(folder: Path, target: Path) -> Path:
    """A copy with the same times, which Snakemake goes by."""
    return Path(shutil.copytree(folder, target, symlinks=True))


def planned_three_ways(folder: Path, forgetful: Path) -> dict[str, list[str]]:
    """What Snakemake would do as it is, going by times alone, and (in a copy) without memory."""
    copied(folder, forgetful)
    shutil.rmtree(forgetful / ".snakemake")
    with ThreadPoolExecutor() as pool:
        plans = {
            "as is": pool.submit(planned, folder, FILE),
            "by times": pool.submit(planned, folder, FILE, "--rerun-triggers", "mtime"),
            "forgetful": pool.submit(planned, forgetful, FILE),
        }
    return {way: plan.result() for way, plan in plans.items()}


@pytest.mark.parametrize(("change", "jobs"), CHANGES, ids=lambda it: getattr(it, "__name__", ""))
def test_exactly_what_a_change_concerns_is_made_again(
    checkout: Path, tmp_path: Path, change: Callable[[Path], None], jobs: list[str]
) -> None:
    change(checkout)
    plans = planned_three_ways(checkout, tmp_path / "forgetful")
    assert plans == dict.fromkeys(plans, sorted(jobs))


def test_repetitions_of_the_command_count_as_those_of_the_study(checkout: Path) -> None:
    more = blocks(*COMPARISONS, repetitions=(3,))
    given = planned(checkout, FILE, "--config", "repetitions=3")
    assert given == sorted([*more, *EVERY_TABLE])
    edit(checkout / FILE, "repetitions: 2", "repetitions: 3")
    assert planned(checkout, FILE) == given


def listed(folder: Path) -> set[tuple[str, str, int]]:
    """(phase, config, repetition) of the dataset; the tables of all phases must agree."""
    results = folder / "results/small"

    def rows(*files: Path) -> set[tuple[str, str, int]]:
        keys = ["phase", "config_id", "repetition"]
        table = pd.concat([pd.read_parquet(file)[keys] for file in files])
        return set(table.itertuples(index=False, name=None))

    found = rows(results / "dataset/runs.parquet")
    assert rows(results / "dataset/executions.parquet") == found
    # not those that the study names, but all that lie there
    of_executions = set(results.glob("phases/*.executions.parquet"))
    assert rows(*of_executions) == found
    assert rows(*set(results.glob("phases/*.parquet")) - of_executions) == found
    return found


def study_of(phases: dict[str, str], repetitions: int = 2) -> set[tuple[str, str, int]]:
    return {(p, config, r + 1) for config, p in phases.items() for r in range(repetitions)}


def run_files(folder: Path) -> dict[str, tuple[int, bytes]]:
    files = folder.glob("results/small/runs/*/*.parquet")
    return {file.name: (file.stat().st_mtime_ns, file.read_bytes()) for file in files}


def outcome(folder: Path) -> dict[str, bytes]:
    """Every table of the study and its report, byte by byte."""
    files = [
        *folder.glob("results/small/phases/*.parquet"),
        *folder.glob("results/small/dataset/*"),
        *folder.glob("reports/small/*"),
        *folder.glob("reports/small/figures/*.svg"),
    ]
    return {str(file.relative_to(folder)): file.read_bytes() for file in files if file.is_file()}


def test_an_option_changed_and_changed_back_leaves_nothing_stale(
    checkout: Path, tmp_path: Path
) -> None:
    first, measured_first = outcome(checkout), run_files(checkout)
    option(checkout)
    snakemake(checkout, FILE)
    executions = pd.read_parquet(checkout / "results/small/dataset/executions.parquet")
    gamma = executions[executions["config_id"] == "gamma"]
    assert set(gamma["options_asked"]) == {'{"num_ctx": 2048, "top_k": 30}'}
    assert listed(checkout) == study_of(PHASES)
    option_back(checkout)
    plans = planned_three_ways(checkout, tmp_path / "forgetful")
    assert plans == dict.fromkeys(plans, sorted([*tables("second"), *OF_DATASET]))
    snakemake(tmp_path / "forgetful", FILE)
    assert outcome(tmp_path / "forgetful") == first
    assert run_files(checkout).items() > measured_first.items()


def test_what_the_study_names_no_more_is_in_no_table(checkout: Path) -> None:
    before = run_files(checkout)
    config_removed(checkout)
    phase_emptied(checkout)
    edit(checkout / FILE, "repetitions: 2", "repetitions: 1")
    snakemake(checkout, FILE)
    now = {**dict.fromkeys(SIDES, "first"), "gamma": "second", "delta": "second"}
    assert listed(checkout) == study_of(now, repetitions=1)
    assert not list(checkout.glob("results/small/phases/third.*"))
    values = (checkout / "reports/small/report.json").read_text(encoding="utf-8")
    assert '"gamma"' in values
    assert '"beta"' not in values
    assert '"third"' not in values
    assert run_files(checkout) == before  # what was measured is never deleted
    assert planned(checkout, FILE) == NOTHING


def test_added_configs_and_repetitions_stand_beside_what_was_kept(checkout: Path) -> None:
    before = run_files(checkout)
    config_added(checkout)
    edit(checkout / FILE, "repetitions: 2", "repetitions: 3")
    run_file_deleted(checkout)
    snakemake(checkout, FILE)
    assert listed(checkout) == study_of(PHASES | {"zeta": "first"}, repetitions=3)
    after = run_files(checkout)
    again = {name for name in before if before[name] != after[name]}
    assert {name.rsplit(".", 2)[0] for name in again} == {"gamma.r2"}
    assert planned(checkout, FILE) == NOTHING


def test_a_formula_reaches_the_report_and_measures_nothing(checkout: Path) -> None:
    runs = "results/small/dataset/runs.parquet"
    before, measured_before = pd.read_parquet(checkout / runs), run_files(checkout)
    formula(checkout)
    template(checkout)
    snakemake(checkout, FILE)
    after = pd.read_parquet(checkout / runs)
    assert after["speedup_estimate"].to_list() == (2 * before["speedup_estimate"]).to_list()
    assert after["speedup_true"].equals(before["speedup_true"])
    report = (checkout / "reports/small/technical_report.md").read_text(encoding="utf-8")
    assert "## Why so" in report
    assert run_files(checkout) == measured_before
    assert planned(checkout, FILE) == NOTHING


def test_a_hypothesis_that_was_there_first_is_told_from_one_that_was_changed(
    checkout: Path,
) -> None:
    first, before = declared(checkout), run_files(checkout)
    # what print says was there before
    assert sorted(first.values()) == ["after", *["before"] * (len(first) - 1)]
    hypothesis(checkout)
    snakemake(checkout, FILE)
    assert {name for name in first if declared(checkout)[name] != first[name]} == {"q4-gain"}
    assert declared(checkout)["q4-gain"] == "after"
    assert run_files(checkout) == before


def declared(folder: Path) -> dict[str, str]:
    """When each hypothesis was declared, as the report has it."""
    values = json.loads((folder / "reports/small/report.json").read_text(encoding="utf-8"))
    return {row["id"]: row["declared"] for row in values["details"]["hypotheses"]["rows"]}


def test_figures_and_page_are_made_again_if_they_are_gone(checkout: Path) -> None:
    first = outcome(checkout)
    page = checkout / "reports/small/technical_report.html"
    page.unlink()
    assert planned(checkout, FILE) == [*OF_TEMPLATE]
    shutil.rmtree(checkout / "reports/small/figures")
    assert planned(checkout, FILE) == [*OF_TEMPLATE]
    snakemake(checkout, FILE)
    assert outcome(checkout) == first


def test_snakemakes_own_report_holds_the_page_and_the_figures(checkout: Path) -> None:
    snakemake(checkout, FILE, "--report", "own.html")
    own = (checkout / "own.html").read_text(encoding="utf-8")
    figures = [file.name for file in checkout.glob("reports/small/figures/*.svg")]
    assert len(figures) >= 3
    assert all(name in own for name in ("technical_report.html", "report.json", *figures))
    for caption in ("workflow", "figures"):
        text = (checkout / f"workflow/report/{caption}.rst").read_text(encoding="utf-8")
        assert text[:40] in own
    assert not re.search(r"<(script|link|img)[^>]+(src|href)=.https?:", own)
