"""Which rule a contention flag follows that came with imported data. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

RUN_KEY = ["session", "config_id", "repetition", "attempt"]
# Rules that reports and their programs name, in words.
RULES: Mapping[str, str] = {
    "speedup": "speedup_estimate < 1.5",
    "first_token_alone": "first token > 3 s later than alone",
    "first_token_usual": "first token > 3 s later than that agent's median",
    "first_token_10_s": "first token > 10 s",
}


@dataclass(frozen=True, slots=True)
class Match:
    """How a rule fits: of ``n`` runs where it can be applied it ``agrees`` with the flag in some.

    ``flagged`` runs fulfil the rule, ``both`` of them have the flag too. ``explains``: it agrees in
    every run of the data, and the flag is up in some.
    """

    rule: str
    words: str
    n: int
    agrees: int
    flagged: int
    both: int
    explains: bool


@dataclass(frozen=True, slots=True)
class Flag:
    """A stored flag: ``up`` in so many of ``n`` runs, and how each rule fits."""

    n: int
    up: int
    matches: tuple[Match, ...]

    @property
    def rule(self) -> Match | None:
        """The rule that the flag follows; None if no rule explains it, or several do."""
        result = [match for match in self.matches if match.explains]
        return result[0] if len(result) == 1 else None


def identify(runs: pd.DataFrame, executions: pd.DataFrame) -> Flag | None:
    """The column ``contention_source`` of ``runs`` against each of RULES; None if no run has it.

    ``executions`` are the concurrent ones of the same runs.
    """
    if "contention_source" not in runs or runs["contention_source"].isna().all():
        return None
    stored = runs.dropna(subset=["contention_source"]).set_index(RUN_KEY)
    up = stored["contention_source"].astype(bool)
    # What each rule says of each run, null where it cannot be applied.
    first = executions.pivot_table("ttft_s", RUN_KEY, "agent", dropna=False).dropna()
    rules = {
        "speedup": stored["contention_speedup_rule"],
        "first_token_alone": stored["contention_ttft_rule"],
        "first_token_usual": (first - first.median() > 3.0).any(axis=1),
        "first_token_10_s": (first > 10.0).any(axis=1),
    }
    matches = []
    for rule, flags in rules.items():
        said = flags.reindex(up.index).dropna().astype(bool)
        group = up.loc[said.index]
        agrees = int((group == said).sum())
        matches.append(
            Match(
                rule=rule,
                words=RULES[rule],
                n=len(said),
                agrees=agrees,
                flagged=int(said.sum()),
                both=int((group & said).sum()),
                explains=agrees == len(up) and bool(up.any()),
            )
        )
    return Flag(n=len(up), up=int(up.sum()), matches=tuple(matches))
