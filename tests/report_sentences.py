"""What each sentence of a report is known by, and those that go together."""

import re

# What each sentence is known by.
SENTENCES = {
    "control failed": r"\*\*A control failed\*\*",
    "better": r"finishes the same work \*\*1\.60 times as fast\*\*",
    "worse": r"is \*\*slower\*\* than",
    "equivalent": r"makes \*\*no difference that matters\*\*.* within the margin of 5 %",
    "inconclusive": r"\*\*inconclusive\*\*, makespan_ratio .*so noisy a comparison shows",
    "single pair": r"from a single pair, which has no interval",
    "no pair": r"since no round holds a valid block of both",
    "legend": r"^makespan_ratio: wall time of",
    "equal threads": r"on the same number of compute threads",
    "more": r" 1 more comparison: \[section 6\]\(#6-",
    "holm": r"\*\*inconclusive\*\* as one of \d comparisons \(Holm: p ",
    "other sessions": r"\*\*inconclusive\*\*, since no invocation measured both",
    "wait": r"First token: \d.* times the wait in `serial` \(\*\*",
    "wait in a family": r"First token: .* times \(\*\*inconclusive\*\* among \d comparisons\)",
    "alone equivalent": r"as one of \d comparisons \(alone it is within the margin of 5 %\)",
    "best topology": r"^\*\*Which topology\?\*\* For throughput \*\*`\w+` is the fastest\*\*; ",
    "best topologies": r"^\*\*Which topology\?\*\* For throughput \*\*`\w+` or `\w+`\*\*",
    "no best topology": r"^\*\*Which topology.*For throughput \*\*no evidence for a difference",
    "too few rounds": r"^\*\*Which topology\?\*\* For throughput \*\*cannot be told\*\*",
    "unlike work": r"^\*\*Which topology\?\*\* \*\*Cannot be told\*\* at equal work, which was not",
    "soonest": r"For the first token \*\*`\w+` is the soonest\*\*",
    "nothing valid": r"\*\*Nothing could be measured\*\*",
    "one topology": r"^\*\*Which topology\?\*\* \*\*Cannot be told\*\*: no two topologies",
    "no ratio": r"^makespan_ratio is missing: it needs a valid `serial` block",
    "estimator": r"^- \*\*TR114's estimator\*\*: Of \d+ configs?, it",
    "no estimator": r"^- \*\*TR114's estimator\*\*: \*\*Cannot be told\*\*",
    "lengths": r"^- \*\*TR114's estimator\*\*: In `dual` \*\*it has measured answer lengths",
    "overlap": r"^- \*\*From overlap\*\*: two that decode at once make \d",
    "configs differ": r"^- \*\*Configs\*\*: \*\*Configs differ\*\* in \d of \d tests",
    "no config differs": r"^- \*\*Configs\*\*: \*\*No config is shown to differ\*\* .*: p .*\*\*no",
    "configs untested": r"^- \*\*Configs\*\*: \*\*Cannot be told\*\*: no two rounds hold all",
    "one config each": r"^- \*\*Configs\*\*: \*\*Nothing to tell apart\*\*",
    "baseline missing": r"^- \*\*Baselines\*\*: \*\*nothing\*\*: not there: nowhere \(",
    "baseline apart": r"^- \*\*Baselines\*\*: \*\*not comparable\*\* with tr114.*: ano",
    "no baseline": r"^- \*\*Baselines\*\*: \*\*nothing\*\*: the study names no baseline",
    "controls passed": r"^- \*\*Controls\*\*: \d passed, none failed",
    "controls noisy": r"^- \*\*Controls\*\*: .*too noisy to tell",
    "controls failed": r"^- \*\*Controls\*\*: \*\*\d failed\*\*",
    "controls untested": r"^- \*\*Controls\*\*: \*\*none could be tested\*\*",
    "detectable": r"^- \*\*Smallest change .*: a makespan_ratio of \d.* below(, by topology)?\.$",
    "detectable config": r"^- \*\*Smallest change .*: a difference of \d.* between two configs",
    "not detectable": r"^- \*\*Smallest change .*: not known: that needs",
    "estimator over": r"\*\*overstates the gain in \d",
    "estimator under": r"\*\*understates it in \d",
    "estimator right": r"is right within 5 % in \d",
    "estimator unknown": r"cannot be told right or wrong in \d",
    "machines": r"from \d+ different machines\*\* \(\[section 4\]",
    "failed attempts": r"\*\*\d+ of \d+ attempts failed\*\*",
    "disturbed": r"\*\*\d+ of \d+ blocks were disturbed\*\*",
    "drifted": r"\*\*The machine drifted in 1 of 1 session\*\*: .*, a token took 1\.\d\d times as",
    "cold": r"\*\*\d+ of \d+ runs were cold\*\*",
    "one session": r"describe this one session, not the machine",
    "two sessions": r"describe these two sessions, not the machine",
    "three sessions": r"rest on the means of 3 sessions",
    "not calibrated": r"^- \*\*Instrument error\*\*: not calibrated\.$",
    "instrument error": r"^- \*\*Instrument error\*\*: a token's arrival 20 us median, 61 us p99 "
    r"\(n = 720\), time to first token 31 us median \(n = 36\), at a load average of 0\.1",
    "worst of sessions": r", in the worst of 2 sessions\.$",
    "partly calibrated": r"; \*\*not calibrated in 1 of 2 sessions\*\*\.$",
    "calibration": r"^\| arrival of a token \| 20\.4 / 61\.2 \(720\) \| [\d.]+ / [\d.]+ \(720\)",
    "control further off": r"^Plain httpx was 10\.0 times as far off",
    "control closer": r"^\*\*The instrument was further off than plain httpx\*\* .*: 2\.0 times",
    "uncalibrated": r"^\*\*Not calibrated\*\*: session s1\. How far its times",
    "uncalibrated sessions": r"^\*\*Not calibrated\*\*: sessions s1, s2.*\. How far their times",
    "calibrated elsewhere": r"^\*\*Calibrated on another machine\*\* than .*: session s1\.$",
    "client": r"^The client itself used \d\.\d\d % .*, \d\.\d\d % at most \(n = \d+\)",
    "skew": r"^Agents that start together .* 0 us apart in the median run, 0 us at most \(n = \d",
    "agents alone": r"Each block measures every agent alone and all of them at once",
    "agents alone too": r"Agents were measured alone, too\.",
    "random": r"Blocks ran in seeded random rounds\.",
    "by config": r"Blocks ran config by config",
    "order unknown": r"Whether blocks ran in random order is not known, so that drift",
    "machine differences": r"machines\*\*: differences between configs may be",
    "unknown version": r"^\| embedded \| not known \|$",
    "tokens": r"^Prompts had",
    "no group": r"^No two topologies were to do the same work",
    "hides": r"It cannot see that the agents' times add up to \d.* times those alone; against",
    "gains": r"It cannot see that the agents' times add up to only \d",
    "hides nothing": r"hides nothing that matters",
    "hides something": r"What it hides cannot be told from \d block",
    "not fixed": r"valid runs did not do fixed work and have no makespan_ratio",
    "no reference": r"There is no `serial` config with this work",
    "void reference": r"No `serial` block with this work is valid",
    "unequal": r"^\*\*Unequal hardware\*\*",
    "legend of topologies": r"^Makespan and ratios are geometric means",
    "list over": r"^- \*\*overstates the gain\*\*: `",
    "list under": r"^- \*\*understates the gain\*\* \(.*\): `",
    "list right": r"^- \*\*right\*\* within the margin of 5 %: `",
    "list unknown": r"^- \*\*cannot be told\*\* from these blocks: `",
    "list none": r"^- \*\*nothing to compare with\*\*",
    "no option": r"^No option was varied with all else equal, so",
    "level equal": r"^speedup_true shows \*\*no difference that matters\*\* from the lowest level",
    "level differs": r"^speedup_true \*\*differs\*\* between levels\. Against that at 0\.6 it is",
    "level unclear": r"^Whether speedup_true differs between levels is \*\*inconclusive\*\*",
    "level detectable": r"times at .* \(inconclusive, n = \d; so noisy a comparison shows only \d",
    "level unknown": r"^Whether the levels differ in speedup_true is not known",
    "not confirmed": r"^\*\*No effect is estimated\*\*",
    "level lengths": r"^The work was not fixed: answers differ in length \(\d+ to \d+ tokens\), so",
    "level not fixed": r"^The work was not fixed, so wall times are left out",
    "chance": r"^\d comparisons? of levels stands? here: of levels that do not differ",
    "serial passed": r"can gain nothing: .*Passed \(0\.9 to 1\.1\)",
    "serial failed": r"can gain nothing: .*\*\*Failed\*\*",
    "serial noisy": r"can gain nothing: .*\*\*Too noisy to tell\*\*",
    "serial untested": r"^- No `serial` block has a speedup_true",
    "no serial": r"^- No `serial` config was measured",
    "pair passed": r"are the same config twice: .*n = \d+\. Passed: the same within the margin",
    "pair unclear": r"are the same config twice: .*Passed: not shown to differ; .* shows only \d",
    "pair noisy": r"are the same config twice: .*\*\*Too noisy to tell\*\*",
    "pair failed": r"are the same config twice: .*\*\*Failed\*\*",
    "pair once": r"are the same config twice: .* from a single pair: not tested",
    "pair never": r"are the same config twice, but no round holds a valid block of both",
    "no pairs": r"^- No config was measured twice",
    "foreign": r"^- Other processes used \d",
    "foreign unknown": r"^- What other processes used is not known",
    "factors": r"^Settings that a server applied otherwise than asked",
    "not reported": r"\| not reported by the server \|",
    "factors applied": r"^Every setting that was asked for is reported",
    "no failure": r"^No attempt failed\.",
    "void configs": r"^Without any valid block",
    "small model": r"^- The embedded engine computes on the CPU",
    "num_gpu": r"^- `num_gpu` does nothing in the embedded engine",
}
# Scene 1 and what it says; every other scene says what it adds and what it takes away.
STEADY = {"better", "legend", "equal threads", "estimator over", "one session", "agents alone"}
STEADY |= {"random", "tokens", "hides", "legend of topologies", "list over", "serial passed"}
STEADY |= {"estimator right", "hides nothing", "list right", "no pairs", "foreign", "no failure"}
STEADY |= {"factors applied", "small model", "estimator", "no option"}
STEADY |= {"not calibrated", "uncalibrated", "client", "skew"}
STEADY |= {"best topology", "soonest", "wait", "one config each", "no baseline"}
STEADY |= {"controls passed", "detectable"}
CALIBRATED = {"instrument error", "calibration"}
UNCALIBRATED = {"not calibrated", "uncalibrated"}
# What goes when nothing can be compared: one config, or no reference.
RATIO = {"better", "legend", "equal threads", "wait", "detectable"}
COMPARED = RATIO | {"best topology", "soonest"}
GROUPED = {"legend of topologies", "hides", "hides nothing"}
RIGHT = {"estimator right", "list right"}
OVER = {"estimator over", "list over"}
UNKNOWN = {"estimator unknown", "list unknown"}
NO_SERIAL = {"serial passed", "hides nothing", "controls passed", *RIGHT}
ONE_TOPOLOGY = {"one topology", "detectable config", "controls untested"}
NO_RATIO = {"no ratio", "detectable config"}
OPTION = {"no option", "one config each"}


def said(text: str) -> set[str]:
    """The sentences that a report says."""
    return {name for name, mark in SENTENCES.items() if re.search(mark, text, re.MULTILINE)}
