"""An answer -> what a report and the terminal say of it: the same sentences and cells in both."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

from tandembench.analysis.findings import Answer, Estimate, Row, States, Versus
from tandembench.report.formats import (
    NOTHING,
    bounded,
    listed,
    minutes,
    number,
    percent,
    speed,
    speeds,
)
from tandembench.report.hardware import said_hardware
from tandembench.report.noticed import lengths, noticed, reloaded
from tandembench.report.words import say
from tandembench.text import counted, sanitise

# A first answer that comes so many times later, and memory that is so many times as much, matter
# to a choice; less is in the noise of both.
LATER, MORE_MEMORY = 1.1, 1.2
# Options that tell configs apart are cut after so many letters.
_LONGEST = 48
# So many stalled runs of a config are told of.
STALLED = 0.05
_COMPARED: dict[str, tuple[str, str]] = {
    "makespan": ("faster", "slower"),
    "capped": ("faster", "slower"),
    "rate": ("more", "fewer"),
}


@dataclass(frozen=True, slots=True)
class Setting:
    """What was measured, and how to measure on. Its texts may be foreign, and are sanitised.

    ``command`` measures the study again, None where no study stands behind the dataset; ``work``
    and ``where`` are words.
    """

    study: str
    command: str | None
    sessions: tuple[str, ...]
    engine: str
    model: str
    where: str
    work: str


@dataclass(frozen=True, slots=True)
class Line:
    """A row of the answer's table, as text; ``first`` holds the first agent served and the last."""

    config_id: str
    name: str
    short: str
    makespan: str
    against: str
    verdict: str
    tokens: str
    first: tuple[str, ...]
    memory: str
    best: bool
    reference: bool


@dataclass(frozen=True, slots=True)
class Onward:
    """What to measure next: a sentence, and the command that does it, None where none is known."""

    sentence: str
    command: str | None


@dataclass(frozen=True, slots=True)
class Said:
    """What is said of one answer; ``trust`` holds a sentence a point."""

    comparison: str
    headline: str
    lines: tuple[Line, ...]
    do: str
    trust: tuple[str, ...]
    onward: Onward | None
    about: str


def said(answer: Answer, setting: Setting) -> Said:
    """The sentences and the table of ``answer``; rows are the fastest first."""
    rows = ordered(answer)
    return Said(
        comparison=answer.comparison,
        headline=_headline(answer),
        lines=tuple(_line(row, answer) for row in rows),
        do=say("do", "unequal") if answer.unequal else _do(answer),
        trust=_trust(answer),
        onward=onward(answer, setting),
        about=say("about", "one", work=setting.work, model=setting.model, where=setting.where),
    )


def ordered(answer: Answer) -> tuple[Row, ...]:
    """The rows, fastest first, those of which nothing is known last."""

    def place(row: Row) -> float:
        if row.is_reference:
            return -1.0
        ratio = ratio_of(row)
        return -ratio.value if ratio else 0.0

    return tuple(sorted(answer.rows, key=place))


def ratio_of(row: Row) -> Estimate | None:
    """How many times as fast as the reference it is; None of the reference, or if nothing pairs."""
    return row.against.ratio if row.against else None


def onward(answer: Answer, setting: Setting) -> Onward | None:
    """What to measure next; None where nothing was measured that could be measured again."""
    label = next(f"s{n}" for n in count(1) if f"s{n}" not in setting.sessions)
    command, again = setting.command, f"session={label}"
    open_ = None if answer.busy else answer.next
    if open_ is None:
        if not answer.rounds or not command:
            return None
        took = minutes(answer.measuring_s / max(answer.sessions, 1))
        when = "quiet" if answer.busy else "again"
        return Onward(say("next", when, minutes=took), f"{command} --config {again}")
    places = {
        "name": called(answer, open_.config_id),
        "reference": called(answer, answer.reference),
        "precision": percent(open_.precision, 0),
    }
    if open_.repetitions is None:
        sessions = open_.sessions or 1
        took = minutes(60 * open_.minutes / sessions)
        places |= {"sessions": counted(sessions, "more session"), "minutes": took}
        sentence = say("next", "sessions", **places)
    else:
        sentence = say("next", "blocks", minutes=minutes(60 * open_.minutes), **places)
        again = f"repetitions={open_.repetitions}"
        # A session goes on under its own label; the first is the default.
        if setting.sessions[-1:] not in ((), ("s1",)):
            again += f" session={setting.sessions[-1]}"
    return Onward(sentence, f"{command} --config {again}" if command else None)


def called(answer: Answer, config_id: str, names: str = "") -> str:
    """What a config is called: by its topology and, where several have it, its options.

    ``names`` is a finding of sentences.yaml with a name for each topology; by default the one for
    as many agents as the answer has.
    """
    row = answer.row(config_id)
    return say(names or f"names_{_agents(answer)}", row.topology) + _options(row)


def _finish(answer: Answer, config_id: str) -> str:
    row = answer.row(config_id)
    return say(f"finish_{_agents(answer)}", row.topology, options=_options(row))


def _all(answer: Answer, config_ids: Sequence[str], joint: str) -> str:
    return listed([called(answer, one) for one in config_ids], joint)


def _agents(answer: Answer) -> str:
    agents = max((len(row.first_token_s) for row in answer.rows), default=0)
    return "two" if agents == 2 else "many"


def _options(row: Row) -> str:
    return f" ({sanitise(row.options, _LONGEST)})" if row.options else ""


def _headline(answer: Answer) -> str:
    if answer.outcome == "not_measured":
        return say("not_measured", _why_not(answer))
    headline = _verdict(answer)
    if answer.early:
        headline = say("answer_early", "early", headline=headline)
    if answer.validity.shared:
        shared = _all(answer, answer.validity.shared, "and")
        headline = say("answer_shared", "shared", headline=headline, shared=shared)
    headline = say("answer_busy", "busy", headline=headline) if answer.busy else headline
    if not answer.unequal:
        return headline
    return say("answer_unequal", "unequal", why=_hardware(answer), headline=headline)


def _hardware(answer: Answer) -> str:
    return said_hardware(answer, lambda config: called(answer, config))


def _verdict(answer: Answer) -> str:
    finding, words = _finding(answer), _COMPARED[answer.basis]
    if answer.outcome == "equivalent":
        margin, reference = percent(answer.margin, None), called(answer, answer.reference)
        return say(finding, "equivalent", margin=margin, reference=reference)
    others = [row for row in ordered(answer) if ratio_of(row)]
    if not others or answer.reference not in [row.config_id for row in answer.rows]:
        return say(finding, "open")
    reference = called(answer, answer.reference)
    best = answer.best or others[0].config_id
    if answer.outcome == "fastest" and best == answer.reference:
        places = {"other": called(answer, others[0].config_id)}
        places |= _speeds(others[0].against, words) | _subject(answer, best)
        return say(finding, "reference", **places)
    places = {"reference": reference}
    if answer.outcome == "among" and _not_ahead(answer):
        return say(finding, "slower", slower=_behind(answer), **places)
    places |= _speeds(answer.row(best).against, words)
    if answer.outcome == "inconclusive":
        del places["speed"]
        return say(finding, "inconclusive", best=called(answer, best), **places)
    if answer.outcome == "among":
        places["rivals"] = _all(answer, answer.rivals, "and")
    return say(finding, answer.outcome, **_subject(answer, best), **places)


def _finding(answer: Answer) -> str:
    return "answer_rate" if answer.basis == "rate" else "answer_makespan"


def _behind(answer: Answer) -> str:
    """The configs that are shown to be slower, each with by how much."""
    finding, words = _finding(answer), _COMPARED[answer.basis]
    return listed(
        [
            say(finding, "item", name=called(answer, row.config_id), **_speeds(row.against, words))
            for row in _slower(answer)
        ]
    )


def _not_ahead(answer: Answer) -> bool:
    """Whether all that is shown of an answer is that some configs are slower."""
    return not any(row.against and row.against.verdict == "better" for row in answer.rows)


def _slower(answer: Answer) -> list[Row]:
    return [row for row in ordered(answer) if row.against and row.against.verdict == "worse"]


def _subject(answer: Answer, best: str) -> dict[str, str]:
    """The best config as a sentence of its basis begins with it."""
    if answer.basis == "rate":
        return {"best": called(answer, best)}
    return {"finish": _finish(answer, best)}


def _speeds(against: Versus | None, words: tuple[str, str]) -> dict[str, str]:
    """A ratio in words, and its interval, which leaves out what the ratio has said."""
    ratio = against.ratio if against else None
    if against is None or ratio is None:
        return {"speed": NOTHING, "interval": NOTHING}
    whole = speed(ratio.value, words)
    if ratio.low is None or ratio.high is None:
        return {"speed": whole, "interval": "not known"}
    interval = speeds(ratio.low, ratio.high, words)
    side = whole.rpartition(" ")[2]
    if against.verdict != "inconclusive" and interval.count(side) == 1:
        interval = interval.removesuffix(f" {side}")
    return {"speed": whole, "interval": interval}


def _why_not(answer: Answer) -> str:
    if not any(row.runs for row in answer.rows):
        return "failed" if any(row.failed for row in answer.rows) else "nothing"
    return "unpaired"


def _line(row: Row, answer: Answer) -> Line:
    against = row.against
    ratio = ratio_of(row)
    first = row.first_token_s
    return Line(
        config_id=row.config_id,
        name=called(answer, row.config_id),
        short=called(answer, row.config_id, "names_short"),
        makespan=number(row.makespan_s),
        against=bounded(ratio.value, ratio.low, ratio.high)
        if ratio
        else say("against", "reference" if row.is_reference else "unpaired"),
        verdict=say("against", against.verdict) if against and ratio else "",
        tokens=number(row.tokens_per_s, 0),
        first=tuple(number(one) for one in (first[:1] + first[1:][-1:])),
        memory=number(row.memory_gib),
        best=row.config_id == answer.best,
        reference=row.is_reference,
    )


def _do(answer: Answer) -> str:
    best = answer.best
    if answer.outcome in ("fastest", "among") and _distrusted(answer):
        return say("do", "distrust")
    if best is None or answer.outcome not in ("fastest", "among"):
        # "fastest" and "among" name a best; without one there is nothing to choose.
        plain = answer.outcome in ("equivalent", "not_measured")
        return say("do", answer.outcome if plain else "inconclusive")
    if answer.outcome == "among" and _not_ahead(answer):
        slower = [row.config_id for row in _slower(answer)]
        return say("do", "slower", slower=_all(answer, slower, "or"))
    if answer.outcome == "among":
        rivals = _all(answer, answer.rivals, "or")
        return say("do", "among", best=called(answer, best), rivals=rivals)
    if best == answer.reference:
        return say("do", "reference", best=called(answer, best))
    chosen = answer.row(best)
    soonest = _soonest(answer) or chosen
    least = min((row.memory_gib for row in answer.rows if row.memory_gib), default=None)
    places = {"best": called(answer, best)}
    verdict = []
    if least and chosen.memory_gib and chosen.memory_gib >= MORE_MEMORY * least:
        verdict.append("memory")
        places["more_memory"] = number(chosen.memory_gib)
        places["less_memory"] = number(least)
    if chosen.first_token_s and chosen.first_token_s[0] >= LATER * soonest.first_token_s[0]:
        verdict.append("first")
        places["soonest"] = called(answer, soonest.config_id)
        places["early"] = number(soonest.first_token_s[0])
        places["late"] = number(chosen.first_token_s[0])
    return say("do", "_".join(verdict) or "fastest", **places)


def _soonest(answer: Answer) -> Row | None:
    """Where the first token comes soonest; of those about as soon, what finishes first."""
    waiting = [row for row in answer.rows if row.first_token_s]
    if not waiting:
        return None
    least = min(row.first_token_s[0] for row in waiting)
    near = [row for row in waiting if row.first_token_s[0] <= LATER * least]
    return min(near, key=lambda row: (row.makespan_s or math.inf, not row.is_reference))


def _distrusted(answer: Answer) -> bool:
    """Whether the same config twice differs by as much as the best gains, in any direction."""
    if not answer.twin or answer.twin.verdict not in ("better", "worse") or not answer.best:
        return False
    gain, twin = ratio_of(answer.row(answer.best)), answer.twin.ratio
    if gain is None or gain.low is None or twin is None:
        return True
    return max(gain.low, 1.0) < max(twin.value, 1 / twin.value)


def _trust(answer: Answer) -> tuple[str, ...]:
    if not answer.rounds:
        return ()
    # First, since a terminal leaves out what comes last.
    unknown = answer.hardware.verdict == "unknown"
    points = [_hardware(answer)] if unknown else []
    points.append(_rounds(answer))
    points += lengths(answer)
    points += noticed(answer.validity)
    points += [reloaded(one, called(answer, one.config_id)) for one in answer.validity.reloads]
    if answer.twin:
        ratio = answer.twin.ratio
        verdict = answer.twin.verdict if ratio else "unmeasured"
        places = {"ratio": bounded(ratio.value, ratio.low, ratio.high)} if ratio else {}
        points.append(say("trust_twin", verdict, **places))
    if answer.states:
        points.append(_states(answer.states))
    stalled = max((row.stalled for row in answer.rows), default=0.0)
    if stalled >= STALLED:
        points.append(say("trust_stalls", "some", share=percent(stalled, 0)))
    return tuple(points)


def _rounds(answer: Answer) -> str:
    one = say("sessions", "one") if answer.sessions == 1 else None
    places = {
        "rounds": counted(answer.rounds, "round"),
        "minutes": minutes(answer.measuring_s),
        "sessions": one or say("sessions", "many", n=str(answer.sessions)),
    }
    if answer.disturbed:
        verdict = "left_out" if answer.used < answer.rounds else "kept"
        return say("trust_rounds", verdict, disturbed=str(answer.disturbed), **places)
    return say("trust_rounds", "quiet", **places)


def _states(states: States) -> str:
    pairs = sorted(zip(states.modes, states.ratios, strict=True), key=lambda one: one[0].makespan_s)
    (fast, first), (slow, second) = pairs
    places = {"slow": number(slow.makespan_s), "fast": number(fast.makespan_s)}
    if min(first.value, second.value) > 1:
        gains = {"first": percent(first.value - 1, 0), "second": percent(second.value - 1, 0)}
        return say("trust_states", "same", **gains, **places)
    apart = {"first": speed(first.value), "second": speed(second.value)}
    return say("trust_states", "mixed", **apart, **places)
