"""CSV files with their mappings: the manual's two and a short one, and what comes of importing."""

import re
from pathlib import Path

from tandembench.dataset.baseline import import_runs, verify
from tandembench.dataset.load import Dataset, load_dataset
from tandembench.errors import TandemError

REPOSITORY = Path(__file__).parents[1]
MANUAL = (REPOSITORY / "config/README.md").read_text(encoding="utf-8")
FILES = re.findall(r"```csv\n(.*?)```", MANUAL, flags=re.DOTALL)
MAPPINGS = re.findall(r"```yaml\n(rows: .*?)```", MANUAL, flags=re.DOTALL)
WIDE, LONG = zip(FILES, MAPPINGS, strict=True)
SHORT = """\
rows: run
run:
  config: {column: name}
  scenario: chimera_homo
  topology: dual
  engine: vllm
  session: {column: day}
  wall: {column: wall, unit: us}
  started_at: "2026-03-01T10:00+01:00"
every_agent:
  model: small
  options: {num_ctx: {column: ctx}, temperature: 0.8}
agents:
  one: {duration: {column: d, unit: us}, tokens: {column: n}, load: {column: load, unit: ns}}
"""
TEXT = """\
name,day,wall,d,n,load,ctx
a,mon,900,800,5,0,512
a,mon,901,801,,1,512
"b ""1"", x",Tue,902,802,6,6e8,
"""


def imported(tmp_path: Path, text: str | bytes, mapping: str) -> Dataset:
    """The dataset that comes of it; TandemError only if nothing was written."""
    file, by = tmp_path / "runs.csv", tmp_path / "mapping.yaml"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    by.write_text(mapping, encoding="utf-8")
    root = tmp_path / "baselines"
    try:
        made, _, _ = import_runs("csv", file, "theirs", None, root, by)
    except TandemError:
        assert not root.exists(), "something was written"
        raise
    verify(made)
    return load_dataset(made.folder)
