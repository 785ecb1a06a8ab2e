"""The shipped claims of Technical Report 114: whole, printed as they stand, and as audited."""

import json
import os
import re
import shutil
import statistics
from collections import defaultdict
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from study_texts import REPOSITORY
from tandembench.claims.check import check_claims, open_claims
from tandembench.claims.judge import Judged, counts
from tandembench.claims.model import KINDS, Claims, Statistic, expressions

from tandembench.dataset.baseline import import_runs

FILE = REPOSITORY / "resources/claims/tr114.yaml"
BASELINES = REPOSITORY / "resources/baselines"
LAYOUTS = {"tr113": "rust", "tr114": "rust", "tr110": "python"}
Row = dict[str, Any]


@pytest.fixture(scope="module")
def claims() -> Claims:
    return open_claims(FILE)


@pytest.fixture(scope="module")
def on_paper() -> dict[str, Judged]:
    """The audit without any runs, by id."""
    return by_id(check_claims(FILE, (), BASELINES)[1])


@pytest.fixture(scope="module")
def shared() -> Path:
    folder = os.environ.get("TANDEMBENCH_SHARED_DATA")
    if not folder:
        pytest.skip("TANDEMBENCH_SHARED_DATA names no folder with chimeraforge/")
    return Path(folder)


@pytest.fixture(scope="module")
def audited(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Judged]:
    """The audit with the runs of all three reports, by id."""
    root = tmp_path_factory.mktemp("baselines")
    for name, layout in LAYOUTS.items():
        shutil.copytree(BASELINES / name, root / name)
        source = shared / "chimeraforge" / name
        import_runs(f"chimeraforge-{layout}", source, f"{name}-runs", None, root)
    return by_id(check_claims(FILE, [f"{name}-runs" for name in LAYOUTS], root)[1])


def by_id(judged: list[Judged]) -> dict[str, Judged]:
    return {one.claim.id: one for one in judged}


# The file


def test_every_section_kind_and_source_is_used(claims: Claims) -> None:
    assert len(claims.claims) > 400
    assert {one.section for one in claims.claims} == set(claims.sections)
    assert {one.kind for one in claims.claims} == set(KINDS)
    found = [
        one
        for claim in claims.claims
        for value in claim.values
        for one in expressions(value.expression)
        if isinstance(one, Statistic)
    ]
    assert {one.source for one in found} == set(claims.sources)
    for one in found:
        assert one.table != "printed" or (BASELINES / one.source / "1.0.0").is_dir()


def test_every_row_of_a_configuration_table_is_a_claim(claims: Claims) -> None:
    """Those of 3.1 to 3.3 with speedup, mean, peak and contention, cell by cell."""
    with (BASELINES / "tr114/1.0.0/published.csv").open(encoding="utf-8") as file:
        lines = [line for line in file if ",config," in line]
    cells = defaultdict(set)
    for line in lines:
        section, subject, printed = (
            line.split(",")[1],
            line.split(",config,")[1].split(",")[0],
            line,
        )
        cells[section, subject] |= set(re.findall(r"(?<=,)[\d.]+[x%](?=,)|\d/\d", printed))
    rows = {
        (one.section, one.id.removeprefix("row-")): {value.text for value in one.values}
        for one in claims.claims
        if one.id.startswith("row-")
    }
    assert len(rows) == 30
    assert rows == dict(cells)


def sections(shared: Path) -> dict[str, str]:
    """The report's text by section, with each section's head, without emphasis."""
    path = shared.parent / "seed/technical_report_114.md"
    if not path.is_file():
        pytest.skip("no text of the report beside the data")
    text = path.read_text(encoding="utf-8").replace("**", "")
    heading = r"^(?=#{2,4} (?:(\d[\d.]*)\.? |(Executive Summary)).*$)"
    first, *parts = re.split(heading, text, flags=re.MULTILINE)
    triples = zip(parts[::3], parts[1::3], parts[2::3], strict=True)
    return {"Title page": first} | {
        number.rstrip(".") if number else name: body for number, name, body in triples
    }


def test_every_printed_number_stands_in_its_section(claims: Claims, shared: Path) -> None:
    texts = sections(shared)
    checked = 0
    for claim in claims.claims:
        for value in claim.values:
            if value.figure is None:
                continue
            for number in re.findall(r"\d[\d,]*(?:\.\d+)?", value.text):
                exactly = rf"(?<![\d.,]){re.escape(number)}(?!\d|[.,]\d)"
                assert re.search(exactly, texts[claim.section]), (claim.id, value.text)
                checked += 1
    assert checked > 700


def test_nothing_is_copied_from_the_report(claims: Claims, shared: Path) -> None:
    def words(text: str) -> list[str]:
        return re.findall(r"[\w.%]+", text.lower())

    def runs_of_seven(text: str) -> set[tuple[str, ...]]:
        found = words(text)
        return {tuple(found[i : i + 7]) for i in range(len(found) - 6)}

    report = runs_of_seven(" ".join(sections(shared).values()))
    for claim in claims.claims:
        for text in (claim.paraphrase, claim.unsupported or "", claim.note or ""):
            assert not runs_of_seven(text) & report, claim.id


# Without data


def test_on_paper_only_the_arithmetic_is_judged(on_paper: dict[str, Judged]) -> None:
    table = counts(list(on_paper.values()))
    assert table["arithmetic"]["not_checkable"] == table["arithmetic"]["unsupported"] == 0
    for kind in ("aggregate", "config_row", "comparison", "causal"):
        verdicts = {verdict for verdict, count in table[kind].items() if count}
        assert verdicts <= {"not_checkable", "unsupported"}, kind


@pytest.mark.parametrize(
    ("name", "verdict", "recomputed"),
    [
        ("summary-gap-83", "contradicted", (75.842452,)),
        ("phases-scenarios-total", "reproduced", (30.0, 150.0)),
        ("scenarios-bvc-phases", "contradicted", (7.0,)),
        ("scenarios-homo-phases", "contradicted", (16.0,)),
        ("vs-tr113-contention-shares", "reproduced", (63.157895, 6.0)),
        ("vs-tr114-contention-tables", "contradicted", (10.0, 150.0)),
        ("vs-tr113-contention-tables", "contradicted", ("14/19",)),
        ("summary-contention-10x-print", "reproduced", (10.58042,)),
        ("contention-tr114-120-share", "contradicted", (10.909091,)),
        ("tokio-overhead-sum", "reproduced", (900.0,)),
        ("tokio-overhead-share", "reproduced", (7.2001312,)),
        ("timeline-duration", "reproduced", (6.25,)),
        ("bvc-context-60-print", "contradicted", (-0.9,)),
        ("bvc-context-120-print", "reproduced", (3.8,)),
    ],
)
def test_the_arithmetic_of_the_report(
    name: str, verdict: str, recomputed: tuple[object, ...], on_paper: dict[str, Judged]
) -> None:
    found = on_paper[name]
    assert (found.verdict, found.recomputed) == (verdict, pytest.approx(recomputed))


# With the runs


def test_the_overall_statistics_are_reproduced(audited: dict[str, Judged]) -> None:
    own = [one for one in audited.values() if one.claim.section == "9.4"]
    aggregates = [one for one in own if one.claim.kind == "aggregate"]
    assert len(aggregates) == 16
    assert {one.verdict for one in aggregates} == {"reproduced"}
    for phase in ("core", "temperature", "validation"):
        assert audited[f"summary-phase-{phase}"].verdict == "reproduced"


def test_no_row_of_a_configuration_table_follows_from_the_runs(
    audited: dict[str, Judged],
) -> None:
    table = counts(list(audited.values()))["config_row"]
    assert table["contradicted"] > sum(table.values()) / 2
    rows = [one for name, one in audited.items() if name.startswith("row-")]
    assert len(rows) == 30
    assert {one.verdict for one in rows} == {"contradicted"}
    never = audited["row-validation-homo-g80-c2048-t1.0"]
    assert never.recomputed == (None, None, None, "0/0")
    assert "never run in phase 3" in never.how


def test_no_config_is_best(audited: dict[str, Judged]) -> None:
    assert audited["summary-best-config"].verdict == "unsupported"
    assert "p = 0.85 that no config_id differs" in audited["summary-best-config"].how
    assert audited["phases-validation-best"].verdict == "contradicted", "it was not in phase 1"
    for name in ("bvc-best", "hetero-best", "homo-best", "temperature-best", "validation-best"):
        assert audited[name].verdict == "contradicted"
    for name in ("homo-512-optimal", "hetero-layers-best", "summary-homo-superior"):
        assert audited[name].verdict == "unsupported"
        assert "differs" in audited[name].how


def test_the_runtime_costs_less_than_is_claimed_wherever_it_does(
    audited: dict[str, Judged],
) -> None:
    outside = audited["tokio-loss"]
    assert outside.verdict == "contradicted"
    assert "orchestration_loss" in outside.how
    assert outside.recomputed[0] == pytest.approx(-0.005584, abs=1e-5)
    for name in ("tokio-loss-anywhere", "reqwest-loss", "revised-total", "summary-runtime-cause"):
        found = audited[name]
        assert found.verdict == "contradicted"
        assert "loss_beside_decoding" in found.how
        assert found.recomputed[0] == pytest.approx(-1.39, abs=0.01)
    # what lies within that bound is neither shown nor refuted
    for name in ("revised-reqwest", "safety-loss", "revised-safety"):
        assert audited[name].verdict == "unsupported"
        assert "1.4 points" in audited[name].how


def test_every_verdict_has_its_line_of_numbers(audited: dict[str, Judged]) -> None:
    for one in audited.values():
        assert one.how
        assert "\n" not in one.how
        assert len(one.published) == len(one.recomputed) == len(one.claim.values)
        if one.verdict in ("reproduced", "within_one_unit", "contradicted"):
            assert re.search(r"\d", one.how), one.claim.id
    assert not [one for one in audited.values() if "has no column" in one.how]
    table = counts(list(audited.values()))
    assert table["all"]["not_checkable"] == 4  # TR108, TR109, TR111 and TR112


def test_the_readme_counts_the_verdicts(audited: dict[str, Judged]) -> None:
    table = counts(list(audited.values()))["all"]
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    found = re.search(
        r"(\d+) are reproduced .*?, (\d+) within one unit, (\d+) contradicted, (\d+) unsupported,"
        r" (\d+) not checkable",
        readme,
    )
    assert found
    assert tuple(map(int, found.groups())) == tuple(table.values())
    assert f" {len(audited)} statements " in readme


# The same once more, from the source's files and plain Python


def raw(shared: Path, name: str) -> list[Row]:
    rows = []
    for path in sorted((shared / "chimeraforge" / name).rglob("metrics.json")):
        run = json.loads(path.read_text(encoding="utf-8"))
        summary = run["summary"]
        place = path.parent.parent.relative_to(shared / "chimeraforge" / name).as_posix()
        rust = "concurrent_wall_time_s" in summary
        wall = summary["concurrent_wall_time_s" if rust else "concurrent_wall_time"]
        ends = [
            run[agent]["execution_time_s"] if rust else run[f"{agent}_execution_time"]
            for agent in ("collector", "insight")
        ]
        rows.append(
            {
                "place": place,
                "speedup": sum(ends) / wall,
                "efficiency": 50 * sum(ends) / wall,
                "loss": 100 * (wall - max(ends)) / wall,
                "wall": wall,
                "flag": summary["resource_contention_detected"],
                "run": run,
            }
        )
    return rows


def test_the_stored_flag_is_a_speedup_under_one_and_a_half(
    shared: Path, audited: dict[str, Judged]
) -> None:
    rows = raw(shared, "tr114")
    assert sum(row["flag"] == (row["speedup"] < 1.5) for row in rows) == 150
    late = [
        any(
            row["run"][agent]["result"]["individual_runs"][0]["ttft_ms"] > 3300
            for agent in ("collector", "insight")
        )
        for row in rows
    ]
    both = sum(late[i] and rows[i]["flag"] for i in range(150))
    found = audited["method-contention-rule"]
    assert found.verdict == "contradicted"
    assert found.recomputed == (both, sum(late) - both, 0.0) == (1, 9, 0.0)


def test_claims_recomputed_from_the_sources_own_files(
    shared: Path, audited: dict[str, Judged]
) -> None:
    rows, tr113, tr110 = (raw(shared, name) for name in ("tr114", "tr113", "tr110"))
    assert [len(rows), len(tr113), len(tr110)] == [150, 19, 150]

    def of(part: str, key: str = "efficiency") -> list[float]:
        return [row[key] for row in rows if part in row["place"]]

    def a_row(place: str) -> list[object]:
        flags = of(place, "flag")
        efficiency = of(place)
        assert len(flags) == 5
        return [
            statistics.fmean(of(place, "speedup")),
            statistics.fmean(efficiency),
            max(efficiency),
            f"{sum(flags)}/{len(flags)}",
        ]

    def started(row: Row) -> float:
        return min(
            datetime.fromisoformat(re.sub(r"(\.\d{6})\d*", r"\1", one["result"]["timestamp"]))
            .timestamp() - one["execution_time_s"]
            for one in (row["run"]["collector"], row["run"]["insight"])
        )  # fmt: skip

    def tokens(agent: str) -> float:
        return statistics.fmean(
            row["run"][agent]["result"]["individual_runs"][0]["tokens_generated"] for row in rows
        )

    def parts(row: Row) -> list[tuple[float, float, float]]:
        """Of each agent: duration, first token and decoding."""
        found = []
        for agent in (row["run"]["collector"], row["run"]["insight"]):
            (call,) = agent["result"]["individual_runs"]
            told = (call["ttft_ms"] / 1000, call["eval_duration_ms"] / 1000)
            found.append((agent["execution_time_s"], *told))
        return found

    def rests(row: Row) -> list[float]:
        return [duration - first - decode for duration, first, decode in parts(row)]

    def beside_decoding(row: Row) -> float:
        """In percent: the longer agent's time beside decoding, less the mean of both."""
        beside = [duration - decode for duration, _, decode in parts(row)]
        longer = max((0, 1), key=lambda agent: parts(row)[agent][0])
        spread: float = beside[longer] - statistics.fmean(beside)
        return float(row["loss"] + 100 * spread / row["wall"])

    every = [row["efficiency"] for row in rows]
    python = [row["efficiency"] for row in tr110]
    by_place = defaultdict(list)
    for row in tr110:
        by_place[row["place"]].append(row["efficiency"])
    assert len(by_place) == 30
    begun = [started(row) for row in rows]
    contended = [row for row in rows if row["flag"]]
    contexts = [
        max(
            row["run"][agent]["config"]["options"].get("num_ctx", 0)
            for agent in ("collector", "insight")
        )
        for row in contended
    ]
    wanted: dict[str, list[object]] = {
        "stat-efficiency-mean": [statistics.fmean(every)],
        "stat-efficiency-median": [statistics.median(every)],
        "stat-efficiency-sd": [statistics.stdev(every)],
        "stat-efficiency-range": [min(every), max(every)],
        "stat-speedup-median": [statistics.median(row["speedup"] for row in rows)],
        "stat-tr113-efficiency-mean": [statistics.fmean(row["efficiency"] for row in tr113)],
        "stat-tr113-efficiency-sd": [statistics.stdev(row["efficiency"] for row in tr113)],
        "vs-tr113-contention-counts": [
            f"{sum(row['speedup'] < 1.5 for row in tr113)}/19",
            f"{sum(row['speedup'] < 1.5 for row in rows)}/150",
        ],
        "summary-python-mean": [statistics.fmean(python)],
        "vs-tr110-sd": [
            statistics.stdev(python),
            statistics.stdev(map(statistics.fmean, by_place.values())),
            statistics.stdev(every),
            statistics.stdev(every) - statistics.stdev(python),
        ],
        "summary-gain": [
            statistics.fmean(every) - statistics.fmean(r["efficiency"] for r in tr113)
        ],
        "summary-homo": [
            statistics.fmean(of("chimera-homo")),
            100 * statistics.fmean(of("chimera-homo", "flag")),
        ],
        "row-bvc-g80-c512": a_row("phase1/baseline-vs-chimera/gpu80_ctx512_"),
        "row-hetero-g60x80-c1024x2048": a_row("phase1/chimera-hetero/gpu60_80_ctx1024_2048"),
        "row-homo-g120-c1024": a_row("phase1/chimera-homo/gpu120_ctx1024_"),
        "row-homo-g80-c512-t1.0": a_row("phase2/chimera-homo/gpu80_ctx512_temp1"),
        "row-validation-bvc-g80-c512": a_row("phase3/baseline-vs-chimera/"),
        "by-temperature-0.6": [
            statistics.fmean(of("_temp0p6")),
            max(of("_temp0p6")),
            f"{sum(of('_temp0p6', 'flag'))}/15",
        ],
        "tokio-loss": [
            -statistics.fmean(row["loss"] for row in rows),
            -max(row["loss"] for row in rows),
        ],
        "tokio-loss-anywhere": [-statistics.fmean(map(beside_decoding, rows))],
        "tokio-overhead-measured": [
            10
            * statistics.fmean(row["wall"] for row in rows)
            * statistics.fmean(row["loss"] for row in rows)
            + 1000 * statistics.fmean(sum(rests(row)) for row in rows)
        ],
        "reqwest-tokens": [tokens("collector"), tokens("insight")],
        "contention-context": [
            sum(context >= 1024 for context in contexts),
            f"{sum(context >= 2048 for context in contexts)}/9",
        ],
        "timeline-duration-data": [(max(begun) - min(begun)) / 3600],
    }
    assert len(wanted) > 20
    for name, values in wanted.items():
        found = audited[name].recomputed
        assert len(found) == len(values), name
        for one, value in zip(found, values, strict=True):
            assert one == (value if isinstance(value, str) else pytest.approx(value, rel=1e-6)), (
                name
            )
