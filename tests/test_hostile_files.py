"""Files that a person writes, damaged anywhere: each is taken, or refused in one line."""

import random
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from configs import SMALL, STUDY, copied

from tandembench import project
from tandembench.audit.claims import open_claims
from tandembench.dataset.importers.csv_mapping import read_mapping
from tandembench.errors import TandemError
from tandembench.project import load_hypotheses, open_plan

WORDS = ("\t", "\0", "\r", "\n", "  ", "\ufeff", "\u202e", "é", "&a ", "*a", "!!int ", "<<: ", "{")
WORDS += ("}", "[", "]", "[" * 30, "'", '"', "\\", ": ", "- ", "? ", "|", "> ", "%", "@", "#", ",")
WORDS += ("1e400", ".inf", ".nan", "-0.0", "0", "-1", "9" * 400, "0x7f", "1_0", "1:30", "~", "true")
WORDS += (
    "2026-01-01",
    "../../etc/passwd",
    "/dev/zero",
    "a" * 2000,
    "__class__",
    "topology",
    "dual",
)


def mutated(data: bytes, chance: random.Random) -> bytes:
    """Up to four places of ``data`` deleted, repeated, moved, overwritten or filled with a word."""
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        at = chance.randrange(len(data))
        part = data[at : at + chance.choice((1, 5, 40, 400))]
        rest = data[:at] + data[at + len(part) :]
        there = chance.randrange(len(rest) + 1)
        word = chance.choice((*WORDS, None))
        new = chance.randbytes(2) if word is None else word.encode()
        forms = (rest, data[:at] + part + data[at:], rest[:there] + part + rest[there:])
        forms += (data[:at] + new + data[at:], rest[:at] + new + rest[at:])
        data = chance.choice(forms)
    return data


@pytest.mark.parametrize("times", [50, pytest.param(2500, marks=pytest.mark.full)])
@pytest.mark.parametrize("kind", ["study", "hypotheses", "mapping", "claims"])
def test_what_is_damaged_is_taken_or_refused_in_one_line(
    kind: str, times: int, repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(project, "_sources", lambda _: {})  # its digests take most of the time
    root, file = copied(repository, tmp_path).root, tmp_path / SMALL
    manuals = [repository / name / "README.md" for name in ("config", "resources/claims")]
    texts = [file.read_text(encoding="utf-8") for file in manuals]
    examples = re.findall(r"```yaml\n(.*?)```", "\n".join(texts), re.DOTALL)
    kinds: dict[str, tuple[str, Callable[[], object]]] = {
        "study": (STUDY, lambda: open_plan(SMALL, root=root).texts()),
        "hypotheses": (example(examples, "hypotheses:"), lambda: load_hypotheses(SMALL, root)),
        "mapping": (example(examples, "rows:"), lambda: read_mapping(file)),
        "claims": (example(examples, "claims:"), lambda: open_claims(file)),
    }
    whole, read = kinds[kind]
    file.write_text(whole, encoding="utf-8")
    read()
    chance = random.Random(kind)  # noqa: S311 - no secret
    taken = 0
    for _ in range(times):
        file.write_bytes(mutated(whole.encode(), chance))
        refused = ""
        try:
            read()
            taken += 1
        except TandemError as error:
            refused = str(error)
        assert refused.isprintable(), refused
    assert 0 < taken < times


def example(examples: list[str], key: str) -> str:
    """The manuals' first example with the key."""
    return next(text for text in examples if re.search(f"^{key}", text, re.MULTILINE))
