"""An answer for programs: the same that the terminal shows, before it is rounded."""

from typing import Any

from tandembench.analysis.findings import Answer, Versus
from tandembench.report.said import Setting, onward, ordered
from tandembench.report.words import say


def as_values(answer: Answer | None, setting: Setting) -> dict[str, Any]:
    """The answer as JSON has it; where there is none, nothing was measured side by side.

    ``verdict`` is the outcome: "fastest", "among", "equivalent", "inconclusive" or "not_measured";
    ``best`` the topology that is shown to be the fastest, else null. Ratios are above 1 where a
    row is faster than the reference, whose own row has no bounds.
    """
    if answer is None:
        question = say("question", "makespan")
        nothing = dict.fromkeys(("rounds", "blocks", "sessions", "disturbed"), 0)
        empty: dict[str, Any] = {"question": question, "verdict": "not_measured", "best": None}
        empty |= {"reference": None, "rows": [], "twin": None, **nothing}
        return empty | {"measuring_s": 0.0, "next": None}
    best = answer.row(answer.best).topology if answer.best else None
    reference = next((row.topology for row in answer.rows if row.is_reference), None)
    following = onward(answer, setting)
    return {
        "question": say("question", answer.basis),
        "verdict": answer.outcome,
        "best": best if answer.outcome == "fastest" else None,
        "reference": reference,
        "rows": [
            {
                "topology": row.topology,
                "config_id": row.config_id,
                "makespan_s": row.makespan_s,
                **(
                    {"ratio": 1.0, "low": None, "high": None, "verdict": None}
                    if row.is_reference
                    else _compared(row.against)
                ),
                "tokens_per_s": row.tokens_per_s,
                "first_token_s": list(row.first_token_s),
                "memory_gib": row.memory_gib,
            }
            for row in ordered(answer)
        ],
        "twin": _compared(answer.twin) if answer.twin else None,
        "rounds": answer.rounds,
        "blocks": answer.blocks,
        "sessions": answer.sessions,
        "disturbed": answer.disturbed,
        "measuring_s": answer.measuring_s,
        "next": {"minutes": answer.next.minutes, "command": following.command}
        if answer.next and following
        else None,
    }


def _compared(against: Versus | None) -> dict[str, Any]:
    ratio = against.ratio if against else None
    if against is None or ratio is None:
        return {"ratio": None, "low": None, "high": None, "verdict": None}
    return {
        "ratio": ratio.value,
        "low": ratio.low,
        "high": ratio.high,
        "verdict": against.verdict,
    }
