"""config/README.md and the models: the same keys, defaults and ranges; its examples work."""

import re
from typing import Any

import pytest
from study_texts import HEAD, REPOSITORY, read

from tandembench.dataset.importers import csv_mapping
from tandembench.study import hypotheses, keys, lock
from tandembench.study.check import Keys

README = (REPOSITORY / "config/README.md").read_text(encoding="utf-8")
# The tables of keys, in the order of the manual, and the model that each describes.
TABLES: list[tuple[str, type[Keys]]] = [
    ("Study", keys.StudyKeys),
    ("Agents", keys.AgentKeys),
    ("Phases", keys.Phase),
    ("Configs", keys.Entry),
    ("Options", keys.Options),
    ("Work", keys.Work),
    ("Servers", keys.Servers),
    ("Runs from a CSV file", csv_mapping.CsvMapping),
    ("Runs from a CSV file", csv_mapping.Run),
    ("Runs from a CSV file", csv_mapping.Agent),
    ("Lock", lock.Lock),
    ("Lock", lock.Embedded),
    ("Lock", lock.ModelFile),
    ("Lock", lock.Ollama),
    ("Lock", lock.OpenAI),
    ("Lock", lock.Request),
    ("Hypotheses", hypotheses.HypothesisKeys),
    ("Hypotheses", hypotheses.SideKeys),
    ("Hypotheses", hypotheses.Expect),
]


def tables() -> list[tuple[str, list[dict[str, str]]]]:
    """The heading above each table of keys, and its rows."""
    made: list[tuple[str, list[dict[str, str]]]] = []
    heading, columns = "", []
    for line in README.splitlines():
        if line.startswith("#"):
            heading = line.lstrip("# ")
        if not line.startswith("|"):
            columns = []
            continue
        cells = [cell.strip() for cell in line.strip("|").split(" |")]
        if not columns:
            columns = cells
            made.append((heading, []))
        elif not set(line) <= set("|-"):
            made[-1][1].append(dict(zip(columns, cells, strict=True)))
    return [(heading, rows) for heading, rows in made if rows and "key" in rows[0]]


def alternatives(rule: dict[str, Any], definitions: dict[str, Any]) -> list[dict[str, Any]]:
    """The rule of a key, without what only points to others."""
    if "$ref" in rule:
        rule = {**definitions[rule["$ref"].rpartition("/")[2]], **rule}
    branches = rule.get("anyOf", rule.get("oneOf", ()))
    return [rule, *(two for one in branches for two in alternatives(one, definitions))]


def ranges(rules: list[dict[str, Any]]) -> set[str]:
    """The ranges of a key as the manual may write them."""
    written = set()
    for rule in rules:
        if "enum" in rule:
            written.add(", ".join(rule["enum"]))
        if rule.get("type") == "boolean":
            written.add("true, false")
        if "exclusiveMinimum" in rule:
            written.add(f"above {rule['exclusiveMinimum']} to {rule['maximum']}")
        for kind in ("{}imum", "{}Items", "{}Properties"):
            low, high = (rule.get(kind.format(end)) for end in ("min", "max"))
            if low is not None or high is not None:
                written.add(f"{low or 0} or more" if high is None else f"{low or 0} to {high}")
        if "maxLength" in rule:
            written.add(f"{rule['maxLength']} characters")
    return written


def test_the_manual_lists_the_keys_of_the_models_with_their_defaults_and_ranges() -> None:
    listed = tables()
    assert [heading for heading, _ in listed] == [heading for heading, _ in TABLES]
    checked = 0
    for (heading, rows), (_, model) in zip(listed, TABLES, strict=True):
        schema = model.model_json_schema()
        definitions = schema.get("$defs", {})
        assert [row["key"] for row in rows] == [f"`{name}`" for name in schema["properties"]]
        marked = {row["key"].strip("`") for row in rows if row.get("default") == "required"}
        # an agent of a CSV file may have what it needs from every_agent
        assert marked == set(schema.get("required", marked)), heading
        for row in rows:
            own = schema["properties"][row["key"].strip("`")]
            label = f"{heading}: {row['key']}"
            default = own.get("default")
            if isinstance(default, str | int | float | list) and row["default"]:
                written = f"[{', '.join(default)}]" if isinstance(default, list) else str(default)
                assert row["default"].lower() == written.lower(), label
                checked += 1
            wanted = ranges(alternatives(own, definitions))
            if wanted and re.match(r"(above )?[0-9]|.*, ", row["range"]) and row["range"] != "1":
                assert row["range"] in wanted or "hex" in row["range"], label
                checked += 1
    assert checked > 40


EXAMPLES = re.findall(r"```yaml\n(.*?)```", README, flags=re.DOTALL)


@pytest.mark.parametrize("text", [one for one in EXAMPLES if one.startswith("name:")])
def test_whole_studies_are_read(text: str) -> None:
    topologies = ["serial", "single", "single_parallel", "dual"]
    assert [config.topology for config in read(text).configs] == topologies


@pytest.mark.parametrize("of", ["comparisons", "configs"])
def test_parts_of_studies_are_read_and_ids_are_as_told(of: str) -> None:
    head = "# ids: " if of == "configs" else "# comparisons: "
    (entries,) = (one for one in EXAMPLES if one.startswith(head))
    (work,) = (one for one in EXAMPLES if one.startswith("work:"))
    ids = [name for row in re.findall(f"{head}(.*)", entries) for name in row.split(", ")]
    indented = "".join(f"      {row}\n" for row in entries.splitlines())
    study = read(re.sub(r"^work:.*\n", work, HEAD, flags=re.MULTILINE) + indented)
    assert [one.id for one in getattr(study, of)] == ids
    assert [agent.max_tokens for agent in study.configs[0].agents] == [64, 98]
