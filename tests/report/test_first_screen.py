"""Every report is tidy, answers on its first screen, and leads from ten questions to sections."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from report_scenes import SCENES
from report_tables import cells, table, tables

from tandembench.report.render import slug

# What the ten answers are made of: each of these words stands behind a verdict.
VERDICT = (
    r"[Cc]annot be told|inconclusive|is the fastest|is the soonest|no evidence|not measured"
    r"|one alone|slower|faster|no slowdown|fair\b|overstates|is right within|answer lengths"
    r"|costs|helps|passed|failed|could be tested|makes a difference|no difference|not known"
    r"|no effect|No topologies to compare|[Nn]othing|more sessions?\*\*|sessions? first|` or `"
    r"|not comparable|understates|is the highest|differ"
)


@pytest.mark.parametrize("name", SCENES)
def test_every_report_is_tidy(report_of: Callable[[str], str], name: str) -> None:
    text = report_of(name)
    assert text.endswith("\n")
    assert "\n\n\n" not in text
    assert not re.search(r"[ \t]$", text, re.MULTILINE)
    assert not re.search(r"\b(None|nan|NaN|NaT|inf|Undefined)\b", text)
    body = text.split("\n## 20.")[0]
    assert not re.search(r"\.\d{4,}", body), "an unrounded number"
    assert not re.search(r"\b1 (configs|blocks|comparisons)\b", text)
    assert not re.search(r"\b(?!1\b)\d+ (config|block|valid block|comparison)\b", text)
    assert not re.search(r"\bsession s1, |\bsessions s1\.", text)
    assert not re.search(r"^- .*\n\n- ", text, re.MULTILINE), "a list with a gap"
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    assert not re.search(r"^- .*\n(?!- |\n|$)", prose, re.MULTILINE), "a list that runs on"
    assert not re.search(r"`\s?`|` `", prose), "a list of names without commas"
    words = re.sub(r"`[^`\n]+`", "code", prose)
    assert not re.search(r"  |\( | \)| [,.;:]|[:;,] ?[.;,]|\.\.", words), "a gap in a sentence"
    sections = re.findall(r"^## (\d+)\.", text, re.MULTILINE)
    assert sections == [str(number) for number in range(1, 21)]
    for heading in re.finditer(r"^## .*\n\n(.*)", text, re.MULTILINE):
        assert not heading[1].startswith("## "), f"an empty section: {heading[0]}"
    for header, rows in tables(text):
        assert {len(row) for row in rows} <= {len(cells(header))}


@pytest.mark.parametrize("name", SCENES)
def test_the_first_screen_answers(report_of: Callable[[str], str], name: str) -> None:
    screen = report_of(name).split("## 1.")[0]
    lines = [line for line in screen.splitlines() if line]
    assert lines[0] == "# A test study"
    assert len(screen.splitlines()) <= 40
    assert not table(screen, "|")
    assert lines[1].startswith(("**Which topology?**", "**A control failed**", "**Nothing could"))
    told = [re.match(r"- \*\*(.*?)\*\*: \S", line) for line in lines[-6:]]
    wanted = ["Configs", "Baselines", "Controls", "Smallest change that would show"]
    assert [found and found[1] for found in told][:3] == wanted[:3]
    assert lines[-3].startswith(f"- **{wanted[3]}** (with a chance of 80 %): ")
    assert re.search(r"^- \*\*Instrument error\*\*: (not calibrated|a token's .*)\.$", lines[-2])
    assert lines[-1].startswith("- **How far to trust this**: ")


def ten(text: str) -> list[tuple[str, str, str]]:
    """(question, anchor, answer) of the summary."""
    summary = text.split("## 1. ")[1].split("\n## 2.", maxsplit=1)[0]
    return re.findall(r"^\d+\. \*\*\[(.*?)\]\(#(.*?)\)\*\* (.*)$", summary, re.MULTILINE)


def parts(text: str) -> dict[str, str]:
    """What stands under each heading, with its sub-headings, by the id that GitHub gives it."""
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    found: dict[str, str] = {}
    heads = list(re.finditer(r"^(#{2,3}) (.*)$", prose, re.MULTILINE))
    for n, head in enumerate(heads):
        same = (one.start() for one in heads[n + 1 :] if len(one[1]) <= len(head[1]))
        found.setdefault(slug(head[2]), prose[head.end() : next(same, len(prose))])
    return found


@pytest.mark.parametrize("name", SCENES)
def test_ten_questions_lead_to_sections_that_hold_a_verdict(
    report_of: Callable[[str], str], name: str
) -> None:
    sections = parts(report_of(name))
    questions = ten(report_of(name))
    assert len(questions) == 10
    assert len({anchor for _, anchor, _ in questions}) == 10
    for question, anchor, answer in questions:
        screen = sections[anchor].splitlines()[:40]
        said = [line for line in screen if re.match(r"[^|#!*].*|\*\*[^*]", line)]
        assert said, f"{question}: the section says nothing on its first screen"
        assert answer.endswith("."), question
        assert len(answer) < 600, question
        assert re.search(VERDICT, answer), (question, answer)
        assert re.search(VERDICT, " ".join(said)), (question, said)


def test_the_readme_lists_the_same_ten_questions(report_of: Callable[[str], str]) -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    asked = [question for question, _, _ in ten(report_of("better"))]
    listed = re.findall(r"^\d+\. (.*\?)", readme, re.MULTILINE)
    assert listed == asked


def test_every_link_inside_the_report_leads_somewhere(report_of: Callable[[str], str]) -> None:
    for text in map(report_of, SCENES):
        anchors = set(parts(text))
        targets = re.findall(r"\]\(#(.*?)\)", text)
        assert len(targets) > 10
        assert set(targets) <= anchors
