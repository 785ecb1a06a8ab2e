"""Anyone's runs from CSV: kept to the last digit, and nothing made up."""

import json
from fractions import Fraction
from pathlib import Path

import pytest
from click.testing import CliRunner
from csv_files import LONG, SHORT, TEXT, WIDE, imported
from hypothesis import given
from hypothesis import strategies as st

from tandembench.cli import main
from tandembench.dataset.importers.csv_cells import Row


def test_a_row_can_be_a_run(tmp_path: Path) -> None:
    found = imported(tmp_path, *WIDE)
    runs, executions = found.runs, found.executions
    assert runs["config_id"].to_list() == ["fast", "fast"]
    assert runs["repetition"].to_list() == [1, 2]
    assert runs["wall_s"].to_list() == [8.4321, 8.2504]
    assert runs["answer_tokens"].to_list() == [1008, 990]
    assert [start.isoformat() for start in runs["started_at"]] == [
        "2026-03-01T10:00:00+00:00",
        "2026-03-01T10:00:12+00:00",
    ]
    assert executions["agent"].to_list() == ["collector", "insight"] * 2
    assert executions["duration_s"].to_list() == [7.99125, 8.4319, 8.2501, 8.0117]
    assert set(executions["model"]) == {"gemma3:latest"}
    assert set(executions["options_asked"]) == {'{"num_ctx": 2048}'}
    assert runs["speedup_estimate"][0] == pytest.approx((7.99125 + 8.4319) / 8.4321, rel=1e-12)
    # what the file does not tell is null, and what it cannot tell is none
    assert executions[["first_token_s", "decode_s", "server_decode_s"]].isna().all(axis=None)
    assert runs[["imbalance_token", "cold", "speedup_true"]].isna().all(axis=None)
    assert set(runs["solo_basis"]) == {"none"}
    assert found.descriptor["study"]["engine"] == "ollama"


def test_a_row_can_be_one_agent_in_a_run(tmp_path: Path) -> None:
    found = imported(tmp_path, *LONG)
    runs = found.runs.set_index("config_id")
    assert runs["topology"].to_dict() == {"two-servers": "dual", "one-server": "single"}
    assert runs["repetition"].to_list() == [1, 1]
    assert runs["wall_s"].to_dict() == {"two-servers": 8.4321, "one-server": 12.71}
    assert runs["start_skew_s"].to_list() == [0.0, 0.0]
    assert runs["started_at"]["two-servers"].isoformat() == "2026-03-01T10:00:00.250000+00:00"
    parts = runs.filter(regex="imbalance_(token|rate|first_token|rest)").sum(axis=1)
    assert parts.to_list() == pytest.approx(runs["imbalance_loss"].to_list(), abs=1e-12)
    own = found.executions.set_index(["config_id", "agent"]).loc["one-server"]
    assert own["ttft_s"].to_dict() == {"collector": 0.33, "insight": 4.4}
    # from each one's first token to its end, from one start
    assert own["overlap_s"].to_dict() == pytest.approx({"collector": 3.62, "insight": 3.62})


def test_agents_after_each_other_share_no_loss(tmp_path: Path) -> None:
    text = LONG[0].replace("12,71", "20,75")
    found = imported(tmp_path, text, LONG[1].replace("server: single", "server: serial"))
    run = found.runs.set_index("config_id").loc["one-server"]
    assert (run["topology"], run["imbalance_loss"]) == ("serial", 0.0)
    assert run["orchestration_loss"] == pytest.approx((20.75 - 20.72) / (2 * 20.75))


def test_what_the_file_does_not_tell_is_counted_constant_or_null(tmp_path: Path) -> None:
    found = imported(tmp_path, TEXT, SHORT)
    runs = found.runs
    assert runs["repetition"].to_list() == [1, 2, 1]
    assert runs["session"].to_list() == ["mon", "mon", "tue"]
    assert runs["config_id"].to_list() == ["a", "a", "b-1-x"]
    assert runs["cold"].to_list() == [False, False, True]
    assert runs["n_agents"].to_list() == [1, 1, 1]
    assert runs["wall_s"].to_list() == [900e-6, 901e-6, 902e-6]
    assert runs["answer_tokens"].isna().to_list() == [False, True, False]
    assert runs["aggregate_tokens_per_s"].isna().to_list() == [False, True, False]
    options = [json.loads(text) for text in found.executions["options_asked"]]
    assert options == [{"num_ctx": 512, "temperature": 0.8}] * 2 + [{"temperature": 0.8}]
    assert {start.isoformat() for start in runs["started_at"]} == {"2026-03-01T09:00:00+00:00"}


NUMBERS = st.from_regex(
    r"[0-9]{1,7}(\.[0-9]{0,25})?([eE][+-]?[0-3])?", fullmatch=True, alphabet="0123456789.eE+-"
)


@given(number=NUMBERS, unit=st.sampled_from(["s", "ms", "us", "ns"]))
def test_no_digit_is_lost_on_the_way_to_seconds(number: str, unit: str) -> None:
    exact = Fraction(number) / {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[unit]
    if exact > 10**8:
        return
    row = Row(Path("x.csv"), 2, {"c": number}, ".")
    assert row.seconds({"column": "c", "unit": unit}) == float(exact)


@pytest.mark.parametrize(
    ("text", "mapping"),
    [
        ("\ufeff" + WIDE[0], WIDE[1]),
        (WIDE[0].replace("\n", "\r\n"), WIDE[1]),
        (WIDE[0].replace(",", ";"), WIDE[1] + 'separator: ";"\n'),
        (WIDE[0].replace(",", "\t"), WIDE[1] + "separator: tab\n"),
        (WIDE[0].replace(",", " , ") + "\n,,,,,,,,\n", WIDE[1]),
        (WIDE[0].replace("8432.1", '"8432.10"'), WIDE[1]),
        (
            WIDE[0].replace("T10", " 10").replace("Z", ""),
            WIDE[1].replace("started}", "started, zone: '+00:00'}"),
        ),
        (WIDE[0].replace("8432.1", "8.4321e3").replace("398", "398.0"), WIDE[1]),
    ],
    ids=["BOM", "CRLF", "semicolons", "tabs", "blanks", "quotes", "zone", "exponent"],
)
def test_how_it_is_written_makes_no_difference(tmp_path: Path, text: str, mapping: str) -> None:
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
    one = imported(tmp_path / "one", text, mapping)
    other = imported(tmp_path / "other", *WIDE)
    assert one.runs.equals(other.runs)
    assert one.executions.equals(other.executions)


def test_the_command_says_what_came_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    def said(*arguments: str, code: int = 0) -> str:
        done = CliRunner().invoke(main, ["baseline", "import", "csv", *arguments])
        assert done.exit_code == code, done.output
        return done.stdout if code == 0 else done.stderr

    Path("runs.csv").write_text(WIDE[0], encoding="utf-8")
    Path("by.yaml").write_text(WIDE[1], encoding="utf-8")
    by = ("--mapping", "by.yaml", "--name")
    text = said("runs.csv", *by, "mine")
    assert text.startswith("mine@1.0.0: resources/baselines/mine/1.0.0\nruns 2, executions 4, ")
    assert "left out: 2 x column 'host' (not in the mapping)\n" in text
    assert "note: first_token is missing in 4 of 4 executions: no parts of imbalance_loss." in text
    found = json.loads(said("runs.csv", *by, "mine", "--format", "json"))
    assert (found["baseline"], found["runs"], found["executions"]) == ("mine@1.1.0", 2, 4)
    assert found["left_out"] == {"column 'host' (not in the mapping)": 2}
    assert found["efficiency_estimate"]["mean"] == pytest.approx(0.979681, abs=1e-6)
    for file in Path("resources/baselines/mine/1.0.0").iterdir():
        assert b"desk-7" not in file.read_bytes()
    done = CliRunner().invoke(main, ["diff", "mine@1.0.0", "mine@1.1.0"])
    assert done.exit_code == 0, done.output

    assert "csv needs --mapping; config/README.md shows one" in said("x", "--name", "x", code=2)
    assert "gone.csv: no such file; name the CSV file" in said("gone.csv", *by, "x", code=2)
    told = said("runs.csv", "--mapping", "gone.yaml", "--name", "x", code=2)
    assert told.startswith("tandembench: gone.yaml: no such file; name the mapping file, or ")
    assert "'../x' is no name" in said("runs.csv", *by, "../x", code=2)
    assert [folder.name for folder in Path("resources/baselines").iterdir()] == ["mine"]
    assert not Path("resources/x").exists()
