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
from checkouts import attached_study, edit, line_of, planned, simulated_checkout, snakemake
from raw_servers import digest_of, faked_thread

FILE = "config/small.yaml"
# A comparison of two configs, and three that stand alone.
ALPHA = "homo-c2048-by-topology"
SIDES = ("homo-c2048-serial", "homo-c2048-single")
OF_ALPHA = "axes: {topology: [serial, single]}, options: {num_ctx: 2048}"
BETA = "id: beta, topology: single, options: {num_ctx: 2048}"
GAMMA = "id: gamma, topology: dual, options: {num_ctx: 2048}"
DELTA = "id: delta, topology: single, options: {num_ctx: 4096}"
OTHER_GAMMA = GAMMA.replace("2048", "2048, top_k: 30")
ENTRIES = ("first:", OF_ALPHA, BETA, "second:", GAMMA, "third:", DELTA)
COMPARISONS = (ALPHA, "beta", "gamma", "delta")
PHASES = {**dict.fromkeys(SIDES, "first"), "beta": "first", "gamma": "second", "delta": "third"}

PACKAGE = "workflow/tandembench"
MEASURING_CODE = f"{PACKAGE}/measure/keeper.py"
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


Change = Callable[[Path], None]


def swap(old: str, new: str, file: str = FILE) -> Change:
    return lambda folder: edit(folder / file, old, new)


def swap_lines(*pairs: tuple[str, str]) -> Change:
    """Replace lines of entries, of which several may become one, or none."""

    def change(folder: Path) -> None:
        for old, new in pairs:
            edit(folder / FILE, f"{old}\n", f"{new}\n" if new else "")

    return change


def both(*entries: str) -> str:
    return "\n".join(line_of(entry) for entry in entries)


def newer_baseline(name: str) -> Change:
    def change(folder: Path) -> None:
        own = folder / "resources/baselines" / name
        shutil.copytree(own / "1.0.0", own / "1.1.0", copy_function=shutil.copyfile)

    return change


def deleted(*patterns: str) -> Change:
    def change(folder: Path) -> None:
        files = [file for one in patterns for file in (folder / "results/small").glob(one)]
        assert files
        for file in files:
            file.unlink()

    return change


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


A_LINE, B_LINE, C_LINE, D_LINE = map(line_of, (OF_ALPHA, BETA, GAMMA, DELTA))
option, option_back = swap(GAMMA, OTHER_GAMMA), swap(OTHER_GAMMA, GAMMA)
config_added = swap_lines((B_LINE, both(BETA, BETA.replace("beta", "zeta"))))
config_removed = swap_lines((B_LINE, ""))
phase_emptied = swap_lines((f"  third:\n    configs:\n{D_LINE}", ""), (C_LINE, both(GAMMA, DELTA)))
formula = swap(FORMULA, f"{FORMULA} * 2", METRICS)
template = swap("\nEverything else, ", "\nEverything besides, ", TEMPLATE)
hypothesis = swap("expect: {margin: 0.05}", "expect: {margin: 0.1}", HYPOTHESES)
calibration_deleted = deleted("calibration/*")
run_file_deleted = deleted("runs/s1/gamma.r2.*.parquet")
OF_FIRST = [*tables("first"), *OF_DATASET]
OF_BOTH = [*tables("first", "second"), *OF_DATASET]
EVERY_BLOCK = [*blocks(*COMPARISONS), *EVERY_TABLE]
CHANGES: dict[str, tuple[Change, list[str]]] = {
    "a comment and another order of keys": (
        swap("engine: ollama\nmodel: tiny\n", "# words\nmodel: tiny # more\nengine: ollama\n"),
        NOTHING,
    ),
    "option": (option, [*blocks("gamma"), *tables("second"), *OF_DATASET]),
    "config added": (config_added, [*blocks("zeta"), *OF_FIRST]),
    "config removed": (config_removed, OF_FIRST),
    "config moved": (swap_lines((B_LINE, ""), (C_LINE, both(GAMMA, BETA))), OF_BOTH),
    "comparison moved": (swap_lines((A_LINE, ""), (C_LINE, both(GAMMA, OF_ALPHA))), OF_BOTH),
    "topology added": (
        swap("[serial, single]", "[serial, single, dual]"),
        [*blocks(ALPHA), *OF_FIRST],
    ),
    "topologies in another order": (swap("[serial, single]", "[single, serial]"), OF_FIRST),
    "rounds": (swap("axes", "rounds: 2, axes"), [*blocks(ALPHA), *OF_FIRST]),
    "phase emptied": (phase_emptied, [*tables("second"), *OF_DATASET]),
    "more repetitions": (
        swap("repetitions: 2", "repetitions: 4"),
        [*blocks(*COMPARISONS, repetitions=(3, 4)), *EVERY_TABLE],
    ),
    "model digest": (swap(digest_of("tiny:latest"), digest_of("tiny:q8"), LOCK), EVERY_BLOCK),
    "measuring code": (
        swap("_WARM_UP_TOKENS = 4", "_WARM_UP_TOKENS = 5", MEASURING_CODE),
        EVERY_BLOCK,
    ),
    "what matters not": (what_matters_not, NOTHING),
    "formula": (formula, EVERY_TABLE),
    "template": (template, [*OF_TEMPLATE]),
    "hypothesis": (hypothesis, [*OF_TEMPLATE]),
    "newer baseline that a question names": (newer_baseline("tr113"), [*OF_TEMPLATE]),
    "newer baseline that only the study names": (newer_baseline("tr110"), [*OF_TEMPLATE]),
    "baselines named": (swap("seed: 7", "seed: 7\nbaselines: [tr114]"), [*OF_DATASET]),
    "criteria declared": (swap("seed: 7", "seed: 7\ncriteria: [memory]"), [*OF_DATASET]),
    "calibration deleted": (calibration_deleted, ["calibrate", *OF_DATASET]),
    "specs and manifests deleted": (deleted("specs/*", "**/*manifest*.json"), NOTHING),
    "run file deleted": (
        run_file_deleted,
        [*blocks("gamma", repetitions=(2,)), *tables("second"), *OF_DATASET],
    ),
}


@pytest.fixture(scope="module")
def measured(
    simulated: None, repository: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """The small study, measured, in a checkout of its own; its servers stay up."""
    with faked_thread() as shared, faked_thread() as one, faked_thread() as other:
        target = tmp_path_factory.mktemp("checkout")
        top = {"hypotheses": HYPOTHESES, "seed": 7, "repetitions": 2}
        study = attached_study("small", [shared, one, other], *ENTRIES, **top)
        folder = simulated_checkout(repository, target, FILE, study)
        snakemake(folder, FILE)
        yield folder


@pytest.fixture
def checkout(measured: Path, tmp_path: Path) -> Path:
    return copied(measured, tmp_path / "checkout")


def copied(folder: Path, target: Path) -> Path:
    """A copy with the same times, which Snakemake goes by."""
    return Path(shutil.copytree(folder, target, symlinks=True))


def assert_planned(folder: Path, forgetful: Path, jobs: list[str]) -> None:
    """Snakemake would do these as it is, and (in a copy) without memory, which goes by times."""
    copied(folder, forgetful)
    shutil.rmtree(forgetful / ".snakemake")
    with ThreadPoolExecutor() as pool:
        plans = [*pool.map(planned, (folder, forgetful), (FILE, FILE))]
    assert plans == [sorted(jobs)] * 2


@pytest.mark.parametrize(("change", "jobs"), CHANGES.values(), ids=CHANGES)
def test_exactly_what_a_change_concerns_is_made_again(
    checkout: Path, tmp_path: Path, change: Change, jobs: list[str]
) -> None:
    change(checkout)
    assert_planned(checkout, tmp_path / "forgetful", jobs)


@pytest.mark.full
@pytest.mark.parametrize(("change", "jobs"), CHANGES.values(), ids=CHANGES)
def test_the_same_is_made_again_with_memory_and_by_times_alone(
    checkout: Path, change: Change, jobs: list[str]
) -> None:
    change(checkout)
    assert planned(checkout, FILE, "--rerun-triggers", "mtime") == sorted(jobs)


def test_a_calibration_ends_with_the_workflow_that_asked_for_it(checkout: Path) -> None:
    calibration_deleted(checkout)
    told = snakemake(checkout, FILE, "--dry-run", "--printshellcmds")
    (line,) = (line for line in told.splitlines() if "tandembench calibrate" in line)
    assert "--session s1 " in line
    assert line.endswith(" --parent $PPID")


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
    assert_planned(checkout, tmp_path / "forgetful", [*tables("second"), *OF_DATASET])
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
    assert "Everything besides, " in report
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
