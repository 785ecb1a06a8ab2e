"""The agents' tasks against values worked out by hand."""

import runpy
from pathlib import Path

import pytest

from tandembench.agents import Figure, FileFacts, figures, inventory, read_data
from tandembench.errors import EXIT_CORRUPT, TandemError

AGENTS = Path(__file__).parents[2] / "config" / "agents"
ALONE = "run,latency_s,tokens_per_s\nr1,1.5,80\nr2,2.5,60\n"
BOTH = "run,latency_s,note\nr1,4.0,slow\nr2,,\n"
DATA = {"both.csv": BOTH, "alone.csv": ALONE, "notes.txt": "für uns"}


def test_inventory_counts_files_rows_bytes_and_metrics() -> None:
    found = inventory(DATA)

    assert found.files == (
        FileFacts(
            name="alone.csv",
            size_bytes=47,
            rows=2,
            columns=("run", "latency_s", "tokens_per_s"),
            metrics={"latency_s": (1.5, 2.5), "tokens_per_s": (80.0, 60.0)},
        ),
        FileFacts(
            name="both.csv",
            size_bytes=36,
            rows=2,
            columns=("run", "latency_s", "note"),
            metrics={"latency_s": (4.0,)},
        ),
        FileFacts(name="notes.txt", size_bytes=8),
    )
    assert (found.size_bytes, found.rows) == (91, 4)
    assert found.metrics == ("latency_s", "tokens_per_s")


def test_figures_pool_a_metric_over_files() -> None:
    assert figures(DATA) == (
        Figure("latency_s", n=3, mean=8 / 3, min=1.5, max=4.0),
        Figure("tokens_per_s", n=2, mean=70.0, min=60.0, max=80.0),
    )


def test_order_of_the_mapping_changes_nothing() -> None:
    turned = dict(reversed(DATA.items()))

    assert list(turned) != list(DATA)
    assert inventory(turned) == inventory(DATA)
    assert figures(turned) == figures(DATA)


@pytest.mark.parametrize("data", [{}, {"empty.csv": ""}, {"header.csv": "run,latency_s\n"}])
def test_nothing_measured_is_no_error(data: dict[str, str]) -> None:
    assert inventory(data).rows == 0
    assert inventory(data).metrics == ()
    assert figures(data) == ()


def test_short_rows_lack_cells_and_long_rows_have_cells_of_no_column() -> None:
    (file,) = inventory({"x.csv": "run,a,b\nr1,1\n\nr2,2,3,99\nr3,4,5\n"}).files

    assert (file.rows, file.ragged_rows) == (3, 2)
    assert file.metrics == {"a": (1.0, 2.0, 4.0), "b": (3.0, 5.0)}


@pytest.mark.parametrize("cell", ["slow", "inf", "1e999", "2026_11_22", "1,5"])
def test_one_cell_that_is_no_finite_number_makes_a_column_no_metric(cell: str) -> None:
    assert figures({"x.csv": f'a\n1\n"{cell}"\n'}) == ()


@pytest.mark.parametrize("cell", ["", "NA", "nan", "NULL", "  "])
def test_missing_cells_are_left_out(cell: str) -> None:
    assert figures({"x.csv": f'a,b\n1,"{cell}"\n2,7\n'})[1] == Figure("b", 1, 7.0, 7.0, 7.0)


def test_mark_of_byte_order_line_ends_and_padding_are_no_content() -> None:
    (file,) = inventory({"X.CSV": "\ufeffa , b\r\n 1 ,2\r\n"}).files

    assert file.size_bytes == 17
    assert file.metrics == {"a": (1.0,), "b": (2.0,)}


def test_columns_without_a_name_are_not_counted() -> None:
    (file,) = inventory({"x.csv": ",a\n0,5\n"}).files

    assert file.columns == ("a",)
    assert file.metrics == {"a": (5.0,)}


def test_mean_of_huge_numbers_does_not_overflow() -> None:
    assert figures({"x.csv": "a\n1.5e308\n1.5e308\n"})[0].mean == 1.5e308


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            'a,b\n1,"2\n',
            "x.csv: not a readable CSV file (unexpected end of data); "
            "quote its cells in pairs, or take the file out of the folder",
        ),
        ("a,b,a\n", "x.csv: column 'a' stands twice in the header; rename one of the two"),
    ],
)
def test_broken_tables_are_named_with_the_way_out(text: str, message: str) -> None:
    with pytest.raises(TandemError) as caught:
        figures({"x.csv": text})

    assert str(caught.value) == message
    assert caught.value.exit_code == EXIT_CORRUPT


def test_shipped_data_is_what_its_script_writes(tmp_path: Path) -> None:
    runpy.run_path(str(AGENTS / "make_data.py"))["write"](tmp_path / "data")

    made = {path.name: path.read_bytes() for path in (tmp_path / "data").iterdir()}
    shipped = {path.name: path.read_bytes() for path in (AGENTS / "data").iterdir()}
    assert made == shipped
    assert sum(map(len, shipped.values())) < 3000


def test_shipped_data_agrees_with_its_labels() -> None:
    data = read_data(AGENTS / "data")
    rate = {name: figures({name: text})[1].mean for name, text in data.items()}

    assert [(file.rows, file.ragged_rows) for file in inventory(data).files] == [(12, 0)] * 4
    assert rate["both_a.csv"] < rate["alone_a.csv"]
    assert rate["both_b.csv"] < rate["alone_b.csv"]
