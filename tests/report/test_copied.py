"""Lines to copy: a config comes back as it was, its model included."""

import json
from pathlib import Path
from typing import Any

from raw_blocks import block, write_dataset
from ruamel.yaml import YAML

from tandembench.dataset.load import load_dataset
from tandembench.report.copied import study_entry


def entry(folder: Path, **changes: Any) -> dict[str, Any]:
    """The lines as YAML reads them back."""
    dataset = load_dataset(write_dataset(folder, [block("dual", **changes)]))
    lines = study_entry("dual", dataset.executions)
    (loaded,) = YAML(typ="safe").load("\n".join(lines))
    content: dict[str, Any] = loaded
    return content


def test_a_config_comes_back_as_it_was(tmp_path: Path) -> None:
    asked = json.dumps({"num_ctx": 512, "temperature": 0.8})
    assert entry(tmp_path, options_asked=asked) == {
        "id": "dual",
        "scenario": "chimera_homo",
        "topology": "dual",
        "agents": ["collector", "insight"],
        "options": {"num_ctx": 512, "temperature": 0.8, "model": "small-model"},
        "work": {"policy": "fixed", "tokens": 8},
    }


def test_another_model_is_not_lost(tmp_path: Path) -> None:
    for number, name in enumerate(("qwen2.5:0.5b", "org/model-GGUF:Q4_K_M")):
        assert entry(tmp_path / str(number), model=name)["options"]["model"] == name


def test_a_name_that_no_study_takes_is_left_out(tmp_path: Path) -> None:
    assert "model" not in entry(tmp_path, model="a: {b}\n# c")["options"]
