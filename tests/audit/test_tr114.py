"""The shipped claims of Technical Report 114: whole, printed as they stand, and as audited."""

import json
import re
import statistics
from collections import defaultdict
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from study_texts import REPOSITORY

from tandembench.audit.check import check_claims
from tandembench.audit.claims import Claims, open_claims
from tandembench.audit.judge import VERDICTS, Judged, audit, counts
from tandembench.audit.sides import open_side
from tandembench.audit.tables import Source, printed_table, run_tables
from tandembench.dataset.load import Dataset

FILE = REPOSITORY / "resources/claims/tr114.yaml"
BASELINES = REPOSITORY / "resources/baselines"


@pytest.fixture(scope="module")
def claims() -> Claims:
    return open_claims(FILE)


@pytest.fixture(scope="module")
def on_paper() -> dict[str, Judged]:
    """The audit without any runs, by id."""
    return {one.claim.said.id: one for one in check_claims(FILE, (), BASELINES)[1]}


@pytest.fixture(scope="module")
def sources(tr110: Dataset, tr113: Dataset, tr114: Dataset) -> dict[str, Source]:
    """The runs and printed numbers of all three reports."""
    sources = {}
    for name, dataset in (("tr110", tr110), ("tr113", tr113), ("tr114", tr114)):
        tables = run_tables(dataset.runs, dataset.executions)
        printed = printed_table(open_side(name, BASELINES).printed)
        sources[name] = Source(*tables, printed)
    return sources


@pytest.fixture(scope="module")
def audited(claims: Claims, sources: dict[str, Source]) -> dict[str, Judged]:
    """The audit with the runs of all three reports, by id."""
    return {one.claim.said.id: one for one in audit(claims, sources)}


def recomputed(judged: Judged) -> list[object]:
    return [one.recomputed for one in judged.values]


# The file


def test_every_row_of_a_configuration_table_is_a_claim(claims: Claims) -> None:
    """Those of 3.1 to 3.3 with speedup, mean, peak and contention, cell by cell."""
    cells = defaultdict(set)
    for cell in open_side("tr114", BASELINES).printed:
        if cell["scope"] == "config":
            cells[cell["section"], cell["subject"]].add(cell["printed"])
    rows = {
        (one.said.section, one.said.id.removeprefix("row-")): {
            value.text for value in one.values if value.figure
        }
        for one in claims.claims
        if one.said.id.startswith("row-")
    }
    assert len(rows) == 30
    assert rows == dict(cells)


@pytest.mark.parametrize(("name", "least"), [("tr110", 150), ("tr113", 120), ("tr114", 700)])
def test_every_printed_number_stands_in_its_section(
    name: str, least: int, printed: dict[str, dict[str, str]]
) -> None:
    checked = 0
    for claim in open_claims(FILE.with_name(f"{name}.yaml")).claims:
        for value in claim.values:
            for number in re.findall(r"\d[\d,]*(?:\.\d+)?", value.text if value.figure else ""):
                exactly = rf"(?<![\d.,]){re.escape(number)}(?!\d|[.,]\d)"
                assert re.search(exactly, printed[name][claim.said.section]), (
                    claim.said.id,
                    value.text,
                )
                checked += 1
    assert checked > least


# Verdicts


# By kind: claims that follow, within one unit, are not checkable, unsupported, not distinguishable,
# and do not follow.
COUNTS = {
    "tr110": {
        "aggregate": (5, 1, 0, 6, 0, 9),
        "config_row": (38, 0, 0, 0, 0, 0),
        "comparison": (3, 0, 0, 0, 1, 1),
        "arithmetic": (5, 0, 0, 0, 0, 3),
    },
    "tr113": {
        "aggregate": (4, 0, 0, 2, 0, 4),
        "config_row": (22, 0, 0, 0, 0, 3),
        "comparison": (2, 1, 1, 0, 2, 9),
        "arithmetic": (7, 0, 0, 0, 0, 2),
    },
    "tr114": {
        "aggregate": (77, 2, 1, 16, 0, 35),
        "config_row": (9, 0, 0, 0, 0, 39),
        "comparison": (26, 2, 3, 2, 17, 62),
        "arithmetic": (70, 0, 0, 0, 0, 29),
        "causal": (1, 0, 0, 26, 1, 35),
    },
}


@pytest.mark.parametrize("name", COUNTS)
def test_counts_by_kind_and_verdict(name: str, sources: dict[str, Source]) -> None:
    judged = audit(open_claims(FILE.with_name(f"{name}.yaml")), sources)
    table = counts(judged)
    for kind, wanted in COUNTS[name].items():
        assert tuple(table[kind][verdict] for verdict in reversed(VERDICTS)) == wanted, kind
    assert sum(map(sum, COUNTS[name].values())) == len(judged)


@pytest.mark.parametrize(
    ("name", "verdict", "values"),
    [
        ("summary-gap-83", "contradicted", [75.842452]),
        ("phases-scenarios-total", "reproduced", [30.0, 150.0]),
        ("scenarios-bvc-phases", "contradicted", [7.0]),
        ("vs-tr113-contention-shares", "reproduced", [63.157895, 6.0]),
        ("vs-tr113-contention-tables", "contradicted", ["14/19"]),
        ("contention-tr113-sum", "contradicted", ["11/12"]),
        ("summary-contention-10x-print", "reproduced", [10.58042]),
        ("contention-tr114-120-share", "contradicted", [10.909091]),
        ("hetero-layers-cause", "contradicted", [180.0]),
        ("tokio-overhead-share", "reproduced", [7.2001312]),
        ("timeline-duration", "reproduced", [6.25]),
        ("bvc-context-60-print", "contradicted", [-0.9]),
    ],
)
def test_the_arithmetic_of_the_report(
    name: str, verdict: str, values: list[object], on_paper: dict[str, Judged]
) -> None:
    found = on_paper[name]
    assert (found.verdict, recomputed(found)) == (verdict, pytest.approx(values))


def test_on_paper_only_the_arithmetic_is_judged(on_paper: dict[str, Judged]) -> None:
    table = counts(list(on_paper.values()))
    assert table["arithmetic"]["not_checkable"] == table["arithmetic"]["unsupported"] == 0
    for kind in ("aggregate", "config_row", "comparison", "causal"):
        verdicts = {verdict for verdict, count in table[kind].items() if count}
        assert verdicts <= {"not_checkable", "unsupported"}, kind


def test_the_overall_statistics_are_reproduced_and_no_row_is(audited: dict[str, Judged]) -> None:
    own = [one for one in audited.values() if one.claim.said.section == "9.4"]
    aggregates = [one for one in own if one.claim.said.kind == "aggregate"]
    assert [one.verdict for one in aggregates] == ["reproduced"] * 16
    rows = [one for name, one in audited.items() if name.startswith("row-")]
    assert [one.verdict for one in rows] == ["contradicted"] * 30
    never = audited["row-validation-homo-g80-c2048-t1.0"]
    assert never.values[-1].recomputed == 0, "no run has its options"


@pytest.mark.parametrize(
    ("names", "verdict"),
    [
        # No config, and no level, is best; the other named ones were never run so.
        (("summary-best-config", "homo-512-optimal", "hetero-layers-best", "optimal-context",
          "summary-homo-superior"), "not_distinguishable"),
        (("bvc-best", "hetero-best", "homo-best", "temperature-best", "execution-processes"),
         "contradicted"),
        # What a client can cost is bounded by agents that never overlap.
        (("tokio-loss", "tokio-loss-anywhere", "reqwest-loss", "revised-total", "revised-reqwest",
          "optimise-buffer", "future-http", "tokio-overhead-measured"), "contradicted"),
        (("revised-safety", "method-loading"), "reproduced"),
        (("safety-loss", "verdict-mandatory", "background-bottleneck"), "unsupported"),
        # The peak run loaded its model; answers come in pieces, to both agents at once.
        (("summary-peak-cause", "hetero-peak-cause", "reqwest-monolithic", "reqwest-sequential",
          "method-contention-rule"), "contradicted"),
        # A change of context loaded nothing: none was applied. TR110's range is that of its loads.
        (("bvc-context-cause", "context-tied-cause", "takeaway-context-cause",
          "hetero-layers-cause", "contention-tr113-sum"), "contradicted"),
        (("decision-sensitivity",), "not_distinguishable"),
        (("summary-phases-87", "summary-suboptimal", "summary-gain"), "reproduced"),
    ],
)  # fmt: skip
def test_verdicts(names: tuple[str, ...], verdict: str, audited: dict[str, Judged]) -> None:
    assert {name: audited[name].verdict for name in names} == dict.fromkeys(names, verdict)


def test_every_verdict_has_its_line_of_numbers(audited: dict[str, Judged]) -> None:
    for one in audited.values():
        assert one.how
        assert "\n" not in one.how
        if one.verdict in ("reproduced", "within_one_unit", "contradicted"):
            assert re.search(r"\d", one.how), one.claim.said.id
    assert not [one for one in audited.values() if "has no column" in one.how]
    table = counts(list(audited.values()))["all"]
    assert table["not_checkable"] == 4  # TR108, TR109, TR111 and TR112
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    assert all(f" {count} " in readme for count in table.values())
    assert f" {len(audited)} statements " in readme


# The same once more, from the source's files and plain Python


def raw(shared: Path, name: str) -> list[dict[str, Any]]:
    rows = []
    for path in sorted((shared / "chimeraforge" / name).rglob("metrics.json")):
        run = json.loads(path.read_text(encoding="utf-8"))
        summary = run["summary"]
        rust = "concurrent_wall_time_s" in summary
        wall = summary["concurrent_wall_time_s" if rust else "concurrent_wall_time"]
        agents = "collector", "insight"
        ends = [
            run[agent]["execution_time_s"] if rust else run[f"{agent}_execution_time"]
            for agent in agents
        ]
        rows.append(
            {
                "place": path.parent.parent.relative_to(shared / "chimeraforge" / name).as_posix(),
                "speedup": sum(ends) / wall,
                "efficiency": 50 * sum(ends) / wall,
                "loss": 100 * (wall - max(ends)) / wall,
                "wall": wall,
                "flag": summary["resource_contention_detected"],
                "agents": [run[agent] for agent in agents],
            }
        )
    return rows


def call(agent: dict[str, Any]) -> dict[str, float]:
    (found,) = agent["result"]["individual_runs"]
    return dict(found)


def test_claims_recomputed_from_the_sources_own_files(
    shared: Path, audited: dict[str, Judged]
) -> None:
    rows, tr113, tr110 = (raw(shared, name) for name in ("tr114", "tr113", "tr110"))
    assert [len(rows), len(tr113), len(tr110)] == [150, 19, 150]

    def of(part: str, key: str = "efficiency") -> list[float]:
        return [row[key] for row in rows if part in row["place"]]

    def a_row(place: str) -> list[object]:
        flags, efficiency = of(place, "flag"), of(place)
        assert len(flags) == 5
        means = statistics.fmean(of(place, "speedup")), statistics.fmean(efficiency)
        return [*means, max(efficiency), f"{sum(flags)}/{len(flags)}"]

    def started(row: dict[str, Any]) -> float:
        return min(
            datetime.fromisoformat(re.sub(r"(\.\d{6})\d*", r"\1", one["result"]["timestamp"]))
            .timestamp() - one["execution_time_s"]
            for one in row["agents"]
        )  # fmt: skip

    def rest_s(agent: dict[str, Any]) -> float:
        """Time of an agent that is neither first token nor decoding."""
        known = call(agent)
        return (
            float(agent["execution_time_s"]) - (known["ttft_ms"] + known["eval_duration_ms"]) / 1000
        )

    every = [row["efficiency"] for row in rows]
    python = [row["efficiency"] for row in tr110]
    by_place = defaultdict(list)
    for row in tr110:
        by_place[row["place"]].append(row["efficiency"])
    begun = [started(row) for row in rows]
    wall = statistics.fmean(row["wall"] for row in rows)
    loss = statistics.fmean(row["loss"] for row in rows)
    client = statistics.fmean(rest_s(agent) for row in tr113 for agent in row["agents"])
    late = [any(call(agent)["ttft_ms"] > 3300 for agent in row["agents"]) for row in rows]
    both = sum(late[i] and rows[i]["flag"] for i in range(150))
    wanted: dict[str, list[object]] = {
        "stat-efficiency-mean": [statistics.fmean(every)],
        "stat-efficiency-median": [statistics.median(every)],
        "stat-efficiency-sd": [statistics.stdev(every)],
        "stat-efficiency-range": [min(every), max(every)],
        "stat-speedup-median": [statistics.median(row["speedup"] for row in rows)],
        "stat-tr113-efficiency-mean": [statistics.fmean(row["efficiency"] for row in tr113)],
        "vs-tr113-contention-counts": [
            f"{sum(row['speedup'] < 1.5 for row in tr113)}/19",
            f"{sum(row['speedup'] < 1.5 for row in rows)}/150",
        ],
        "vs-tr110-sd": [
            statistics.stdev(python),
            statistics.stdev(map(statistics.fmean, by_place.values())),
            statistics.stdev(every),
            statistics.stdev(every) - statistics.stdev(python),
        ],
        "summary-gain": [
            statistics.fmean(every) - statistics.fmean(row["efficiency"] for row in tr113)
        ],
        "summary-homo": [
            statistics.fmean(of("chimera-homo")),
            100 * statistics.fmean(of("chimera-homo", "flag")),
        ],
        "row-bvc-g80-c512": a_row("phase1/baseline-vs-chimera/gpu80_ctx512_"),
        "row-hetero-g60x80-c1024x2048": a_row("phase1/chimera-hetero/gpu60_80_ctx1024_2048"),
        "row-homo-g80-c512-t1.0": a_row("phase2/chimera-homo/gpu80_ctx512_temp1"),
        "row-validation-bvc-g80-c512": a_row("phase3/baseline-vs-chimera/"),
        "tokio-loss": [-loss, -max(row["loss"] for row in rows)],
        "tokio-loss-anywhere": [-(100 * client / wall + loss)],
        "tokio-overhead-measured": [10 * wall * loss + 2000 * client],
        "method-contention-rule": [both, sum(late) - both, 0.0],
        "timeline-duration-data": [(max(begun) - min(begun)) / 3600],
    }
    for name, values in wanted.items():
        assert recomputed(audited[name]) == [
            value if isinstance(value, str) else pytest.approx(value, rel=1e-6) for value in values
        ], name
    assert both == 1
