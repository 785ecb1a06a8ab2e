"""What the machine did meanwhile: telemetry by subject, agents alone and together."""

import pandas as pd

from tandembench.analysis.numbers import RUN, Values, mean, peak

MEASURED = ("cores", "memory_gib", "clock_mhz")
OF_A_GPU = ("utilisation", "power_w", "temperature_c")
# In this order, each by its number; a subject that is not known comes last.
SUBJECTS = ("server", "client", "telemetry", "others", "machine", "gpu")


def hardware(telemetry: pd.DataFrame, runs: pd.DataFrame) -> Values | None:
    """Mean and peak of the samples of valid blocks, by subject and mode; None without samples.

    ``own_cores`` is what taking the samples cost, in cores, in both modes together.
    """
    if telemetry.empty:
        return None
    samples = telemetry.merge(runs.loc[runs["valid"], RUN], on=RUN)
    samples["memory_gib"] = samples["memory_bytes"] / 2**30
    rows = [
        _row(str(subject), str(mode), own)
        for (subject, mode), own in samples.groupby(["subject", "mode"])
    ]
    rows.sort(key=lambda row: (*_place(row["subject"]), row["mode"] != "solo"))
    return {
        "rows": rows,
        "gpu": any(row["is_gpu"] for row in rows),
        "own_cores": mean(samples.loc[samples["subject"] == "telemetry", "cores"]),
    }


def _row(subject: str, mode: str, own: pd.DataFrame) -> Values:
    reasons = {reason for text in own["throttle"].dropna() for reason in text.split(", ") if reason}
    return {
        "subject": subject,
        "mode": mode,
        "n": len(own),
        "is_gpu": subject.startswith("gpu "),
        "throttle": ", ".join(sorted(reasons)) or None,
        **{
            name: {"mean": mean(own[name]), "peak": peak(own[name])}
            for name in (*MEASURED, *OF_A_GPU)
        },
    }


def _place(subject: str) -> tuple[int, str, int]:
    word, _, number = subject.partition(" ")
    known = SUBJECTS.index(word) if word in SUBJECTS else len(SUBJECTS)
    return known, word, int(number) if number.isdecimal() else 0
