"""What is left out of a comparison and why, and what is noticed of the runs that count. Pure."""

import re
from typing import Any

import pandas as pd

from tandembench.analysis.findings import Reloads, Validity
from tandembench.analysis.settings import checks

_FLAGS = ("loop_lag", "prefix_cache")
_ROUND = ["session", "invocation", "repetition", "round", "attempt"]


def validity(runs: pd.DataFrame, executions: pd.DataFrame) -> Validity:
    """What is to be known of the runs of one comparison, of which alone these are the tables.

    Columns that an older dataset lacks say nothing.
    """
    valid = runs["valid"].astype(bool)
    codes = _column(runs[~valid], "reason").fillna("").map(reason_code)
    by_round = valid.groupby([runs[name].fillna("") for name in _ROUND]).all()
    noticed = _column(runs, "flags").fillna("").str.split(",")
    late, cached = (valid & noticed.map(lambda of, code=code: code in of) for code in _FLAGS)
    shares = _column(runs, "cached_tokens") / _column(runs, "prompt_tokens")
    first = _column(executions[executions["valid"].astype(bool)], "first_chunk").dropna()
    lived = executions.assign(life=_column(executions, "server_life"))
    lives = lived.groupby("endpoint")["life"]
    blocks = lived.fillna({"invocation": ""}).groupby([*_ROUND[:3], "endpoint"])
    return Validity(
        left_out={str(code): int(n) for code, n in codes.value_counts().items()},
        rounds=len(by_round),
        incomplete=int((~by_round).sum()),
        late=int(late.sum()),
        lag_s=_most(_column(runs, "loop_lag_s")[late]),
        cached=int(cached.sum()),
        cached_share=_most(shares[cached]),
        unseen=int(first.ne("token").sum()),
        executions=len(first),
        restarts=int((lives.nunique() - 1).clip(lower=0).sum()),
        split=int((blocks["life"].nunique() > 1).groupby(_ROUND[:3]).any().sum()),
        shared=_shared(executions),
        reloads=reloads(runs),
    )


def reloads(runs: pd.DataFrame) -> tuple[Reloads, ...]:
    """What it cost the configs of ``runs`` that agents had one server load the model in turn."""
    valid = runs.assign(n=_column(runs, "reloads"), s=_column(runs, "reload_s"))
    valid = valid[valid["valid"].astype(bool)].astype({"n": float, "s": float})
    return tuple(
        Reloads(
            config_id=str(config_id),
            runs=len(group),
            loads=int(group["n"].sum()),
            each_s=float((group["s"] / group["n"]).median()),
            run_s=float(group["s"].mean()),
            wall_s=float(group["wall_s"].mean()),
        )
        for config_id, group in valid.groupby("config_id", sort=False)
        if group["n"].sum() > 0
    )


def reason_code(reason: str) -> str:
    """The code at the end of a run's reason, whose other words say which agent it was."""
    code = reason.rpartition(": ")[2]
    return code if re.fullmatch("[a-z0-9_]{1,40}", code) else "incomplete"


def _shared(executions: pd.DataFrame) -> tuple[str, ...]:
    """Configs of topology dual whose servers are one, or behave as one."""
    said = executions.loc[
        _column(executions, "error").fillna("").eq("shared_server"), "config_id"
    ].unique()
    behave = [
        config
        for check in checks(executions)
        if (check.factor, check.asked, check.applied) == ("topology", "dual", False)
        for config in check.configs
    ]
    return tuple(sorted({*map(str, said), *behave}))


def _column(table: pd.DataFrame, name: str) -> "pd.Series[Any]":
    return table[name] if name in table else pd.Series(None, table.index, dtype=object)


def _most(values: "pd.Series[float]") -> float:
    known = values.astype(float).dropna()
    return float(known.max()) if len(known) else 0.0
