"""A report -> the draft of its claims file: numbers and where they stand, to be filled. Pure."""

import json
import re
from pathlib import Path

from tandembench.audit.figures import figures_in
from tandembench.errors import TandemError
from tandembench.text import sanitise

_HEAD = """\
# A draft: numbers and places. Fill in what is empty, and delete the claims that you do not check.
# resources/claims/README.md says what to write; baseline show NAME --columns lists the columns.
title: {title}
data:
  ours: "" # what it is; 'ours' may have another name, and others may follow it
sections:
{sections}
claims:
{claims}
"""
_HEADING = re.compile(r"#{1,6}\s+(?:(\d+(?:\.\d+)*)\.?\s+)?(.*\S)")
_ORDINAL = re.compile(r"\s*\d+\.\s")


def draft(text: str, where: str) -> str:
    """The YAML of a claims file with the numbers of the Markdown ``text``, a claim a line.

    ``where`` names the report; TandemError if no number stands in it. Code blocks are left out.
    """
    sections: dict[str, tuple[int, int]] = {}
    name, start, claims, fenced = "top", 1, [], False
    for number, line in enumerate(text.splitlines(), 1):
        fenced ^= line.lstrip().startswith(("```", "~~~"))
        heading = None if fenced else _HEADING.match(line)
        if heading:
            name, start = sanitise(heading[1] or heading[2].strip("*# "), 60), number
            name += f" (line {number})" * (name in sections)
        elif not fenced and (printed := figures_in(_ORDINAL.sub("", line, count=1))):
            sections[name] = sections.get(name, (start, 0))[0], number
            claims.append(_claim(number, name, printed))
    if not claims:
        fix = "name a report in Markdown that prints numbers"
        raise TandemError("no number in it", where=where, fix=fix)
    places = (f'  {_quoted(one)}: "lines {ends[0]} to {ends[1]}"' for one, ends in sections.items())
    title = _quoted(sanitise(Path(where).name, 120))
    return _HEAD.format(title=title, sections="\n".join(places), claims="\n".join(claims))


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _claim(number: int, section: str, printed: list[str]) -> str:
    lines = [f"- id: line-{number}", f"  section: {_quoted(section)}", "  kind:"]
    lines.append('  paraphrase: ""')
    if len(printed) == 1:
        lines += [f"  printed: {_quoted(printed[0])}", '  is: ""']
    else:
        values = enumerate(map(_quoted, printed), 1)
        lines += ["  values:"]
        lines += [f'    - {{label: "{n}", printed: {one}, is: ""}}' for n, one in values]
    return "\n".join(f"  {line}" for line in lines)
