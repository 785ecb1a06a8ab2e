"""An audit as Markdown or JSON."""

import json
from collections.abc import Sequence
from typing import Any

from tandembench.claims.judge import VERDICTS, Judged, counts
from tandembench.claims.model import KINDS, Claims
from tandembench.report.render import render


def as_json(judged: Sequence[Judged]) -> str:
    """What programs read; ``published`` and ``recomputed`` are lists, value by value."""
    content = {
        "claims": [
            {
                "id": one.claim.id,
                "section": one.claim.section,
                "kind": one.claim.kind,
                "verdict": one.verdict,
                "published": list(one.published),
                "recomputed": list(one.recomputed),
                "how": one.how,
            }
            for one in judged
        ],
        "counts": counts(judged),
    }
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def as_markdown(claims: Claims, judged: Sequence[Judged], data: Sequence[str]) -> str:
    """What a person reads: counts, the contradicted claims, then all others by section."""
    sections: list[dict[str, Any]] = []
    for name, about in claims.sections.items():
        rest = [
            one for one in judged if one.claim.section == name and one.verdict != "contradicted"
        ]
        if rest:
            sections.append({"name": name, "about": about, "claims": rest})
    context = {
        "title": claims.title,
        "data": list(data),
        "kinds": (*KINDS, "all"),
        "verdicts": VERDICTS,
        "counts": counts(judged),
        "contradicted": [one for one in judged if one.verdict == "contradicted"],
        "sections": sections,
    }
    return render(context, "claims.md.j2")
