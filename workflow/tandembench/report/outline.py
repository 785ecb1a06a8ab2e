"""The details: everything that page one leaves out, in the outline of Technical Report 114."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict

from tandembench.analysis.groups import SUMMARISED, Row
from tandembench.analysis.instrument import Instrument
from tandembench.analysis.summaries import Summary
from tandembench.calibrate.record import Spread
from tandembench.report.details import Details
from tandembench.report.figures.figure import Figure
from tandembench.report.formats import NOTHING, listed, number, percent
from tandembench.report.said import Said
from tandembench.report.sections import (
    MOST_ROWS,
    Part,
    Points,
    Section,
    Table,
    more,
    section,
    shown,
    table,
)
from tandembench.report.words import say, sentences
from tandembench.text import counted


def outline(
    details: Details, compared: Sequence[Said], figures: Sequence[Figure]
) -> tuple[Section, ...]:
    """Every section that has something to say; ``figures`` are all that there are."""
    return tuple(
        one
        for one in (
            section(
                say("title", "overview"),
                Points((say("note", "topologies"), say("note", "scenarios"))),
                table("phases", details.phases),
                level=2,
            ),
            *_comparisons(compared),
            *_by_phase(details),
            *_by_scenario(details),
            *_with_templates(details),
            *_environment(details),
            *_instrument(details.instrument),
            *_everything(details),
            *_of_telemetry(details, figures),
            _tables(figures),
            _provenance(details),
        )
        if one.parts or one.template
    )


def _comparisons(compared: Sequence[Said]) -> Iterator[Section]:
    if compared:
        yield section(say("title", "comparisons"), say("note", "comparisons"), level=2)
    for one in compared[:MOST_ROWS]:
        ends = [line.first or (None,) for line in one.lines]
        rows = [
            asdict(line) | {"first": of[0], "last": of[-1]}
            for line, of in zip(one.lines, ends, strict=True)
        ]
        trust = " ".join(one.trust) or None
        yield section(one.comparison, one.headline, table("comparison", rows), trust)
    left_out = more(len(compared), "comparisons", "runs", "comparison, makespan_ratio")
    yield section(say("title", "more"), left_out)


def _by_phase(details: Details) -> Iterator[Section]:
    yield section(say("title", "by_phase"), say("note", "by_phase"), level=2)
    for phase in details.phases:
        rows = [details.configs[name] for name in phase.shown]
        left_out = more(phase.configs, "configs", "runs", "efficiency_estimate, speedup_true")
        kinds = ["estimate", "estimate_parts"]
        kinds += ["true", "true_parts"] if any(row["speedup_true"] for row in rows) else []
        parts = (
            part for kind in kinds for part in (say("phase", kind), table(f"phase_{kind}", rows))
        )
        yield section(f"{phase.title} ({phase.name})", *parts, left_out)


def _by_scenario(details: Details) -> Iterator[Section]:
    rows = details.scenarios
    if not rows:
        return
    parts: list[Part] = [say("note", "scenarios_as_tr114"), table("scenario_estimate", rows)]
    if any(row["speedup_true"] for row in rows):
        verdicts = say("note", "scenario_verdicts", margin=percent(details.margin, None))
        parts += [say("phase", "true"), table("scenario_true", rows), verdicts]
    yield section(say("title", "by_scenario"), *parts, say("note", "scenario_rows"), level=2)


def _with_templates(details: Details) -> Iterator[Section]:
    """Sections that are made by templates of their own."""
    for name, content in (
        ("options", details.options),
        ("baselines", details.baselines),
        ("attribution", details.attribution),
        ("hypotheses", details.hypotheses),
    ):
        if content:
            # The template of options has several sections, and says their titles.
            title = "" if name == "options" else say("title", name)
            yield Section(title, 2, (), f"{name}.md.j2")


def _environment(details: Details) -> Iterator[Section]:
    facts, prints = details.measured, details.fingerprints
    if not facts.attempts:
        return
    what = {
        "configs": counted(facts.configs, "config"),
        "valid": str(facts.valid),
        "runs": counted(facts.attempts, "run"),
        "when": facts.when or NOTHING,
    }
    tokens = {
        "prompt": facts.prompt_tokens or NOTHING,
        "answer": facts.answer_tokens or NOTHING,
        "clocks": facts.clocks or NOTHING,
    }
    order = say("measured_order", details.study["order"] or "unknown")
    machines = [one | {"memory_gib": one["memory_bytes"] / 2**30} for one in prints["machines"]]
    engines = [
        *({"name": one["engine"], "version": one["engine_version"]} for one in prints["servers"]),
        *({"name": one["model"], "version": one["model_digest"]} for one in prints["models"]),
    ]
    yield section(
        say("title", "environment"),
        f"{say('measured', 'when', **what)} {order}",
        table("machine", machines),
        table("engines", engines),
        say("note", "servers") if facts.servers else None,
        table("servers", facts.servers),
        say("note", "tokens", **tokens) if facts.valid else None,
        level=2,
    )
    unapplied = details.settings.rows
    yield section(
        say("title", "settings"),
        table("settings_summary", details.settings.summary),
        say("note", "settings") if details.settings.summary else None,
        say("note", "unapplied") if unapplied else None,
        table("settings", unapplied),
        more(len(unapplied), "settings", "executions", "options_asked, options_effective"),
    )
    void = facts.void_configs
    yield section(
        say("title", "failures"),
        table("failures", details.failures),
        more(len(details.failures), "failed runs", "runs", "valid, reason"),
        say("note", "void", configs=listed(void[:MOST_ROWS])) if void else None,
    )


def _instrument(result: Instrument) -> Iterator[Section]:
    skew, share = result.start_skew, result.client_share
    parts: list[Part | None] = [say("note", "calibration") if result.calibrations else None]
    for one in result.calibrations:
        places = {
            "session": one.session,
            "when": f"{one.when[:16].replace('T', ' ')} UTC",
            "seconds": number(one.seconds, 0),
            "before": number(one.load_before),
            "after": number(one.load_after),
        }
        rows = (
            {"what": name, "own": _figure(one, name), "control": _figure(one.control, name)}
            for name in sentences()["calibration"]
        )
        parts += [say("note", "calibrated", **places), table("calibration", rows)]
    if skew:
        p99 = None if skew.p99 is None else skew.p99 * 1e6
        us = {"median": number(skew.median * 1e6, 0), "most": number(skew.max * 1e6, 0)}
        parts.append(say("note", "skew", p99=number(p99, 0), n=str(skew.n), **us))
    if share:
        places = {"median": percent(share.median, 2), "most": percent(share.max, 2)}
        parts.append(say("note", "client_share", n=str(share.n), **places))
    yield section(say("title", "instrument"), *parts)


def _figure(client: object, name: str) -> str:
    value = getattr(client, name)
    if isinstance(value, Spread):
        return f"{number(value.median, 1)} / {number(value.p99, 1)} ({value.n})"
    return value if isinstance(value, str) else number(value, 2 if value < 100 else 0)


def _everything(details: Details) -> Iterator[Section]:
    yield section(say("title", "everything"), say("note", "everything"), level=2)
    rows = [details.configs[name] for name in details.shown]
    yield section(
        say("title", "results"),
        say("note", "results") if rows else None,
        table("results", rows),
        more(details.measured.configs, "configs", "runs", "wall_s, ttft_delta_s"),
    )
    contention = ({"what": name, "share": details.summary[name]} for name in _CONTENTION)
    yield section(
        say("title", "summary"),
        say("note", "summary"),
        table("summary", (_summarised(name, details.summary) for name in SUMMARISED)),
        table("contention", contention),
    )
    yield section(
        say("title", "rates"),
        say("note", "rates") if details.rates else None,
        table("rates", details.rates),
    )
    took, rows = details.timeline, list(details.timeline.phases)
    places = {"inside": took.inside, "elapsed": took.elapsed, "share": percent(took.share)}
    yield section(
        say("title", "timeline"),
        table("timeline", rows),
        say("note", "timeline", **places) if rows and took.share is not None else None,
        say("note", "overlap") if rows and took.overlap else None,
    )


_CONTENTION = ("ttft_rule", "speedup_rule", "contended")


def _summarised(metric: str, row: Row) -> Row:
    """A row of the statistical summary: all means are arithmetic there."""
    as_text = percent if "efficiency" in metric else number
    one = row[metric]
    if not isinstance(one, Summary):
        return {"metric": metric, "n": 0}
    mean = row["speedup_true_arithmetic"] if metric == "speedup_true" else one.mean.mean
    shown_ = {"mean": mean, "median": one.p50, "sd": one.sd, "min": one.minimum, "max": one.maximum}
    return {
        "metric": metric,
        "n": one.n,
        **{name: as_text(of if isinstance(of, float) else None) for name, of in shown_.items()},
    }


def _of_telemetry(details: Details, figures: Sequence[Figure]) -> Iterator[Section]:
    drawn = [shown(one, titled=True) for one in figures]
    usage, cost = details.usage, details.cost_of_samples
    yield section(
        say("title", "hardware"),
        *(one for one in drawn if one.name.startswith("telemetry")),
        say("note", "hardware") if usage else None,
        table("hardware", usage),
        table("gpus", (row for row in usage if str(row["subject"]).startswith("gpu "))),
        say("note", "telemetry", cost=percent(cost)) if cost is not None else None,
    )
    yield section(
        say("title", "latencies"),
        table("latencies", details.latencies),
        say("note", "latencies") if details.latencies else None,
        more(len(details.latencies), "rows", "tokens", "config_id, mode, t_ns"),
    )


def _tables(figures: Sequence[Figure]) -> Section:
    """The tables of the figures, under a heading that their captions lead to."""
    parts: list[Part | None] = []
    for one in figures:
        left_out = len(one.rows) - MOST_ROWS
        parts += [f"{one.title}:", Table(one.columns, one.rows[:MOST_ROWS])]
        parts.append(say("note", "figure_rows", n=str(left_out)) if left_out > 0 else None)
    return section(say("title", "tables"), *parts)


def _provenance(details: Details) -> Section:
    prints, unknown = details.fingerprints, say("provenance", "unknown")
    code = {"measuring": ", ".join(prints["measuring_code"]), "analysing": prints["analysing_code"]}
    rows = [
        *(
            {"name": say("provenance", of), "digest": digest or unknown}
            for of, digest in code.items()
        ),
        *({"name": one["path"], "digest": one["hash"]} for one in details.resources),
    ]
    related = (
        {"label": one.label, "kind": one.kind or one.state, "title": one.title}
        for one in details.baselines
    )
    tables = table("related", related), table("provenance", rows)
    return section(say("title", "provenance"), *tables, level=2)
