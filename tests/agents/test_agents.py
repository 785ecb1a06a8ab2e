"""The agents' tasks against values worked out by hand; their data and prompts."""

import os
import runpy
from collections.abc import Callable
from pathlib import Path
from statistics import mean

import pytest

from tandembench.agents import prompts, read_data, render_steps
from tandembench.agents.tasks import Figure, FileFacts, figures, inventory
from tandembench.errors import EXIT_CORRUPT, EXIT_USAGE, TandemError
from tandembench.study.spec import ANSWER

AGENTS = Path(__file__).parents[2] / "config" / "agents"
ALONE = "run,latency_s,tokens_per_s\nr1,1.5,80\nr2,2.5,60\n"
BOTH = "run,latency_s,note\nr1,4.0,slow\nr2,,\n"
DATA = {"both.csv": BOTH, "alone.csv": ALONE, "notes.txt": "für uns"}
SHIPPED = [
    ("inventory", ["collector.j2"]),
    ("inventory", ["collector_analysis.j2", "collector_report.j2"]),
    ("figures", ["insight.j2"]),
    ("figures", ["insight_analysis.j2", "insight_report.j2"]),
]


def test_inventory_and_figures_of_a_folder_whatever_its_order() -> None:
    for data in (DATA, dict(reversed(DATA.items()))):
        facts = inventory(data)
        alone, both, notes = facts.files
        assert (alone.name, alone.size_bytes, alone.rows) == ("alone.csv", 47, 2)
        assert alone.columns == ("run", "latency_s", "tokens_per_s")
        assert alone.metrics == {"latency_s": (1.5, 2.5), "tokens_per_s": (80.0, 60.0)}
        assert (both.name, both.size_bytes, both.rows) == ("both.csv", 36, 2)
        assert (both.columns, both.metrics) == (("run", "latency_s", "note"), {"latency_s": (4.0,)})
        assert notes == FileFacts(name="notes.txt", size_bytes=8)
        assert (facts.size_bytes, facts.rows) == (91, 4)
        assert facts.metrics == ("latency_s", "tokens_per_s")
        assert figures(data) == (
            Figure("latency_s", n=3, mean=8 / 3, min=1.5, max=4.0),
            Figure("tokens_per_s", n=2, mean=70.0, min=60.0, max=80.0),
        )


@pytest.mark.parametrize(
    ("text", "rows", "ragged", "metrics"),
    [
        # short rows lack cells, and long rows have cells of no column
        ("run,a,b\nr1,1\n\nr2,2,3,99\nr3,4,5\n", 3, 2, {"a": (1.0, 2.0, 4.0), "b": (3.0, 5.0)}),
        # line ends and padding are no content
        ("a , b\r\n 1 ,2\r\n", 1, 0, {"a": (1.0,), "b": (2.0,)}),
        # columns without a name are not counted
        (",a\n0,5\n", 1, 0, {"a": (5.0,)}),
        # one cell that is no finite number makes a column no metric
        *((f'a\n1\n"{c}"\n', 2, 0, {}) for c in ("slow", "inf", "1e999", "2026_11_22")),
        # missing cells are left out
        *((f'a\n1\n"{c}"\n7\n', 3, 0, {"a": (1.0, 7.0)}) for c in ("NA", "nan", "NULL", "  ")),
        ("a,b\n1,\n2,7\n", 2, 0, {"a": (1.0, 2.0), "b": (7.0,)}),
        # nothing measured is no error
        ("", 0, 0, {}),
        ("run,latency_s\n", 0, 0, {}),
        ("a\n1.5e308\n1.5e308\n", 2, 0, {"a": (1.5e308, 1.5e308)}),
    ],
)
def test_a_table_is_read(
    text: str, rows: int, ragged: int, metrics: dict[str, tuple[float, ...]]
) -> None:
    (file,) = inventory({"X.CSV": text}).files
    assert (file.rows, file.ragged_rows, file.metrics) == (rows, ragged, metrics)
    assert file.size_bytes == len(text.encode())
    # the mean of huge numbers does not overflow
    means = {one.metric: one.mean for one in figures({"x.csv": text})}
    assert means == {name: mean(values) for name, values in metrics.items()}


def test_shipped_data_is_what_its_script_writes_and_agrees_with_its_labels(tmp_path: Path) -> None:
    runpy.run_path(str(AGENTS / "make_data.py"))["write"](tmp_path / "data")
    made = {path.name: path.read_bytes() for path in (tmp_path / "data").iterdir()}
    shipped = {path.name: path.read_bytes() for path in (AGENTS / "data").iterdir()}
    assert made == shipped
    assert sum(map(len, shipped.values())) < 3000
    data = read_data(AGENTS / "data")
    rate = {name: figures({name: text})[1].mean for name, text in data.items()}
    assert [(file.rows, file.ragged_rows) for file in inventory(data).files] == [(12, 0)] * 4
    assert rate["both_a.csv"] < rate["alone_a.csv"]
    assert rate["both_b.csv"] < rate["alone_b.csv"]


# Prompts


TWO = {"b.csv": "run,latency_s\nr1,4\n", "a.csv": "run,latency_s\nr1,1\nr2,2.5\n"}


def template(folder: Path, text: str, name: str = "step.j2") -> Path:
    path = folder / name
    # as some editors save it, which is no part of the prompt
    path.write_text(text, encoding="utf-8-sig")
    return path


def test_the_shipped_prompts_say_what_was_measured() -> None:
    (told,) = render_steps("inventory", [AGENTS / "collector.j2"], TWO)
    assert "\na.csv, 2 rows\nb.csv, 1 rows\nIn all 3 rows, 45 bytes. Metrics: latency_s.\n" in told
    (told,) = render_steps("figures", [AGENTS / "insight.j2"], TWO)
    assert "\nlatency_s: n 3, mean 2.5, min 1, max 4\n" in told


@pytest.mark.parametrize(("task", "names"), SHIPPED)
def test_shipped_templates_render_alike_whatever_the_order(task: str, names: list[str]) -> None:
    data = read_data(AGENTS / "data")
    steps = [AGENTS / name for name in names]
    rendered = render_steps(task, steps, data)
    assert rendered == render_steps(task, steps, dict(reversed(data.items())))
    assert [prompt.count(ANSWER) for prompt in rendered] == [0, 1][: len(names)]
    assert all(prompt == prompt.strip() and "{" not in prompt for prompt in rendered)


def test_a_template_of_ones_own_has_the_numbers_of_a_file_and_is_not_html(tmp_path: Path) -> None:
    each = "{{ f.name }}: {{ f.metrics.latency_s | max }}"
    text = f"\n<b>{{% for f in inventory.files %}} {each}{{% endfor %}}"
    data = {"a&b.csv": TWO["b.csv"], "b.csv": TWO["a.csv"]}
    prompt = "<b> a&b.csv: 4.0 b.csv: 2.5"
    assert render_steps("inventory", [template(tmp_path, text)], data) == (prompt,)


def test_the_answer_comes_only_after_a_first_step(tmp_path: Path) -> None:
    first, asks = template(tmp_path, "Why?", "first.j2"), template(tmp_path, "{{ answer }}!")
    assert render_steps("figures", [first, asks, asks], TWO) == ("Why?", *[f"{ANSWER}!"] * 2)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "no such file"),
        ("one\n{% for %}\n", ":2: template syntax: "),
        ("{{ answer }}!", "'answer' is undefined"),
        (f"Use {ANSWER}", f"{ANSWER} before there is an answer"),
        ("{# nothing #}\n", "the prompt is empty"),
        ("{{ figures[0].n / 0 }}", "division by zero"),
        ("{{ ''.__class__.__mro__ }}", "access to attribute '__class__'"),
        ("{% include '/etc/passwd' %}", "no loader"),
        # nothing random reaches a prompt
        *((f"{{{{ {random} }}}}", ": template") for random in ("figures | random", "lipsum()")),
    ],
)
def test_a_template_that_fails_is_named_in_one_line(
    tmp_path: Path, text: str | None, words: str
) -> None:
    path = tmp_path / "gone.j2" if text is None else template(tmp_path, text)
    with pytest.raises(TandemError) as caught:
        render_steps("figures", [path], TWO)
    assert str(caught.value).startswith(str(path))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


# Faults of the data


def test_data_is_read_by_name_without_folders_and_dot_files(tmp_path: Path) -> None:
    assert read_data(tmp_path) == {}
    (tmp_path / "b.csv").write_bytes(b"x\r\n1\r\n")
    (tmp_path / "a.txt").write_bytes("\ufefffür".encode())
    (tmp_path / "full.txt").write_bytes(b"x" * prompts.MAX_FILE_BYTES)
    (tmp_path / ".DS_Store").write_bytes(b"\xff\x00")
    (tmp_path / "inner").mkdir()
    data = read_data(tmp_path)
    assert len(data.pop("full.txt")) == prompts.MAX_FILE_BYTES
    assert list(data.items()) == [("a.txt", "für"), ("b.csv", "x\r\n1\r\n")]


LINK = AGENTS / "README.md"


@pytest.mark.parametrize(
    ("make", "words"),
    [
        *((lambda odd, to=to: odd.symlink_to(to), "not a regular") for to in (LINK, AGENTS, "no")),
        (os.mkfifo, "not a regular file"),  # it is not waited for
        *(
            (lambda odd, content=content: odd.write_bytes(content), words)
            for content, words in (
                (b"caf\xe9", "not UTF-8 text"),
                (b"a\x00b", "not UTF-8 text"),
                (b"x" * (prompts.MAX_FILE_BYTES + 1), "over 1,000,000 bytes"),
            )
        ),
        (lambda odd: odd.with_name("odd\n.csv").write_bytes(b"x"), "name that cannot be printed"),
        (lambda odd: odd.parent.rmdir(), "cannot be read (No such file or directory)"),
    ],
)
def test_what_is_no_small_text_file_is_named_in_one_line(
    tmp_path: Path, make: Callable[[Path], object], words: str
) -> None:
    (tmp_path / "data").mkdir()
    make(tmp_path / "data/odd.csv")
    with pytest.raises(TandemError) as caught:
        read_data(tmp_path / "data")
    line = str(caught.value)
    assert f"{tmp_path}/data" in line
    assert words in line
    assert "\n" not in line


def test_too_many_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prompts, "MAX_FILES", 2)
    for name in "abc":
        (tmp_path / name).write_text("")
    with pytest.raises(TandemError, match="3 files, more than 2"):
        read_data(tmp_path)


@pytest.mark.parametrize(
    ("text", "words", "code"),
    [
        ('a,b\n1,"2\n', "x.csv: not a readable CSV file", EXIT_CORRUPT),
        ("a,b,a\n", "x.csv: column 'a' stands twice", EXIT_CORRUPT),
        ("run;latency_s\nr1;1,5\n", "x.csv: cells are separated by ';'", EXIT_CORRUPT),
        ("run\tlatency_s\nr1\t1.5\n", "x.csv: cells are separated by '\\t'", EXIT_CORRUPT),
        ('run,latency_s\nr1,"1,5"\n', "x.csv: numbers with commas in column 'lat", EXIT_CORRUPT),
        ("", "config/mine: no numbers in any .csv file", EXIT_USAGE),
        ("run,note\nr1,slow\n", "config/mine: no numbers", EXIT_USAGE),
    ],
)
@pytest.mark.parametrize("task", ["figures", "inventory"])
def test_data_in_which_a_task_finds_nothing_is_one_line(
    task: str, text: str, words: str, code: int
) -> None:
    with pytest.raises(TandemError) as caught:
        render_steps(task, [AGENTS / "insight.j2"], {"x.csv": text}, "config/mine")
    assert str(caught.value).startswith(words)
    assert caught.value.exit_code == code
