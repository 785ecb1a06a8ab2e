"""The published baselines: every row reads as it is printed, and is where the report prints it."""

import csv
import hashlib
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from study_texts import REPOSITORY, read

from tandembench.dataset.descriptor import read_descriptor

NAMES = ("tr110", "tr113", "tr114")
BASELINES = REPOSITORY / "resources/baselines"
Row = dict[str, str]


def folder(name: str) -> Path:
    return BASELINES / name / "1.0.0"


def read_csv(path: Path) -> list[Row]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, strict=True))


ROWS = {name: read_csv(folder(name) / "published.csv") for name in NAMES}
ALL = [row for rows in ROWS.values() for row in rows]


def where(row: Row) -> str:
    return " / ".join(row[key] for key in ("report", "section", "subject", "metric", "printed"))


@pytest.mark.parametrize("name", NAMES)
def test_rows_keep_to_the_schema_of_their_descriptor(name: str) -> None:
    descriptor = read_descriptor(folder(name))
    (resource,) = descriptor["resources"]
    data = (folder(name) / resource["path"]).read_bytes()
    assert resource["hash"] == f"sha256:{hashlib.sha256(data).hexdigest()}"
    assert (descriptor["name"], descriptor["version"]) == (name, "1.0.0")
    assert (descriptor["kind"], descriptor["licenses"][0]["name"]) == ("published", "MIT")
    fields: list[dict[str, Any]] = resource["schema"]["fields"]
    ((*unique,),) = resource["schema"]["uniqueKeys"]
    assert len(ROWS[name]) > 200
    for row in ROWS[name]:
        assert list(row) == [field["name"] for field in fields]
        for field in fields:
            cell, rule = row[field["name"]], field.get("constraints", {})
            assert cell == cell.strip()
            assert cell or not rule.get("required"), where(row)
            assert cell in rule.get("enum", [cell]), where(row)
            if cell and field["type"] == "number":
                assert Decimal(cell) >= rule.get("minimum", Decimal("-inf")), where(row)
        assert (row["value"] == "") == (row["unit"] == ""), where(row)
        assert (row["subject"] == "") == (row["scope"] == "overall"), where(row)
    assert len({tuple(row[key] for key in unique) for row in ROWS[name]}) == len(ROWS[name])


def test_the_configs_of_technical_report_114_are_those_of_the_study() -> None:
    study = read((REPOSITORY / "config/study.yaml").read_text(encoding="utf-8"))
    phases = {"3.1.1": "core", "3.1.2": "core", "3.1.3": "core", "3.2": "temperature"}
    phases["3.3"] = "validation"
    rows = [row for row in ROWS["tr114"] if row["scope"] == "config"]
    wanted = {(one.phase, config.id) for one in study.comparisons for config in one.configs}

    printed = {(phases[row["section"]], row["subject"]) for row in rows}
    assert len(printed) == 30
    assert printed == {(phase, name) for phase, name in wanted if phase in phases.values()}


@pytest.mark.parametrize("name", ["tr110", "tr113"])
def test_what_another_report_prints_stands_in_both_baselines(name: str) -> None:
    def facts(rows: list[Row]) -> set[tuple[str, ...]]:
        left_out = ("scope", "subject")
        return {tuple(cell for key, cell in row.items() if key not in left_out) for row in rows}

    lent = [row for row in ROWS[name] if row["report"] != name.upper()]
    compared = [row for row in ROWS["tr114"] if row["subject"] == name.upper()]
    assert {row["report"] for row in lent} == {"TR114"}
    assert {(row["scope"], row["subject"]) for row in lent} == {("overall", "")}
    assert facts(lent) <= facts(compared)


# A row against its own cell

NUMBER = re.compile(
    r"([+-]?)(\d{1,3}(?:,\d{3})+|\d+)(\.\d+)?\s?(GB/s|GB|tok/s|ms|min|pp|%|x|\u00d7)?"
)
FRACTION = re.compile(r"(\d+)/(\d+)")
RANGE = re.compile(r"(\d+(?:\.\d+)?)(%|x)? ?- ?(\d+(?:\.\d+)?)(%|pp|x)?")
COUNTED = ("runs", "configs", "servers")
# What a number's suffix stands for, in the unit of the row; "" where the column's head has it.
SUFFIXES: dict[str, dict[str, str]] = {
    "1": {"%": "0.01", "pp": "0.01"},
    "s": {"": "0.001", "ms": "0.001", "min": "60"},
    "tokens/s": {"": "1", "tok/s": "1"},
    "bytes": {"GB": "1e9"},
    "bytes/s": {"GB/s": "1e9"},
}
OF_METRIC = {
    "speedup_estimate": {"x": "1", "\u00d7": "1"},
    "p_value": {"": "1"},
    "optimal_temperature": {"": "1"},
}


def reading(row: Row) -> tuple[Decimal, Decimal]:
    """Value and resolution that the printed cell gives, by statistic and unit of its row."""
    printed, statistic = row["printed"], row["statistic"]
    if printed in ("Yes", "No"):
        return Decimal(printed == "Yes"), Decimal(0)
    if time := re.fullmatch(r"(\d+) hours (\d+) minutes", printed):
        return Decimal(time[1]) * 3600 + Decimal(time[2]) * 60, Decimal(30)
    if statistic in ("count", "of") and (found := FRACTION.findall(printed)):
        ((count, of),) = found
        return Decimal(count if statistic == "count" else of), Decimal(0)
    suffixes = OF_METRIC.get(row["metric"]) or SUFFIXES.get(row["unit"], {"": "1"})
    if statistic in ("min", "max") and (ends := RANGE.fullmatch(printed)):
        low, _, high, suffix = ends.groups(default="")
        text, scale = (low if statistic == "min" else high), Decimal(suffixes[suffix])
    else:
        numbers = NUMBER.findall(FRACTION.sub("", printed))
        if row["unit"] in COUNTED:
            del numbers[1:]  # 2 servers (ports ...)
        ((sign, whole, rest, suffix),) = [number for number in numbers if number[3] in suffixes]
        text, scale = f"{sign}{whole.replace(',', '')}{rest}", Decimal(suffixes[suffix])
    digits = len(text.partition(".")[2])
    return Decimal(text) * scale, Decimal(10) ** -digits * scale / 2


@pytest.mark.parametrize("name", NAMES)
def test_values_and_resolutions_are_those_of_the_printed_cells(name: str) -> None:
    numbers = [row for row in ROWS[name] if row["unit"]]

    for row in numbers:
        value, resolution = reading(row)
        assert abs(Decimal(row["value"]) - value) <= Decimal("1e-12"), where(row)
        if row["unit"] in COUNTED:
            assert row["resolution"] == "", where(row)
        else:
            assert Decimal(row["resolution"]) == resolution > 0, where(row)
    assert len(numbers) > 200
    for row in ROWS[name]:
        assert row["unit"] or row["resolution"] == "", where(row)


# The rows against what the reports print

ABOUT = ("report", "section", "section_title", "caption", "source_line", "row", "group")
# Recommendations, explanations, and what reports say of one another in passing.
LEFT_OUT = {
    "tr110_7.1",
    "tr113_6.1",
    "tr113_6.3",
    "tr113_6.3_2",
    "tr113_8.4",
    "tr114_6.4_overhead_chain",
    "tr114_7.1_decision_matrix",
    "tr114_7.3_recommended_python",
    "tr114_7.3_recommended_rust",
    "tr114_9.5_related",
}
# Tables of configs, and the id of a row. format_map fills in its cells.
CONFIGS = {
    "tr110_3.1": "bvc-g{GPU (Chimera)}-c{CTX}",
    "tr110_3.2": "hetero-g{GPU 1}x{GPU 2}-c{CTX 1}x{CTX 2}",
    "tr110_3.3": "homo-g{GPU}-c{CTX}",
    "tr110_3.3_2": "homo-g80-c{CTX}-t{TEMP}",
    "tr110_3.3_3": "homo-g{GPU}-c{CTX}",
    "tr110_5.3": "homo-g80-c2048-t{Temperature}",
    "tr113_3.1": "bvc-g{GPU (Chimera)}-c{CTX}-t{TEMP}",
    "tr113_3.1.2": "bvc-g{GPU}-c{CTX}",
    "tr113_3.2": "hetero-g{GPU A}x{GPU B}-c{CTX A}x{CTX B}-t{TEMP A}x{TEMP B}",
    "tr113_3.3": "homo-g{GPU}-c{CTX}-t{TEMP}",
    "tr113_3.3.2": "homo-g80-c{CTX}",
    "tr114_3.1.1_phase1_bvc": "bvc-g{GPU (Chimera)}-c{CTX}",
    "tr114_3.1.2_phase1_hetero": "hetero-g{GPU A}x{GPU B}-c{CTX A}x{CTX B}",
    "tr114_3.1.3_phase1_homo": "homo-g{GPU}-c{CTX}",
    "tr114_3.2_phase2_temp_ctx": "homo-g80-c{CTX}-t{TEMP}",
    "tr114_3.3_phase3": "{Scenario}: {Config}",
}
PHASE_3 = {
    "baseline_vs_chimera: GPU=80, CTX=512, TEMP=0.8": "validation-bvc-g80-c512",
    "chimera_hetero: GPU=80/80, CTX=512/1024, TEMP=0.8": "validation-hetero-g80x80-c512x1024",
    "chimera_homo: GPU=80, CTX=2048, TEMP=1.0": "validation-homo-g80-c2048-t1.0",
}
# Head of a column -> metric, statistic ("" for the report's own), what the head adds to the id.
HEADS = {
    "Mean Speedup": ("speedup_estimate", "mean", ""),
    "Mean Efficiency": ("efficiency_estimate", "mean", ""),
    "Peak Efficiency": ("efficiency_estimate", "peak", ""),
    "Speedup": ("speedup_estimate", "", ""),
    "Avg Speedup (CTX=2048, GPU=80)": ("speedup_estimate", "", ""),
    "Efficiency": ("efficiency_estimate", "", ""),
    "TEMP=0.6 Eff": ("efficiency_estimate", "", "-t0.6"),
    "TEMP=0.8 Eff": ("efficiency_estimate", "", "-t0.8"),
    "TTFT Δ (ms)": ("ttft_delta_s", "", ""),
    "TP Δ (tok/s)": ("throughput_delta_tokens_per_s", "", ""),
    "Throughput Δ": ("throughput_delta_tokens_per_s", "", ""),
}


@pytest.fixture
def tables(shared: Path) -> dict[str, list[Row]]:
    """The reports' tables in scope, by file name, verbatim."""
    found = {path.stem: read_csv(path) for path in (shared / "published").glob("*.csv")}
    assert found.keys() > LEFT_OUT
    return {name: rows for name, rows in found.items() if name not in LEFT_OUT}


def config_id(file: str, row: Mapping[str, str]) -> str:
    name = CONFIGS[file].format_map(row)
    if row.get("Test ID", "").startswith("20"):
        return f"validation-{name}"
    if row.get("Config ID", "").startswith("baseline"):
        return name.replace("bvc", "baseline")
    return PHASE_3.get(name, name)


def config_cells(tables: Mapping[str, list[Row]]) -> Iterator[tuple[str, ...]]:
    """Report, section, config, metric, statistic and printed text of each cell of CONFIGS."""
    for file in CONFIGS:
        for row in tables[file]:
            report, section = row["report"], row["section"]
            own = "value" if report == "TR113" else "mean"  # TR113 ran each config once
            for head in HEADS.keys() & row.keys():
                metric, statistic, added = HEADS[head]
                subject = config_id(file, row) + added
                yield report, section, subject, metric, statistic or own, row[head]
            if flags := row.get("Contention"):
                for statistic in ("count", "of") if "/" in flags else ("count",):
                    subject = config_id(file, row)
                    yield report, section, subject, "contention_speedup_rule", statistic, flags


def test_every_cell_of_a_config_is_a_row_and_every_row_a_cell(tables: dict[str, list[Row]]) -> None:
    cells = list(config_cells(tables))
    sections = {cell[:2] for cell in cells}
    keys = ("report", "section", "subject", "metric", "statistic", "printed")
    rows = [
        tuple(row[key] for key in keys)
        for row in ALL
        if row["scope"] == "config" and (row["report"], row["section"]) in sections
    ]

    assert len(cells) > 400
    assert sorted(rows) == sorted(cells)


def numbers_in(text: str) -> set[str]:
    """The numbers of a text; GPU=80/100 is left to the ids, 10-core to the notes, TR110 to none."""
    text = re.sub(r"\b(GPU|CTX|TEMP)=[\d./]*\d|\bTR\d+|\b\d+-core", "", text)
    return {found.replace(",", "") for found in re.findall(r"\d[\d,]*(?:\.\d+)?", text)}


def test_every_printed_number_in_scope_is_transcribed(tables: dict[str, list[Row]]) -> None:
    ours: dict[tuple[str, str], set[str]] = defaultdict(set)
    for row in ALL:
        ours[row["report"], row["section"]] |= numbers_in(f"{row['printed']} {row['subject']}")
    # Test numbers are not figures; levels of VRAM are fractions in our subjects; A.2's component
    # names one operating system.
    apart = (*ABOUT, "Test ID", "VRAM Usage", "Component")

    for file, rows in tables.items():
        for row in rows:
            cells = (cell for head, cell in row.items() if head not in apart)
            wanted = set().union(*map(numbers_in, cells))
            missing = wanted - ours[row["report"], row["section"]]
            assert not missing, f"{file} line {row['source_line']}: {missing}"


def test_nothing_is_transcribed_that_is_not_printed(
    tables: dict[str, list[Row]], sections: dict[str, str]
) -> None:
    texts: dict[tuple[str, str], str] = defaultdict(str)
    for rows in tables.values():
        for row in rows:
            cells = "\n".join(cell for head, cell in row.items() if head not in ABOUT)
            if row["report"] != "TR114":
                texts[row["report"], row["section"]] += f"\n{cells}\n"
    texts |= {("TR114", section): text for section, text in sections.items()}

    for row in ALL:
        exactly = rf"(?<![\w.,]){re.escape(row['printed'])}(?!\w|[.,]\d)"
        assert re.search(exactly, texts[row["report"], row["section"]]), where(row)
