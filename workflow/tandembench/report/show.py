"""The answer of a dataset, for the terminal or for programs, without the rest of its report.

A terminal gets 15 lines at most, of 100 columns at most.
"""

import shutil
import textwrap
from collections.abc import Sequence
from dataclasses import asdict
from itertools import chain
from pathlib import Path

from tandembench.analysis.answer import answers
from tandembench.analysis.apart import apart
from tandembench.analysis.controls import controls
from tandembench.analysis.findings import Answer, Validity, Versus
from tandembench.dataset.load import load_table, open_dataset
from tandembench.errors import TandemError
from tandembench.report.apart import SaidApart, said_apart
from tandembench.report.formats import NOTHING
from tandembench.report.said import Line, Onward, Said, Setting, onward, ordered, said
from tandembench.report.sections import table
from tandembench.report.setting import setting_of
from tandembench.report.words import say
from tandembench.text import as_json, counted, sanitise

MOST_LINES, WIDEST, NARROWEST = 15, 100, 80
# Rows that are shown however little room is left.
_LEAST_ROWS = 3
# What a line is about stands in its first columns.
_ABOUT = 7
_GAP = "  "
# What JSON holds of an answer, and of each of its rows.
_COUNTS = ("rounds", "blocks", "sessions", "disturbed", "measuring_s")
_OF_ROWS = ("topology", "config_id", "makespan_s", "tokens_per_s", "first_token_s", "memory_gib")


def show(folder: Path, comparison: str | None, style: str) -> str:
    """What the dataset at ``folder`` says of a comparison, by default of its primary one.

    ``style`` is "text" or "json". TandemError if there is no such comparison.
    """
    opened = open_dataset(folder)
    study = opened.descriptor["study"]
    runs, executions = (load_table(opened, name) for name in ("runs", "executions"))
    margin = float(study["margin"])
    every = answers(runs, executions, margin, study["reference"])
    chosen = _chosen(every, comparison)
    ids = [row.config_id for row in chosen.rows] if chosen else ()
    setting = setting_of(opened.descriptor, executions, ids)
    by_itself = None if chosen else apart(runs, executions, margin)
    if style == "json":
        return as_json(
            {**as_values(chosen, setting), **({"apart": by_itself} if by_itself else {})}
        )
    width = shutil.get_terminal_size((WIDEST, 24)).columns
    if by_itself:
        spoken = said_apart(by_itself, controls(runs, (), margin))
        return _apart(spoken, _report(setting.study), width) + "\n"
    if chosen is None:
        return say("not_measured", "failed" if len(runs) else "nothing") + "\n"
    several = [one for one in every if one is not chosen]
    others = [said(one, setting) for one in several] if comparison is None else []
    return terminal(said(chosen, setting), others, _report(setting.study), width) + "\n"


def _chosen(every: Sequence[Answer], comparison: str | None) -> Answer | None:
    if comparison is None:
        return every[0] if every else None
    for answer in every:
        if answer.comparison == comparison:
            return answer
    names = ", ".join(answer.comparison for answer in every) or "none"
    what = f"no comparison '{sanitise(comparison, 40)}'"
    raise TandemError(what, where="--comparison", fix=f"comparisons: {sanitise(names, 400)}")


def _report(name: str) -> str | None:
    """Where the report of the study stands, if it was made."""
    page = Path("reports", name, "technical_report.html")
    return str(page) if page.exists() else None


def as_values(answer: Answer | None, setting: Setting) -> dict[str, object]:
    """The answer as JSON has it; where there is none, nothing was measured side by side.

    ``verdict`` is the outcome: "fastest", "among", "equivalent", "inconclusive" or "not_measured";
    ``best`` the topology that is shown to be the fastest, else null. Ratios are above 1 where a
    row is faster than the reference, whose own row has no bounds. ``basis``: times of equal work
    ("makespan"), or of what all answers of a round have ("capped", ``early`` says how much that
    is), or tokens/s of unlike answers ("rate"). ``validity`` says what is left out and why, and
    what was noticed of the rest; ``hardware`` whether it was equal, without which there is no
    verdict on topologies.
    """
    counts = {name: getattr(answer, name, 0) for name in _COUNTS}
    counts["validity"] = asdict(answer.validity if answer else Validity())
    counts["hardware"] = asdict(answer.hardware) if answer else None
    if answer is None:
        nothing = dict.fromkeys(("basis", "early", "best", "reference", "twin", "next"))
        question = say("question", "makespan")
        return {"question": question, "verdict": "not_measured", "rows": [], **nothing, **counts}
    named = answer.row(answer.best).topology if answer.best else None
    following = onward(answer, setting)
    return {
        "question": say("question", answer.basis),
        "basis": answer.basis,
        "early": asdict(answer.early) if answer.early else None,
        "verdict": answer.outcome,
        "best": named if answer.outcome == "fastest" else None,
        "reference": next((row.topology for row in answer.rows if row.is_reference), None),
        "rows": [
            {
                **{name: getattr(row, name) for name in _OF_ROWS},
                **_compared(row.against),
                **({"ratio": 1.0} if row.is_reference else {}),
            }
            for row in ordered(answer)
        ],
        "twin": _compared(answer.twin) if answer.twin else None,
        "next": {"minutes": answer.next.minutes, "command": following.command}
        if answer.next and following
        else None,
        **counts,
    }


def _compared(against: Versus | None) -> dict[str, object]:
    ratio = against.ratio if against else None
    verdict = against.verdict if against and ratio else None
    bounds = {"ratio": ratio.value, "low": ratio.low, "high": ratio.high} if ratio else {}
    return {**dict.fromkeys(("ratio", "low", "high")), **bounds, "verdict": verdict}


def terminal(
    said: Said, others: Sequence[Said] = (), report: str | None = None, width: int = WIDEST
) -> str:
    """The answer as text: the verdict, a row a topology, what to do, how far to trust it, and next.

    ``others`` are the study's other comparisons, in one line together; ``report`` is where all of
    it stands. Only a command, which is to be copied in one piece, may be longer than ``width``.
    """
    width = min(max(width, NARROWEST), WIDEST)
    head = textwrap.wrap(said.headline, width)
    least = min(len(said.lines), _LEAST_ROWS) + 2
    trust = list(said.trust)
    while len(foot := _foot(said, trust, others, report, width)) + len(head) + least > MOST_LINES:
        # What matters least comes last; the report has all of it.
        if not trust:
            break
        trust.pop()
    room = MOST_LINES - len(head) - len(foot)
    table = _table(said.lines, max(room, least), width)
    # Empty lines part the table from the rest, if there is room for them.
    gap = [""] if len(table) + 2 <= room else []
    return "\n".join(line.rstrip() for line in [*head, *gap, *table, *gap, *foot])


def _apart(spoken: SaidApart, report: str | None, width: int) -> str:
    """The same of runs that were not measured side by side: by the setting that tells most."""
    width = min(max(width, NARROWEST), WIDEST)
    head = textwrap.wrap(spoken.headline, width)
    last = [f"{'Report':{_ABOUT}}{sanitise(report)}"] if report else []
    points = [_wrapped(*point, width) for point in spoken.points]
    # What matters least comes last; the report has all of it.
    while points and len(head) + sum(map(len, points)) + len(last) + _LEAST_ROWS + 2 > MOST_LINES:
        points.pop()
    foot = [*chain.from_iterable(points), *last]
    body: list[str] = []
    for _, rows in spoken.factors[:1]:
        shown = table(
            "apart_briefly", rows, max(MOST_LINES - len(head) - len(foot) - 2, _LEAST_ROWS)
        )
        body = _laid_out([shown.heads, *shown.rows], width)
        left_out = len(rows) - len(shown.rows)
        body += [say("table", "more", more=counted(left_out, "more row"))] if left_out else []
    return "\n".join(line.rstrip() for line in [*head, *body, *foot])


def _foot(
    said: Said, trust: Sequence[str], others: Sequence[Said], report: str | None, width: int
) -> list[str]:
    lines = _wrapped("Do", said.do, width)
    if trust:
        lines += _wrapped("Trust", " ".join(trust), width)
    if others:
        brief = " ".join(f"{one.comparison}: {one.headline}" for one in others)
        lines.append(_wrapped("Also", textwrap.shorten(brief, width - _ABOUT), width)[0])
    if said.onward:
        lines += _next(said.onward, width)
    if report:
        lines.append(f"{'Report':{_ABOUT}}{sanitise(report)}")
        if len(lines[-1]) + len(_GAP) + len(said.about) <= width:
            lines[-1] += _GAP + said.about
    return lines


def _next(onward: Onward, width: int) -> list[str]:
    command = onward.command
    if command is None:
        return _wrapped("Next", f"{onward.sentence.removesuffix(':')}.", width)
    lines = _wrapped("Next", onward.sentence, width)
    if len(lines[-1]) + 1 + len(command) <= width:
        return [*lines[:-1], f"{lines[-1]} {command}"]
    return [*lines, f"{'':{_ABOUT}}{command}"]


def _wrapped(about: str, text: str, width: int) -> list[str]:
    """Text beside what it is about, its lines under each other."""
    begin, under = f"{about:{_ABOUT}}", " " * _ABOUT
    return textwrap.wrap(
        text,
        width,
        initial_indent=begin,
        subsequent_indent=under,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _table(lines: Sequence[Line], most: int, width: int) -> list[str]:
    """The heads of the columns and a row each, in ``most`` lines; what is left out is counted."""
    if not lines:
        return []
    shown = _shown(lines, most - 1)
    left_out = len(lines) - len(shown)
    more = [say("table", "more", more=counted(left_out, "more config"))] if left_out else []
    for brief in (False, True):
        rows = [_heads(shown, brief), *(_cells(line, brief) for line in shown)]
        if len(_laid_out(rows)[0]) <= width:
            break
    return [*_laid_out(rows, width), *more]


def _shown(lines: Sequence[Line], most: int) -> list[Line]:
    """Of too many, the best and the reference and then the first, with a line to count the rest."""
    if len(lines) <= most:
        return list(lines)
    named = [line for line in lines if line.best or line.reference]
    rest = [line for line in lines if line not in named]
    kept = named + rest[: max(most - 1 - len(named), 0)]
    return [line for line in lines if line in kept]


def _laid_out(rows: Sequence[Sequence[str]], width: int | None = None) -> list[str]:
    """Cells as wide as their columns: texts to the left, numbers to the right.

    Options may be as long as they like: what is wider than ``width`` is cut from names.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    if width is not None:
        widths[0] -= max(sum(widths) + len(_GAP) * (len(widths) - 1) - width, 0)
    return [
        _GAP.join(
            f"{cell[:wide]:<{wide}}" if place in (0, 2, 3) else f"{cell:>{wide}}"
            for place, (cell, wide) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]


def _heads(lines: Sequence[Line], brief: bool) -> list[str]:
    agents = max(len(line.first) for line in lines)
    heads = say("table", "heads_brief" if brief else "heads" if agents == 2 else "heads_many")
    return [head.strip() for head in heads.split("|")]


def _cells(line: Line, brief: bool) -> list[str]:
    first = " / ".join(line.first) or NOTHING
    if brief:
        return [
            line.short,
            line.makespan,
            line.against,
            line.verdict,
            line.tokens,
            first.replace(" ", ""),
            line.memory,
        ]
    return [
        line.name,
        _unit(line.makespan, "s"),
        line.against,
        line.verdict,
        line.tokens,
        _unit(first, "s"),
        _unit(line.memory, "GiB"),
    ]


def _unit(number: str, unit: str) -> str:
    return number if number == NOTHING else f"{number} {unit}"
