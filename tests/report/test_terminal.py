"""The answer on a terminal: it fits, it names what is shown and no more, and says what to do."""

from dataclasses import replace
from string import Formatter

import pytest
from answers import (
    ANSWERS,
    DUAL,
    FASTEST,
    INCONCLUSIVE,
    SERIAL,
    SETTING,
    against,
    row,
)

from tandembench.report.said import Onward, onward, said
from tandembench.report.terminal import terminal
from tandembench.report.words import sentences

REPORT = "reports/quick/technical_report.html"
# What the terminal says begins so in the file of sentences.
FINDINGS = ("names", "finish", "against", "answer", "not_measured", "do", "trust", "next")


def shown(name: str, width: int = 100, **changes: object) -> str:
    answer = replace(ANSWERS[name], **changes)  # type: ignore[arg-type]
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
