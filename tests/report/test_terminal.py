"""The answer on a terminal and for programs: it fits, names what is shown, says what to do."""

import json
from dataclasses import replace
from string import Formatter
from typing import Any

import pytest
from answers import ANSWERS, DUAL, FASTEST, INCONCLUSIVE, SERIAL, SETTING, against, row

from tandembench.report.said import Onward, onward, said
from tandembench.report.show import as_values, terminal
from tandembench.report.words import sentences
from tandembench.text import as_json

REPORT = "reports/quick/technical_report.html"
# What the terminal says begins so in the file of sentences.
FINDINGS = ("names", "finish", "against", "answer", "not_measured", "do", "trust", "next")


def shown(name: str, width: int = 100, **changes: object) -> str:
    answer = replace(ANSWERS[name], **changes)
    return terminal(said(answer, SETTING), (), REPORT, width)


@pytest.mark.parametrize("width", [80, 100, 200, 20])
@pytest.mark.parametrize("name", ANSWERS)
def test_every_answer_fits(name: str, width: int) -> None:
    lines = shown(name, width).splitlines()
    assert len(lines) <= 15
    command = SETTING.command or ""
    most = min(max(width, 80), 100)
    assert all(len(line) <= most for line in lines if command not in line)
    assert lines[-1].split()[:2] == ["Report", REPORT]


@pytest.mark.parametrize("width", [80, 100])
def test_every_topology_has_a_row(width: int) -> None:
    text = shown("fastest", width)
    for makespan in ("1.18", "1.36", "1.39", "1.40"):
        assert makespan in text


def test_rows_are_the_fastest_first() -> None:
    lines = said(FASTEST, SETTING).lines
    assert [line.config_id for line in lines] == ["dual", "single_parallel", "single", "serial"]
    assert [line.config_id for line in lines if line.best] == ["dual"]
    assert [line.config_id for line in lines if line.reference] == ["serial"]
    names = [row["config_id"] for row in values("fastest")["rows"]]
    assert names == [line.config_id for line in lines]


@pytest.mark.parametrize("width", [80, 100])
def test_the_best_and_the_reference_stay_of_many(width: int) -> None:
    many = [
        row(
            f"single-{n}",
            1.3,
            against(f"single-{n}", 1.1, 1.0, 1.2, "better"),
            options=f"num_ctx {n}",
        )
        for n in range(30)
    ]
    text = terminal(said(replace(FASTEST, rows=(*many, SERIAL, DUAL)), SETTING), (), REPORT, width)
    assert len(text.splitlines()) <= 15
    assert "1.40" in text
    assert "1.18" in text
    assert "more configs" in text


def test_long_options_do_not_widen_the_table() -> None:
    long = replace(DUAL, options="num_ctx 512, " * 20)
    text = terminal(said(replace(FASTEST, rows=(SERIAL, long)), SETTING), (), REPORT, 80)
    table = [line for line in text.splitlines() if "1.19 [1.09, 1.30]" in line]
    assert len(table) == 1
    assert len(table[0]) <= 80


def test_other_comparisons_have_one_line() -> None:
    others = [said(replace(INCONCLUSIVE, comparison=f"other-{n}"), SETTING) for n in range(9)]
    lines = terminal(said(FASTEST, SETTING), others, REPORT).splitlines()
    assert len(lines) <= 15
    assert [line for line in lines if "other-0: " in line]
    assert not [line for line in lines if "other-8: " in line]


def test_what_decides_is_a_command_in_one_piece() -> None:
    command = "snakemake --cores 1 --configfile config/quick.yaml --config repetitions=12"
    assert any(line.endswith(command) for line in shown("inconclusive", 80).splitlines())
    assert "session=s2" not in shown("inconclusive")
    decided = shown("fastest").splitlines()
    assert any(line.endswith("--config session=s2") for line in decided)


def test_a_later_session_goes_on_under_its_own_name() -> None:
    setting = replace(SETTING, sessions=("s1", "s2"))
    again, more = onward(FASTEST, setting), onward(INCONCLUSIVE, setting)
    assert again
    assert str(again.command).endswith("--config session=s3")
    assert more
    assert str(more.command).endswith("--config repetitions=12 session=s2")
    sessions = onward(ANSWERS["more sessions"], setting)
    assert sessions
    assert str(sessions.command).endswith("--config session=s3")


def test_what_no_study_measured_has_no_command() -> None:
    setting = replace(SETTING, command=None)
    assert onward(FASTEST, setting) is None
    found = onward(INCONCLUSIVE, setting)
    assert isinstance(found, Onward)
    assert found.command is None
    text = terminal(said(INCONCLUSIVE, setting), (), None)
    assert "snakemake" not in text
    assert "None" not in text


def test_no_topology_is_called_the_fastest_unless_it_is_shown() -> None:
    names = ("two servers", "one server with two slots")
    for name in ("equivalent", "unpaired", "failed", "nothing", "no ratio"):
        headline = said(ANSWERS[name], SETTING).headline.lower()
        assert not any(one in headline for one in names), name
    assert (
        "one agent after the other finishes first"
        in said(ANSWERS["the reference is fastest"], SETTING).headline.lower()
    )


def test_a_twin_that_differs_by_as_much_stops_the_choice() -> None:
    assert "two servers" not in said(ANSWERS["twin better"], SETTING).do.lower()
    assert "two servers" in said(ANSWERS["fastest"], SETTING).do.lower()
    small = replace(FASTEST, twin=against("twin", 1.06, 1.055, 1.07, "better"))
    assert "two servers" in said(small, SETTING).do.lower()


def test_the_percentage_is_that_of_the_ratio_in_the_table() -> None:
    headline = said(FASTEST, SETTING).headline
    assert "19 % faster" in headline
    assert "9 to 30 %" in headline
    assert "10 % slower" in said(ANSWERS["the reference is fastest"], SETTING).headline


def test_every_sentence_of_the_terminal_is_said_of_some_answer() -> None:
    """The longest stretch between two places is there, of every sentence that it may need."""
    shown_ = "\n".join(
        " ".join(terminal(said(one, SETTING), (), REPORT, width).split())
        for one in ANSWERS.values()
        for width in (80, 100)
    ).lower()
    for finding, by_verdict in sentences().items():
        if not finding.startswith(FINDINGS):
            continue
        for verdict, sentence in by_verdict.items():
            longest = max((part for part, *_ in Formatter().parse(sentence)), key=len)
            # Of a study, not of an answer.
            if (finding, verdict) != ("not_measured", "apart"):
                assert " ".join(longest.lower().split()) in shown_, (finding, verdict)


# For programs

KEYS = {
    *("question", "verdict", "best", "reference", "rows", "twin", "rounds", "blocks", "sessions"),
    *("disturbed", "measuring_s", "next", "hardware", "validity", "basis", "early"),
}
OF_A_ROW = {
    *("topology", "config_id", "makespan_s", "ratio", "low", "high", "verdict", "tokens_per_s"),
    *("first_token_s", "memory_gib"),
}


def values(name: str) -> Any:
    return json.loads(as_json(as_values(ANSWERS[name], SETTING)))


@pytest.mark.parametrize("name", ANSWERS)
def test_every_answer_has_the_same_keys(name: str) -> None:
    content = values(name)
    assert set(content) == KEYS
    assert all(set(row) == OF_A_ROW for row in content["rows"])
    assert content["twin"] is None or set(content["twin"]) == {"ratio", "low", "high", "verdict"}
    assert content["next"] is None or set(content["next"]) == {"minutes", "command"}


def test_the_fastest_is_named_by_its_topology() -> None:
    content = values("fastest")
    assert (content["verdict"], content["best"], content["reference"]) == (
        "fastest",
        "dual",
        "serial",
    )
    dual, *_, serial = content["rows"]
    assert (dual["topology"], dual["ratio"], dual["low"], dual["high"], dual["verdict"]) == (
        *("dual", 1.19, 1.09, 1.30, "better"),
    )
    assert dual["first_token_s"] == [0.74, 0.78]
    assert (serial["ratio"], serial["low"], serial["verdict"]) == (1.0, None, None)
    assert content["twin"] == {"ratio": 1.0, "low": 0.99, "high": 1.01, "verdict": "equivalent"}
    assert content["next"] is None


def test_none_is_named_where_none_is_shown() -> None:
    for name in ("among", "equivalent", "inconclusive", "failed", "only slower"):
        assert values(name)["best"] is None, name
    assert values("the reference is fastest")["best"] == "serial"


def test_what_is_open_comes_with_a_command() -> None:
    following = values("inconclusive")["next"]
    assert following["minutes"] == 9.0
    assert following["command"].endswith("--config repetitions=12")


def test_without_a_comparison_nothing_is_said() -> None:
    content = as_values(None, SETTING)
    assert set(content) == KEYS
    assert (content["best"], content["rows"], content["verdict"]) == (None, [], "not_measured")
