"""The sentences of workflow/templates/sentences.yaml: chosen by finding and verdict, and filled in.

Nothing else turns a verdict into words. A place that starts with a capital starts a sentence.
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from string import Formatter

from ruamel.yaml import YAML

# Headings, tables and sentences that no code holds.
TEMPLATES = Path(__file__).parents[2] / "templates"
FILE = "sentences.yaml"


def say(finding: str, verdict: str, /, **places: str) -> str:
    """The sentence for ``verdict`` on ``finding``, its places filled in.

    LookupError if there is none, ValueError if its places are not just these: both are mistakes
    of ours, which no data can cause.
    """
    try:
        sentence = sentences()[finding][verdict]
    except KeyError:
        raise LookupError(f"{FILE} has no sentence for {finding}: {verdict}") from None
    wanted = {name for _, name, _, _ in Formatter().parse(sentence) if name is not None}
    if {_small(name) for name in wanted} != set(places):
        what = f"places {sorted(wanted)}, filled with {sorted(places)}"
        raise ValueError(f"{FILE}, {finding}: {verdict}: {what}")
    return sentence.format_map(
        {name: places[name] if name in places else _begun(places[_small(name)]) for name in wanted}
    )


@cache
def sentences() -> Mapping[str, Mapping[str, str]]:
    """Every sentence by finding and verdict. TypeError if the file holds anything else."""
    loaded: Mapping[str, Mapping[str, str]] = YAML(typ="safe").load(
        (TEMPLATES / FILE).read_text(encoding="utf-8")
    )
    for finding, by_verdict in loaded.items():
        for verdict, sentence in by_verdict.items():
            if not isinstance(sentence, str):
                raise TypeError(f"{FILE}, {finding}: {verdict} is no text")
    return loaded


def _small(name: str) -> str:
    return name[0].lower() + name[1:]


def _begun(words: str) -> str:
    return words[:1].upper() + words[1:]
