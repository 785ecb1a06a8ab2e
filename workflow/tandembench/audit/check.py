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
    file's data that it is called after (ours-runs for ours), or "ours=NAME" says which.
    Published tables are found by themselves, the newest baseline of that name.
    """
    claims = open_claims(path)
    sources = {name: Source() for name in claims.keys.data}
    for text in data:
        name, side = _named(text, claims, root)
        known = sources[name]
        if (known.printed if side.dataset is None else known.runs) is not None:
            fix, where = "name one of each kind", f"--data {sanitise(text)}"
            raise TandemError(f"a second dataset for '{name}'", where=where, fix=fix)
        sources[name] = _with(known, side)
    wanted = {
        one.source
        for claim in claims.claims
        for value in claim.values
        for one in parts(value.expression)
        if isinstance(one, Statistic) and one.table == "printed"
    }
    for name in wanted:
        published = [
            one
            for one in baselines(root, name.replace("_", "-"))
            if read_descriptor(one.folder).get("kind") == "published"
        ]
        if published and sources[name].printed is None:
            sources[name] = _with(sources[name], open_side(published[-1].label, root))
    return claims, audit(claims, sources)


def _with(known: Source, side: Side) -> Source:
    """What was known, and ``side``."""
    if side.dataset is None:
        return replace(known, printed=printed_table(side.printed))
    runs, executions = run_tables(side.dataset.runs, side.dataset.executions)
    return replace(known, runs=runs, executions=executions)


def _named(text: str, claims: Claims, root: Path) -> tuple[str, Side]:
    """Which of the file's data ``text`` names, and the data itself."""
    alias, _, name = text.partition("=")
    if name and alias in claims.keys.data:
        return alias, open_side(name, root)
    names, where = ", ".join(claims.keys.data), f"--data {sanitise(text)}"
    if name and not Path(text).exists():
        what = f"no claim is about '{sanitise(alias, 60)}'"
        raise TandemError(what, where=where, fix=f"names: {names}")
    side = open_side(text, root)
    called = str(side.descriptor.get("name", ""))
    plain = called.replace("-", "_").replace(".", "_")
    fitting = [one for one in claims.keys.data if f"{plain}_".startswith(f"{one}_")]
    if not fitting:
        fix = f"say which it is, NAME={sanitise(text, 60)}, with NAME one of {names}"
        raise TandemError(f"no claim is about '{sanitise(called, 60)}'", where=where, fix=fix)
    return max(fitting, key=len), side
