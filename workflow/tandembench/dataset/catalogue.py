"""Baselines at a root, a folder or an object store: which there are, what they are, if whole."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tandembench.dataset.baseline import Root, verify
from tandembench.dataset.descriptor import read_descriptor
from tandembench.dataset.stores import fetch, is_address, open_store, stored
from tandembench.dataset.versions import Baseline, baselines, find
from tandembench.errors import TandemError
from tandembench.text import sanitise

Row = dict[str, Any]


def known(root: Root) -> list[Baseline]:
    """All baselines at ``root``."""
    if is_address(str(root)):
        return stored(open_store(str(root)))
    return baselines(Path(root))


def described(text: str, root: Root) -> Row:
    """The descriptor of the baseline ``name`` or ``name@version``, without its table schemas."""
    with _local(text, root, tables=False) as one:
        content = read_descriptor(one.folder)
    for resource in content["resources"]:
        resource.pop("schema", None)
    return content


def as_text(content: Row) -> str:
    """A descriptor for people: a line for each thing that it tells."""
    licences = [one.get("name") or one.get("path") for one in content.get("licenses", ())]
    fingerprints = content.get("fingerprints", {})
    facts = {
        "kind": content.get("kind"),
        "created": content.get("created"),
        "licence": ", ".join(map(str, licences)) or "none stated",
        "sources": "; ".join(str(one.get("title")) for one in content.get("sources", ())),
        "models": ", ".join(str(one["model"]) for one in fingerprints.get("models", ())),
        "tables": ", ".join(
            f"{one['name']} ({one.get('bytes', 0)} bytes)" for one in content["resources"]
        ),
    }
    lines = [f"{content['name']}@{content.get('version')}: {content.get('title')}"]
    lines += [f"{name:8} {value}" for name, value in facts.items() if value]
    return "\n".join(sanitise(line, 400) for line in lines)


def verified(texts: Sequence[str], root: Root) -> list[Row]:
    """What reading each baseline came to: ``tables`` that are as frozen, or a ``fault``.

    ``exit_code`` belongs to the fault.
    """
    outcomes: list[Row] = []
    for text in texts:
        try:
            with _local(text, root) as one:
                outcomes.append({"baseline": one.label, "tables": verify(one), "fault": None})
        except TandemError as error:
            fault = {"fault": str(error), "exit_code": error.exit_code}
            outcomes.append({"baseline": text, "tables": None, **fault})
    return outcomes


@contextmanager
def _local(text: str, root: Root, tables: bool = True) -> Iterator[Baseline]:
    """A baseline in a local folder: its own, or a checked copy for as long as the body runs."""
    if not is_address(str(root)):
        yield find(text, Path(root))
        return
    with TemporaryDirectory(prefix="tandembench-") as folder:
        yield fetch(open_store(str(root)), text, Path(folder), lambda _: tables)
