"""Runs that were not measured side by side -> what a report, the terminal and a difference say."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tandembench.analysis.apart import EQUAL, Apart, Between, Factor, Group, Kind
from tandembench.analysis.controls import Control
from tandembench.analysis.intervals import inverse
from tandembench.report.formats import bounded, interval, listed, number, percent
from tandembench.report.sections import Points, Section, Table, section, table
from tandembench.report.words import say
from tandembench.text import counted, sanitise


@dataclass(frozen=True, slots=True)
class SaidApart:
    """``factors``: what to compare by, and the rows of its table; ``points``: (about, sentence)."""

    headline: str
    factors: tuple[tuple[str, tuple[dict[str, object], ...]], ...]
    points: tuple[tuple[str, str], ...]

    def section(self) -> Section:
        """All of it but the headline, as a page has it."""
        parts: list[Points | Table | str] = []
        for by, rows in self.factors:
            parts += [f"{by}:", table("apart", rows)]
        return section("", *parts, Points(tuple(sentence for _, sentence in self.points)))


def said_apart(apart: Apart, controls: Sequence[Control] = ()) -> SaidApart:
    """The sentences and tables of ``apart``; ``controls`` are its configs that ran twice."""
    factors = ((say("apart_by", one.kind), tuple(_rows(one))) for one in apart.factors)
    return SaidApart(_headline(apart, controls), tuple(factors), tuple(_points(apart)))


def said_between(between: Between) -> SaidApart:
    """The same of two datasets, A and B."""
    sides = (between.sides, *between.factors)
    pair = between.pair
    a, b = (between.sides.group(side) for side in ("A", "B"))
    places = {"a": number(a.wall_s.mean), "b": number(b.wall_s.mean)}
    sentences = [say("between_walls", pair.wall_verdict, by=interval(pair.wall_s), **places)]
    if a.tokens_per_s and b.tokens_per_s:
        sentences.append(say("between_rates", pair.verdict, ratio=interval(pair.ratio)))
    sentences += [_fastest(one) for one in between.factors if _tells(one)]
    parts = [(between.sides.kind, one) for one in (a, b)]
    parts += [(one.kind, group) for one in between.factors for group in one.groups]
    shared: dict[tuple[str, ...], list[str]] = {}
    for kind, group in parts:
        of_side = between.sides.group(group.level[0])
        if len(group.turns) == 1 and (group is of_side or len(of_side.turns) > 1):
            how = _how(group, str(next(iter(group.turns))))
            shared.setdefault(tuple(how.values()), []).append(named(kind, group.level))
    points = [
        ("Turns", f"{listed(names)}: {say('turns_where', 'all', on=on, how=how)}")
        for (on, how), names in shared.items()
    ]
    factors = ((say("apart_by", one.kind), tuple(_rows(one))) for one in sides)
    trust = ("Trust", say("between_trust", "paired" if between.paired else "unpaired"))
    return SaidApart(" ".join(sentences), tuple(factors), (*points, trust))


def _tells(factor: Factor) -> bool:
    """Whether the best group of two datasets beats another of its own: else the dataset does it."""
    return any(one.verdict == "better" and one.other[0] == factor.best[0] for one in factor.pairs)


def _headline(apart: Apart, controls: Sequence[Control]) -> str:
    """Which setting is faster, where one is shown to be."""
    done = _done(apart.whole)
    if not apart.factors:
        return say("apart", "alone", done=done)
    first = apart.factors[0]
    if not first.differs:
        equal = all(pair.verdict == "equivalent" for one in apart.factors for pair in one.pairs)
        by = listed([_small(say("apart_by", one.kind)) for one in apart.factors], "or")
        return say("apart", "equal" if equal else "undecided", by=by, done=done)
    low = min(one.ratio.low or 1 for one in first.pairs if one.verdict == "better")
    if doubt := _doubt(low, controls):
        return say("apart", "doubt", **doubt)
    return _fastest(first, _topology(apart.whole))


def _fastest(factor: Factor, on: str = "") -> str:
    """The best group of a setting that makes a difference, against the largest that it beats."""
    beaten = [one for one in factor.pairs if one.verdict == "better"]
    pair = max(beaten, key=lambda one: factor.group(one.other).configs)
    best, other = factor.group(factor.best), factor.group(pair.other)
    # Of two datasets, the group says what served it.
    where = "" if on else f" {say('apart_on', _topology(best))}"
    places = {
        "on": say("apart_on", on or "of_both"),
        "best": named(factor.kind, best.level) + where,
        "other": named(factor.kind, other.level),
        "done": _done(best),
        "other_wall": number(other.wall_s.mean),
        "ratio": interval(pair.ratio),
    }
    sentence = say("apart", "fastest" if best.tokens_per_s else "fastest_wall", **places)
    rivals = [named(factor.kind, one.other) for one in factor.pairs if one.verdict != "better"]
    return f"{sentence} {say('apart', 'rivals', rivals=listed(rivals))}" if rivals else sentence


def _doubt(low: float | None, controls: Sequence[Control]) -> dict[str, str] | None:
    """A config that differs from itself by as much as settings do, at least."""
    for one in controls:
        ratio = one.versus.ratio
        if one.result == "failed" and ratio and max(ratio.value, 1 / ratio.value) >= (low or 1):
            names = {"subject": one.versus.subject, "other": one.versus.other}
            return {**names, "ratio": bounded(ratio.value, ratio.low, ratio.high)}
    return None


def _done(group: Group) -> str:
    """How long its runs took, and at which rate."""
    wall = number(group.wall_s.mean)
    if group.tokens_per_s is None:
        return say("apart_done", "wall", wall=wall)
    return say("apart_done", "rate", wall=wall, rate=number(group.tokens_per_s.mean, 0))


def _topology(group: Group) -> str:
    return group.topologies[0] if len(group.topologies) == 1 else "several"


def named(kind: Kind, level: str, brief: str = "") -> str:
    """What a group is called, in a table by its ``brief`` name; that of one of two datasets, "A: "
    and so on, after it.
    """
    side, _, level = level.rpartition(": ")
    if side:
        return f"{side}: {named(kind, level, brief)}"
    if kind == "alike":
        verdict = ("equal" if level == EQUAL else "differ") + brief
        places = {} if level == EQUAL else {"options": listed(level.split(", "))}
        return say("apart_alike", verdict, **places)
    return say("names_two", level) if kind == "topology" else sanitise(level, 60)


def _rows(factor: Factor) -> Iterator[dict[str, object]]:
    pairs = {one.other: one for one in factor.pairs}
    for group in factor.groups:
        pair = pairs.get(group.level)
        yield {
            "name": named(factor.kind, group.level, "_brief"),
            "group": group,
            "against": interval(inverse(pair.ratio)) if pair else say("apart", "best"),
            "verdict": say("apart_against", pair.verdict) if pair else "",
            "loads": _loads(group),
            "turns": listed([say("apart_turns", str(way)) for way in group.turns]) or None,
        }


def _loads(group: Group) -> str:
    loads = group.loads
    if loads is None or not loads.loads:
        return say("apart_loads", "none" if loads else "unknown")
    places = {"runs": f"{loads.runs}/{group.runs}", "each": number(loads.each_s, 1)}
    return say("apart_loads", "some", share=percent(loads.share, 0), **places)


def _points(apart: Apart) -> Iterator[tuple[str, str]]:
    whole = apart.whole
    places = {"runs": counted(whole.runs, "run"), "configs": counted(whole.configs, "config")}
    rate = say("apart_whole", "rate", rate=interval(whole.tokens_per_s, 0))
    places |= {"wall": interval(whole.wall_s), "rate": rate if whole.tokens_per_s else ""}
    yield "Runs", say("apart_whole", "runs", **places)
    for way, n in whole.turns.items():
        yield "Turns", _turns(apart, str(way), n)
    if whole.loads:
        verdict = "some" if whole.loads.loads else "none"
        some = {
            "runs": str(whole.loads.runs),
            "of": counted(whole.runs, "run"),
            "loads": counted(whole.loads.loads, "time"),
            "each": number(whole.loads.each_s, 1),
            "share": percent(whole.loads.share, 0),
        }
        yield "Loads", say("loads", verdict, **(some if whole.loads.loads else {}))
    yield "Trust", say("apart_whole", "trust")


def _turns(apart: Apart, way: str, n: int) -> str:
    """How agents shared the time, and in which configs where others did otherwise."""
    whole = apart.whole
    places = _how(whole, way)
    if len(whole.turns) == 1:
        return say("turns_where", "all", **places)
    names = [
        named(factor.kind, group.level)
        for factor in apart.factors
        for group in factor.groups
        if {str(one) for one in group.turns} == {way}
    ]
    some = say("turns_where", "some", n=str(n), of=counted(whole.configs, "config"))
    return say("turns_where", "of", where=listed(names) or some, **places)


def _how(group: Group, way: str) -> dict[str, str]:
    return {"on": say("apart_servers", _topology(group)), "how": say("turns", way)}


def _small(words: str) -> str:
    return words[:1].lower() + words[1:]
