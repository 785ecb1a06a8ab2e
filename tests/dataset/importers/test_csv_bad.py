"""What is wrong with a CSV file or its mapping is one line with its place, and no baseline."""

from pathlib import Path
from random import Random

import pytest
from csv_files import LONG, SHORT, TEXT, WIDE, imported

from tandembench.dataset.importers import read
from tandembench.dataset.importers.tables import rows
from tandembench.errors import EXIT_CORRUPT, EXIT_USAGE, TandemError

LINE = "fast,1,2026-03-01T10:00:00Z,8432.1,7991.25,398,8431.9,610,desk-7\n"
BAD_FILES: dict[str, tuple[str | bytes, str]] = {
    "empty": ("", "runs.csv: nothing in it; "),
    "blank": ("\n\n", "runs.csv: nothing in it; "),
    "no rows": (WIDE[0].splitlines()[0], "runs.csv: no run in it; "),
    "a column missing": (
        WIDE[0].replace("a_ms", "a_s"),
        "runs.csv:1: no column 'a_ms'; columns: config, rep",
    ),
    "another separator": (
        WIDE[0].replace(",", ";"),
        "runs.csv:1: no column 'a_ms'; is another separator needed",
    ),
    "a column twice": (WIDE[0].replace("host", "rep"), "runs.csv:1: column 'rep' is there twice; "),
    "ragged": (
        WIDE[0].replace(",desk-7", "", 1),
        "runs.csv:2: 8 cells, where the first line names 9 columns; ",
    ),
    "too many cells": (WIDE[0] + "x," * 9 + "y\n", "runs.csv:4: 10 cells, where"),
    "not UTF-8": (
        WIDE[0].replace("desk-7", "b\xfcro").encode("latin-1"),
        "runs.csv:2: not UTF-8 text; save it",
    ),
    "UTF-16": (WIDE[0].encode("utf-16"), "runs.csv:1: not UTF-8 text; save it"),
    "an open quote": (WIDE[0] + '"x', "runs.csv:4: no CSV (unexpected end of data); "),
    "NaN": (WIDE[0].replace("7991.25", "NaN"), "runs.csv:2: column 'a_ms': 'NaN' is no number; "),
    "infinite": (
        WIDE[0].replace("7991.25", "inf"),
        "runs.csv:2: column 'a_ms': 'inf' is no number; ",
    ),
    "endless": (
        WIDE[0].replace("7991.25", "1e999"),
        "runs.csv:2: column 'a_ms': '1e999' is no duration; ",
    ),
    "negative": (
        WIDE[0].replace("7991.25", "-1"),
        "runs.csv:2: column 'a_ms': '-1' is no duration; ",
    ),
    "zero": (
        WIDE[0].replace("7991.25", "0.0"),
        "runs.csv:2: column 'a_ms': '0.0' is no duration; ",
    ),
    "no duration": (WIDE[0].replace("7991.25", ""), "runs.csv:2: column 'a_ms' is empty; "),
    "underscores": (WIDE[0].replace("7991.25", "7_991"), "'7_991' is no number; "),
    "thousands": (WIDE[0].replace("7991.25", '"7,991.25"'), "'7,991.25' is no number; "),
    "half a token": (
        WIDE[0].replace("398", "398.5"),
        "runs.csv:2: column 'a_tokens': '398.5' is no count; ",
    ),
    "a time without zone": (
        WIDE[0].replace("00Z", "00"),
        "runs.csv:2: '2026-03-01T10:00:00' is no ISO 8601 time with a zone; ",
    ),
    "no time": (
        WIDE[0].replace("2026-03-01T10:00:00Z", ""),
        "runs.csv:2: no time at which the run began; ",
    ),
    "long ago": (
        WIDE[0].replace("2026", "1926"),
        "runs.csv:2: '1926-03-01T10:00:00Z' is no time between 1970 and 2200; ",
    ),
    "twice": (WIDE[0] + LINE, "runs.csv:4: repetition 1 of fast is there already, in line 2; "),
    "one name for two": (
        WIDE[0].replace("fast,2", "Fast,2"),
        "runs.csv:3: configs 'fast' and 'Fast' would both be fast; ",
    ),
    "no name": (WIDE[0].replace("fast", "--"), "runs.csv:2: '--' makes no name; "),
    "a path for a name": (
        WIDE[0].replace("fast", "../" * 40 + "a" * 70),
        "makes no name; shorten it",
    ),
    "repetition 0": (
        WIDE[0].replace("fast,1", "fast,0"),
        "runs.csv:2: repetition 0; they count from 1; ",
    ),
    "s for ms": (
        WIDE[0].replace("8432.1", "8.4321"),
        "runs.csv:2: a wall time of 0.0084321 s for agents that take 8.4319 s; are the",
    ),
    "ms for s": (
        WIDE[0].replace("8432.1", "8432100"),
        "runs.csv:2: a wall time of 8432.1 s for agents that take 16.4231 s in all; are",
    ),
}


@pytest.mark.parametrize(("text", "words"), BAD_FILES.values(), ids=BAD_FILES)
def test_a_bad_file_is_one_line_and_no_baseline(
    tmp_path: Path, text: str | bytes, words: str
) -> None:
    with pytest.raises(TandemError) as caught:
        imported(tmp_path, text, WIDE[1])
    assert words in str(caught.value)
    assert str(caught.value).startswith(f"{tmp_path}/runs.csv:")
    assert str(caught.value).endswith("; nothing was imported")
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == EXIT_CORRUPT


BAD_ROWS: dict[str, tuple[str, str, str]] = {
    "another agent": (
        "0;B;12",
        "0;C;12",
        "runs.csv:5: agent 'C' is not in the mapping; agents of the mapping: collector, insight",
    ),
    "an agent twice": (
        "0;B;12",
        "0;A;12",
        "runs.csv:5: agent 'collector' of this run stands in line 4 already; ",
    ),
    "two walls": (
        "0;B;12,71",
        "0;B;12,72",
        "runs.csv:5: another wall than in line 4, of one run; ",
    ),
    "no repetition": (
        "one server;0;B",
        "one server;;B",
        "runs.csv:5: repetition missing; they count from 0; ",
    ),
    "a decimal point": ("12,71", "12.71", "runs.csv:4: column 'wall': '12.71' is no number; "),
    "parts beyond the whole": (
        "12,7;4,4;8,2",
        "12,7;4,4;82",
        "runs.csv:4: first token and decoding of insight take 86.4 s of its 12.7 s; are",
    ),
    "no topology": (
        "two servers",
        "three",
        "'three' is no topology; translate it in the mapping, values: {...}, to one of",
    ),
}


@pytest.mark.parametrize(("old", "new", "words"), BAD_ROWS.values(), ids=BAD_ROWS)
def test_rows_of_a_run_must_fit_together(tmp_path: Path, old: str, new: str, words: str) -> None:
    with pytest.raises(TandemError) as caught:
        imported(tmp_path, LONG[0].replace(old, new), LONG[1])
    assert words in str(caught.value)


def test_a_config_is_one_config(tmp_path: Path) -> None:
    with pytest.raises(TandemError) as caught:
        imported(tmp_path, TEXT.replace("1,512", "1,1024"), SHORT)
    assert "runs.csv:3: a has other agents, models or options than in line 2; " in str(caught.value)
    without = "".join(f"{line}\n" for line in LONG[0].splitlines()[:-1])
    more = without + "one server;1;A;9;8;0,3;7;398;1\none server;1;B;9;8;0,3;7;398;1\n"
    with pytest.raises(TandemError, match=r"runs.csv:5: one-server has other agents"):
        imported(tmp_path, more, LONG[1])


BAD_MAPPINGS: dict[str, tuple[str, str, str]] = {
    "an unknown key": (
        "engine:",
        "engin:",
        "mapping.yaml:7: run.engin: unknown key; did you mean 'engine'?",
    ),
    "no wall": (
        "  wall: {column: wall_ms, unit: ms}\n",
        "",
        "mapping.yaml:2: run: key 'wall' is missing; add it: {column: NAME, unit: s, ms, us or ns}",
    ),
    "an unknown unit": (
        "wall_ms, unit: ms",
        "wall_ms, unit: min",
        'mapping.yaml:8: run.wall.unit: "min" is not allowed; expected s, ms, us or ns',
    ),
    "no unit": ("wall_ms, unit: ms", "wall_ms", "mapping.yaml:8: run.wall: key 'unit' is missing"),
    "an unknown topology": (
        "topology: dual",
        "topology: triple",
        "mapping.yaml:6: run.topology: 'triple' is none; one of: serial, single,",
    ),
    "an unknown scenario": (
        "chimera_homo",
        "mine",
        "mapping.yaml:5: run.scenario: 'mine' is none; one of: baseline_vs_chimera,",
    ),
    "no duration": (
        "duration: {column: a_ms, unit: ms}, ",
        "",
        "mapping.yaml:12: agents.collector: no duration, here or in every_agent; add duration:",
    ),
    "no model": (
        'model: "gemma3:latest", ',
        "",
        "mapping.yaml:12: agents.collector: no model, here or in every_agent; add",
    ),
    "one duration for two": (
        "b_ms",
        "a_ms",
        "mapping.yaml:13: agents.insight: duration is in the same column as that of collector; ",
    ),
    "rows of executions": (
        "rows: run",
        "rows: execution",
        "mapping.yaml:2: run: key 'agent' is missing: it tells which rows are one run; add",
    ),
    "rows of something": (
        "rows: run",
        "rows: block",
        'mapping.yaml:1: rows: "block" is not allowed; expected run (a row is a run,',
    ),
    "a date": (
        "{column: started}",
        "2026-03-01",
        "mapping.yaml:9: 2026-03-01 is a date in YAML; quote it",
    ),
    "an option that is a text": (
        "num_ctx: 2048",
        "num_ctx: big",
        'mapping.yaml:10: every_agent.options.num_ctx: "big" is not allowed; expected a whole',
    ),
    "two commas": (
        "rows: run",
        'rows: run\ndecimal: ","',
        "mapping.yaml:2: decimal: ',' stands between columns already",
    ),
    "no YAML": ("rows: run", "rows: [run", "mapping.yaml:2: no valid YAML"),
    "an agent that is a path": (
        "insight:",
        "../x:",
        'mapping.yaml:13: agents.../x: "../x" is not allowed; expected small letters',
    ),
}


@pytest.mark.parametrize(("old", "new", "words"), BAD_MAPPINGS.values(), ids=BAD_MAPPINGS)
def test_a_bad_mapping_is_one_line_with_its_place(
    tmp_path: Path, old: str, new: str, words: str
) -> None:
    assert old in WIDE[1]
    with pytest.raises(TandemError) as caught:
        imported(tmp_path, WIDE[0], WIDE[1].replace(old, new))
    assert str(caught.value).startswith(f"{tmp_path}/{words}")
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == EXIT_USAGE


JUNK = (
    "",
    ",",
    ";",
    "nan",
    "-1",
    "0",
    "1e300",
    "9" * 50,
    '"',
    "\n",
    "\0",
    "é",
    "../x",
    "{",
    "}",
    ":",
)
JUNK += ("9999-12-31T23:59:59Z", "null", "&a", "*a", "|", "column", "unit: s", "'", "[")


def test_whatever_is_damaged_is_one_line_or_runs(tmp_path: Path) -> None:
    random = Random(5)  # noqa: S311 - damage, no secret
    file, by = tmp_path / "runs.csv", tmp_path / "mapping.yaml"
    good = 0
    for _ in range(150):
        texts = list(random.choice([WIDE, LONG, (TEXT, SHORT)]))
        damaged = random.randrange(2)
        for _ in range(random.randint(1, 3)):
            at = random.randrange(len(texts[damaged]))
            text = texts[damaged]
            rest = at + random.choice([0, 1, 3, 8])
            texts[damaged] = text[:at] + random.choice(JUNK) + text[rest:]
        file.write_text(texts[0], encoding="utf-8")
        by.write_text(texts[1], encoding="utf-8")
        try:
            rows(read("csv", file, by))
        except TandemError as error:
            good += "\n" not in str(error) and str(error).startswith(str(tmp_path))
        else:
            good += 1
    assert good == 150
