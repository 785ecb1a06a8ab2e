"""What is left out of an answer and why, and what is noticed of the rest, in words."""

from collections.abc import Iterator

from tandembench.analysis.findings import Answer, Reloads, Validity
from tandembench.report.formats import number, percent
from tandembench.report.words import say, sentences
from tandembench.text import counted

# The most frequent reasons first; the report's table has all.
_MOST_REASONS = 3


def noticed(one: Validity) -> Iterator[str]:
    """What was left out, and what is to be known of the rest."""
    if one.left_out:
        reasons = [_reason(code, n) for code, n in [*one.left_out.items()][:_MOST_REASONS]]
        rest = sum([*one.left_out.values()][_MOST_REASONS:])
        reasons += [say("left_out", "more", n=str(rest))] if rest else []
        places = {"runs": counted(sum(one.left_out.values()), "run"), "rounds": str(one.incomplete)}
        yield say(
            "trust_left_out", "some", reasons="; ".join(reasons), of=str(one.rounds), **places
        )
    if one.restarts:
        where, places = (
            ("within", {"blocks": counted(one.split, "block")}) if one.split else ("some", {})
        )
        yield say("trust_restarts", where, times=counted(one.restarts, "time"), **places)
    if one.cached:
        cached = {"runs": counted(one.cached, "run"), "share": percent(one.cached_share, 0)}
        yield say("trust_cached", "some", **cached)
    if one.unseen:
        yield say("trust_unseen", "some", n=str(one.unseen), of=str(one.executions))
    if one.late:
        late = {"runs": counted(one.late, "run"), "lag": number(one.lag_s, 1)}
        yield say("trust_late", "some", **late)


def lengths(answer: Answer) -> Iterator[str]:
    """What answers of unlike length mean to the comparison."""
    if answer.early:
        early = answer.early
        places = {"runs": str(early.runs), "of": counted(early.of, "run")}
        parts = {"median": percent(early.median, 0), "least": percent(early.least, 0)}
        yield say("trust_work", "early", **places, **parts)
    if answer.basis == "rate":
        yield say("trust_work", "rate")


def reloaded(one: Reloads, name: str) -> str:
    """What it cost the config called ``name`` that its server loaded the model in turn."""
    times = {part: number(getattr(one, f"{part}_s")) for part in ("each", "run", "wall")}
    loads = counted(one.loads, "time")
    return say("trust_reloads", "some", name=name, loads=loads, runs=str(one.runs), **times)


def _reason(code: str, n: int) -> str:
    if code in sentences()["left_out"]:
        return say("left_out", code, n=str(n))
    return say("left_out", "other", n=str(n), code=code)
