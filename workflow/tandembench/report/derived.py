"""What a report needs of every run beyond its table: first tokens of all agents, memory."""

import numpy as np
import pandas as pd

from tandembench.report.groups import RUN

# Columns that `with_derived` adds to the runs.
TTFT_MEAN = "first_token_mean_s"
TTFT_FROM_START = "first_token_from_start_s"
SERVER_MEMORY = "server_memory_bytes"


def with_derived(
    runs: pd.DataFrame, executions: pd.DataFrame, telemetry: pd.DataFrame
) -> pd.DataFrame:
    """``runs`` with further columns, null in runs that are not valid.

    overstated: speedup_estimate / speedup_true, the mean slowdown weighted by solo time.
    first_token_mean_s: mean over the agents of ttft_s, from an agent's own request; null unless
    all have one. first_token_from_start_s: the same from the start of the run, where an agent of
    a serial run also waits for those before it (the sum of their durations). server_memory_bytes:
    peak of each server's memory in the run, summed over servers.
    """
    found = runs.assign(overstated=runs["speedup_estimate"] / runs["speedup_true"])
    found = found.merge(_first_tokens(executions), on=RUN, how="left")
    if telemetry.empty:
        return found.assign(**{SERVER_MEMORY: np.nan})
    return found.merge(_memory(telemetry), on=RUN, how="left")


def _first_tokens(executions: pd.DataFrame) -> pd.DataFrame:
    shared = executions[executions["valid"] & (executions["mode"] == "concurrent")]
    shared = shared.sort_values([*RUN, "agent_index"], kind="stable")
    before = shared.groupby(RUN)["duration_s"].cumsum() - shared["duration_s"]
    waits = before.where(shared["topology"] == "serial", 0.0)
    timed = pd.DataFrame(
        {
            **{key: shared[key] for key in RUN},
            TTFT_MEAN: shared["ttft_s"],
            TTFT_FROM_START: shared["ttft_s"] + waits,
        }
    )
    return timed.groupby(RUN).mean(skipna=False).reset_index()


def _memory(telemetry: pd.DataFrame) -> pd.DataFrame:
    of_servers = telemetry["subject"].str.startswith("server ")
    samples = telemetry[of_servers & (telemetry["mode"] == "concurrent")]
    peaks = samples.groupby([*RUN, "subject"])["memory_bytes"].max()
    return peaks.groupby(RUN).sum(min_count=1).rename(SERVER_MEMORY).reset_index()
