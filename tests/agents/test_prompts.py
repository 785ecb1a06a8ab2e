"""Reading the agents' data and rendering their prompts."""

import os
from pathlib import Path

import pytest

from tandembench.agents import TASKS, prompts, read_data, render_steps
from tandembench.errors import TandemError
from tandembench.study.spec import ANSWER

AGENTS = Path(__file__).parents[2] / "config" / "agents"
DATA = {"b.csv": "run,latency_s\nr1,4\n", "a.csv": "run,latency_s\nr1,1\nr2,2.5\n"}
SHIPPED = [
    ("inventory", ["collector.j2"]),
    ("inventory", ["collector_analysis.j2", "collector_report.j2"]),
    ("figures", ["insight.j2"]),
    ("figures", ["insight_analysis.j2", "insight_report.j2"]),
]


def template(folder: Path, text: str, name: str = "step.j2") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def fault(task: str, *steps: Path) -> str:
    with pytest.raises(TandemError) as caught:
        render_steps(task, steps, DATA)
    message = str(caught.value)
    assert "\n" not in message
    return message


def read_fault(folder: Path) -> str:
    with pytest.raises(TandemError) as caught:
        read_data(folder)
    return str(caught.value)


def test_collector_reports_the_inventory() -> None:
    assert render_steps("inventory", [AGENTS / "collector.j2"], DATA) == (
        "A folder with 2 result files:\n"
        "a.csv, 2 rows\n"
        "b.csv, 1 rows\n"
        "In all 3 rows, 45 bytes. Metrics: latency_s.\n"
        "Describe this data, judge it, and list what to measure next.",
    )


def test_insight_reports_the_figures() -> None:
    assert render_steps("figures", [AGENTS / "insight.j2"], DATA) == (
        "Measured on two model servers:\n"
        "latency_s: n 3, mean 2.5, min 1, max 4\n"
        "Write a short summary of these figures, three recommendations, and a table of risks.",
    )


@pytest.mark.parametrize(("task", "names"), SHIPPED)
def test_shipped_templates_render_alike_whatever_the_order(task: str, names: list[str]) -> None:
    data = read_data(AGENTS / "data")
    steps = [AGENTS / name for name in names]
    rendered = render_steps(task, steps, data)

    assert rendered == render_steps(task, steps, dict(reversed(data.items())))
    assert [prompt.count(ANSWER) for prompt in rendered] == [0, 1][: len(names)]
    assert all(prompt == prompt.strip() and "{" not in prompt for prompt in rendered)


@pytest.mark.parametrize(("task", "names"), SHIPPED)
def test_shipped_templates_render_without_data(task: str, names: list[str]) -> None:
    assert all(render_steps(task, [AGENTS / name for name in names], {}))


def test_every_shipped_template_is_tested_and_documented() -> None:
    names = {path.name for path in AGENTS.glob("*.j2")}
    manual = (AGENTS / "README.md").read_text(encoding="utf-8")

    assert names == {name for _, steps in SHIPPED for name in steps}
    assert all(f"`{word}`" in manual for word in names | set(TASKS))


def test_a_file_has_its_numbers_for_templates_of_ones_own(tmp_path: Path) -> None:
    text = "{% for f in inventory.files %}{{ f.metrics.latency_s | max }} {% endfor %}"

    assert render_steps("inventory", [template(tmp_path, text)], DATA) == ("2.5 4.0",)


def test_a_prompt_is_text_and_not_html(tmp_path: Path) -> None:
    (prompt,) = render_steps(
        "inventory",
        [template(tmp_path, "  \n<b> {{ inventory.files[0].name }}\n\n")],
        {"a&b.txt": ""},
    )

    assert prompt == "<b> a&b.txt"


def test_the_answer_comes_only_after_a_first_step(tmp_path: Path) -> None:
    asks = template(tmp_path, "{{ answer }}!")
    first = template(tmp_path, "Why?", "first.j2")
    literal = template(tmp_path, f"Use {ANSWER}", "literal.j2")

    assert render_steps("figures", [first, asks, asks], DATA) == ("Why?", *[f"{ANSWER}!"] * 2)
    assert "'answer' is undefined" in fault("figures", asks)
    assert fault("figures", literal).startswith(f"{literal}: {ANSWER} before there is an answer")


def test_an_unknown_task_lists_the_known_ones() -> None:
    assert fault("poetry") == "task 'poetry': no such task; use one of: figures, inventory"


def test_a_missing_template_is_named(tmp_path: Path) -> None:
    path = tmp_path / "gone.j2"

    assert fault("figures", path) == (
        f"{path}: no readable template (FileNotFoundError); check its path under steps"
    )


def test_a_syntax_error_is_named_with_its_line(tmp_path: Path) -> None:
    path = template(tmp_path, "one\n{% for %}\n")

    assert fault("figures", path).startswith(f"{path}:2: template syntax: ")


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("{{ inventory.rows }}", "'inventory' is undefined"),
        ("{{ figures[0].median }}", "has no attribute 'median'"),
        ("{{ figures[0].n / 0 }}", "division by zero"),
        ("{{ ''.__class__.__mro__ }}", "access to attribute '__class__'"),
        ("{% include '/etc/passwd' %}", "no loader"),
    ],
)
def test_a_template_that_fails_is_named_with_its_variables(
    tmp_path: Path, text: str, what: str
) -> None:
    path = template(tmp_path, text)
    message = fault("figures", path)

    assert message.startswith(f"{path}: template: ")
    assert what in message
    assert message.endswith("it may use figures as config/agents/README.md says")


@pytest.mark.parametrize("text", ["{{ figures | random }}", "{{ lipsum() }}"])
def test_nothing_random_reaches_a_prompt(tmp_path: Path, text: str) -> None:
    fault("figures", template(tmp_path, text))


def test_an_empty_prompt_is_refused(tmp_path: Path) -> None:
    path = template(tmp_path, "{# nothing #}\n")

    assert fault("figures", path) == f"{path}: the prompt is empty; write what the model is asked"


def test_data_is_read_by_name_without_folders_and_dot_files(tmp_path: Path) -> None:
    (tmp_path / "b.csv").write_bytes(b"x\r\n1\r\n")
    (tmp_path / "a.txt").write_bytes("für".encode())
    (tmp_path / ".DS_Store").write_bytes(b"\xff\x00")
    (tmp_path / "inner").mkdir()

    assert list(read_data(tmp_path).items()) == [("a.txt", "für"), ("b.csv", "x\r\n1\r\n")]


def test_an_empty_folder_holds_no_data(tmp_path: Path) -> None:
    assert read_data(tmp_path) == {}


@pytest.mark.parametrize("target", ["outside.csv", "folder", "nowhere"])
def test_links_are_refused(tmp_path: Path, target: str) -> None:
    (tmp_path / "outside.csv").write_text("secret\n1\n")
    (tmp_path / "folder").mkdir()
    data = tmp_path / "data"
    data.mkdir()
    (data / "link.csv").symlink_to(tmp_path / target)

    assert read_fault(data) == (
        f"{data / 'link.csv'}: not a regular file; put a copy of the file in its place"
    )


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.csv")

    assert "pipe.csv: not a regular file" in read_fault(tmp_path)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"caf\xe9", "not UTF-8 text"),
        (b"a\x00b", "not a text file"),
        (b"x" * (prompts.MAX_FILE_BYTES + 1), "more than 1000000 bytes"),
    ],
)
def test_files_that_are_no_small_text_are_named(tmp_path: Path, content: bytes, what: str) -> None:
    path = tmp_path / "odd.csv"
    path.write_bytes(content)

    assert read_fault(tmp_path).startswith(f"{path}: {what}; ")


def test_the_largest_file_is_still_read(tmp_path: Path) -> None:
    (tmp_path / "full.txt").write_bytes(b"x" * prompts.MAX_FILE_BYTES)

    assert len(read_data(tmp_path)["full.txt"]) == prompts.MAX_FILE_BYTES


def test_a_name_that_would_break_a_prompt_is_refused(tmp_path: Path) -> None:
    (tmp_path / "two\nlines.csv").write_text("x\n")

    message = read_fault(tmp_path)
    assert "two\\nlines.csv" in message
    assert "\n" not in message


def test_too_many_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prompts, "MAX_FILES", 2)
    for name in "abc":
        (tmp_path / name).write_text("")

    assert read_fault(tmp_path) == f"{tmp_path}: 3 files, more than 2; leave fewer in it"


def test_a_folder_that_is_none_is_named(tmp_path: Path) -> None:
    missing = tmp_path / "gone"

    assert read_fault(missing) == (
        f"{missing}: cannot be read (No such file or directory); check path and rights"
    )
