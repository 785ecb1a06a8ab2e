"""config/README.md and the schemas: the same keys, defaults and ranges; its examples work."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from ruamel.yaml import YAML
from study_texts import HEAD, REPOSITORY, SCHEMA, read

LOCK: dict[str, Any] = YAML(typ="safe").load(
    REPOSITORY / "workflow/schemas/servers.lock.schema.yaml"
)
HYPOTHESES: dict[str, Any] = YAML(typ="safe").load(
    REPOSITORY / "workflow/schemas/hypotheses.schema.yaml"
)
MAPPING: dict[str, Any] = YAML(typ="safe").load(
    REPOSITORY / "workflow/schemas/csv_mapping.schema.yaml"
)
README = (REPOSITORY / "config/README.md").read_text(encoding="utf-8")
CONFIG = SCHEMA["$defs"]["config"]["properties"]
EMBEDDED = LOCK["properties"]["embedded"]["properties"]
HYPOTHESIS = HYPOTHESES["$defs"]["hypothesis"]
DEFS = SCHEMA["$defs"] | HYPOTHESES["$defs"] | MAPPING["$defs"]
SCHEMAS = (SCHEMA, LOCK, HYPOTHESES, MAPPING)
# The tables of keys, in the order of the manual, and the part of a schema that each describes.
TABLES: list[tuple[str, dict[str, Any]]] = [
    ("Study", SCHEMA["properties"]),
    ("Agents", SCHEMA["properties"]["agents"]["additionalProperties"]["properties"]),
    ("Phases", SCHEMA["properties"]["phases"]["additionalProperties"]["properties"]),
    ("Configs", CONFIG),
    ("Options", CONFIG["options"]["properties"]),
    ("Work", SCHEMA["$defs"]["work"]["properties"]),
    ("Servers", SCHEMA["properties"]["servers"]["else"]["properties"]),
    ("Runs from a CSV file", MAPPING["properties"]),
    ("Runs from a CSV file", MAPPING["properties"]["run"]["properties"]),
    ("Runs from a CSV file", MAPPING["$defs"]["agent"]["properties"]),
    ("Lock", LOCK["properties"]),
    ("Lock", EMBEDDED),
    ("Lock", EMBEDDED["models"]["additionalProperties"]["properties"]),
    ("Lock", LOCK["properties"]["ollama"]["properties"]),
    ("Lock", LOCK["properties"]["openai"]["properties"]),
    ("Hypotheses", HYPOTHESIS["properties"]),
    ("Hypotheses", HYPOTHESES["$defs"]["side"]["properties"]),
    ("Hypotheses", HYPOTHESIS["properties"]["expect"]["properties"]),
]


def tables() -> Iterator[tuple[str, list[dict[str, str]]]]:
    """Each table under its heading; a row maps the columns' heads to its cells."""
    for section in re.split(r"^#{2,3} ", README, flags=re.MULTILINE)[1:]:
        for table in re.findall(r"(?:^\|.*\n)+", section, flags=re.MULTILINE):
            head, _, *rows = (
                [cell.strip() for cell in row.strip("|\n").split("|")] for row in table.splitlines()
            )
            assert all(len(row) == len(head) for row in rows), table
            yield section.partition("\n")[0], [dict(zip(head, row, strict=True)) for row in rows]


KEY_TABLES = [(heading, rows) for heading, rows in tables() if "key" in rows[0]]


def code(text: str) -> set[str]:
    """What stands in backticks, outside the examples."""
    return set(re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL)))


def properties(schema: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every property of ``schema``, however deep, with its rule."""
    if isinstance(schema, dict):
        yield from schema.get("properties", {}).items()
        for part in schema.values():
            yield from properties(part)
    elif isinstance(schema, list):
        for part in schema:
            yield from properties(part)


def resolved(rule: dict[str, Any]) -> dict[str, Any]:
    """``rule`` and what it refers to; of a value or a list of them, the value."""
    if "$ref" in rule:
        rule = DEFS[rule["$ref"].rpartition("/")[2]] | rule
    for branches in ("anyOf", "oneOf"):
        rule = rule.get(branches, [{}])[0] | rule
    return rule


def range_of(rule: dict[str, Any]) -> str | None:
    """The range as the manual writes it; None if the schema has none that is a number or list."""
    if "enum" in rule:
        return ", ".join(rule["enum"])
    if "exclusiveMinimum" in rule:
        return f"above {rule['exclusiveMinimum']} to {rule['maximum']}"
    for kind in ("{}imum", "{}Items", "{}Properties"):
        low, high = (rule.get(kind.format(end)) for end in ("min", "max"))
        if low is not None:
            return f"{low} or more" if high is None else f"{low} to {high}"
    return f"{rule['maxLength']} characters" if "maxLength" in rule else None


def test_every_property_has_a_description() -> None:
    found = [rule for schema in SCHEMAS for rule in properties(schema)]

    assert len(found) > 60
    assert [name for name, rule in found if not resolved(rule).get("description")] == []


def test_every_key_is_explained() -> None:
    names = {name for schema in SCHEMAS for name, _ in properties(schema)}

    assert names - code(README) == set()


def test_the_tables_of_keys_are_the_schemas() -> None:
    assert [heading for heading, _ in KEY_TABLES] == [heading for heading, _ in TABLES]
    for (heading, rows), (_, described) in zip(KEY_TABLES, TABLES, strict=True):
        assert [row["key"] for row in rows] == [f"`{name}`" for name in described], heading


def test_no_table_has_a_key_that_no_schema_knows() -> None:
    known = {name for schema in SCHEMAS for name, _ in properties(schema)}
    for name, rule in (rule for schema in SCHEMAS for rule in properties(schema)):
        known |= set(resolved(rule).get("enum", ()))
        assert name in known
    firsts = [next(iter(row.values())) for _, rows in tables() for row in rows]
    keys = [first.strip("`") for first in firsts if first.startswith("`")]

    assert len(keys) > 50
    assert set(keys) - known == set()


def test_defaults_and_ranges_are_the_schemas() -> None:
    checked = 0
    for (heading, rows), (_, described) in zip(KEY_TABLES, TABLES, strict=True):
        for row, (name, own) in zip(rows, described.items(), strict=True):
            rule, label = resolved(own), f"{heading}: {name}"
            if "default" in rule:
                assert row["default"] == _written(rule["default"]), label
                checked += 1
            wanted = range_of(rule)
            if wanted is not None and row["range"] not in (
                "",
                "a name",
                "1",
                "12 to 64 hex digits",
            ):
                assert row["range"] == wanted, label
                checked += 1
    assert checked > 40


def _written(default: object) -> str:
    """A default as YAML has it."""
    return f"[{', '.join(default)}]" if isinstance(default, list) else str(default).lower()


def test_required_keys_are_marked() -> None:
    holders = [
        (SCHEMA, "Study"),
        (SCHEMA["properties"]["agents"]["additionalProperties"], "Agents"),
        (SCHEMA["properties"]["phases"]["additionalProperties"], "Phases"),
        (SCHEMA["$defs"]["config"], "Configs"),
        (SCHEMA["$defs"]["work"], "Work"),
        (HYPOTHESIS, "Hypotheses"),
        (MAPPING, "Runs from a CSV file"),
    ]
    for holder, heading in holders:
        rows = next(rows for name, rows in KEY_TABLES if name == heading)
        marked = {row["key"].strip("`") for row in rows if row["default"] == "required"}
        assert marked == set(holder["required"]), heading


def test_letters_of_ids_are_those_that_ids_have() -> None:
    rows = next(rows for name, rows in KEY_TABLES if name == "Options")
    for row in rows[:-1]:  # a model stands without a letter
        name = row["key"].strip("`")
        entry = f"      - {{scenario: chimera_homo, axes: {{{name}: [1000]}}}}\n"
        if row["range"].startswith("0 to 1") or name in ("temperature", "repeat_penalty"):
            entry = entry.replace("1000", "1")
        (config,) = read(HEAD + entry).configs
        assert config.id.removeprefix("homo-").rstrip("01.") == row["letter in ids"]


EXAMPLES = re.findall(r"```yaml\n(.*?)```", README, flags=re.DOTALL)


@pytest.mark.parametrize("text", [one for one in EXAMPLES if one.startswith("name:")])
def test_whole_studies_are_read(text: str) -> None:
    study = read(text)
    assert [config.topology for config in study.configs] == [
        "serial",
        "single",
        "single_parallel",
        "dual",
    ]


@pytest.mark.parametrize("of", ["comparisons", "configs"])
def test_parts_of_studies_are_read_and_ids_are_as_told(of: str) -> None:
    head = "# ids: " if of == "configs" else "# comparisons: "
    (entries,) = (one for one in EXAMPLES if one.startswith(head))
    (work,) = (one for one in EXAMPLES if one.startswith("work:"))
    told = [name for row in re.findall(f"{head}(.*)", entries) for name in row.split(", ")]
    indented = "".join(f"      {row}\n" for row in entries.splitlines())
    study = read(re.sub(r"^work:.*\n", work, HEAD, flags=re.MULTILINE) + indented)

    assert [one.id for one in getattr(study, of)] == told
    assert [agent.max_tokens for agent in study.configs[0].agents] == [64, 98]
    # and two hypotheses and two mappings, which are read where they are tested
    assert len(EXAMPLES) == 9


def test_the_path_from_running_servers_to_a_report_is_in_it() -> None:
    commands = "".join(re.findall(r"```sh\n(.*?)```", README, flags=re.DOTALL))

    assert "tandembench servers lock config/mine.yaml --write" in commands
    assert "snakemake --cores 1 --configfile config/mine.yaml\n" in commands
    assert "--config session=s2" in commands
