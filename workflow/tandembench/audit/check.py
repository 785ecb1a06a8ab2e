"""Files in, audit out: a claims file, and what --data names, against which it is judged."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tandembench.audit.claims import Claims, open_claims
from tandembench.audit.expressions import Statistic, parts
from tandembench.audit.judge import Judged, audit
from tandembench.audit.sides import Side, open_side
from tandembench.audit.tables import Source, printed_table, run_tables
from tandembench.dataset.descriptor import read_descriptor
from tandembench.dataset.versions import ROOT, baselines
from tandembench.errors import TandemError
from tandembench.text import sanitise


def check_claims(path: Path, data: Sequence[str], root: Path = ROOT) -> tuple[Claims, list[Judged]]:
    """The claims at ``path``, each judged against what ``data`` names.

    Each name is a baseline, results/<study> or a dataset's folder. It stands for the one of the
    file's data that it is called after (tr114-runs for tr114), or "tr114=NAME" says which.
    """
    claims = open_claims(path)
    sources: dict[str, Source] = {}
    for text in data:
        alias, side = _side(text, claims, root)
        known = sources.get(alias, Source())
        if (known.printed if side.dataset is None else known.runs) is not None:
            fix = "name one of each kind"
            where = f"--data {sanitise(text)}"
            raise TandemError(f"a second dataset for '{alias}'", where=where, fix=fix)
        sources[alias] = _with(known, side)
    for alias in _printed_sources(claims):
        known = sources.get(alias, Source())
        published = _published(alias, root) if known.printed is None else None
        if published is not None:
            sources[alias] = _with(known, published)
    return claims, audit(claims, sources)


def _with(known: Source, side: Side) -> Source:
    """What was known, and ``side``."""
    if side.dataset is None:
        return replace(known, printed_label=side.label, printed=printed_table(side.printed))
    runs, executions = run_tables(side.dataset.runs, side.dataset.executions)
    return replace(known, label=side.label, runs=runs, executions=executions)


def _side(text: str, claims: Claims, root: Path) -> tuple[str, Side]:
    """Which of the file's data ``text`` names, and the data itself."""
    alias, _, name = text.partition("=")
    if name and alias in claims.keys.data:
        return alias, open_side(name, root)
    names = ", ".join(claims.keys.data)
    if name and not Path(text).exists():
        what = f"no claim is about '{sanitise(alias, 60)}'"
        raise TandemError(what, where=f"--data {sanitise(text)}", fix=f"names: {names}")
    side = open_side(text, root)
    own = str(side.descriptor.get("name", ""))
    fitting = [
        one for one in claims.keys.data if own == one or own.startswith((f"{one}-", f"{one}_"))
    ]
    if not fitting:
        fix = f"say which it is, NAME={sanitise(text, 60)}, with NAME one of {names}"
        what = f"no claim is about '{sanitise(own, 60)}'"
        raise TandemError(what, where=f"--data {sanitise(text)}", fix=fix)
    return max(fitting, key=len), side


def _printed_sources(claims: Claims) -> set[str]:
    """The data of which some claim looks at the published table."""
    return {
        one.source
        for claim in claims.claims
        for value in claim.values
        for one in parts(value.expression)
        if isinstance(one, Statistic) and one.table == "printed"
    }


def _published(name: str, root: Path) -> Side | None:
    """The newest published baseline of that name; None if there is none."""
    for one in reversed(baselines(root, name)):
        if read_descriptor(one.folder).get("kind") == "published":
            return open_side(one.label, root)
    return None
