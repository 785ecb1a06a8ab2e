"""Anyone's runs from CSV: kept to the last digit; a fault is one line with its place."""

import json
import re
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from random import Random

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from timings import unhurried

from tandembench.cli import main
from tandembench.dataset.baseline import import_runs, verify
from tandembench.dataset.importers import read
from tandembench.dataset.importers.csv_cells import Line
from tandembench.dataset.importers.csv_mapping import Time
from tandembench.dataset.importers.tables import tables
from tandembench.dataset.load import Dataset, load_dataset
from tandembench.errors import EXIT_CORRUPT, EXIT_USAGE, TandemError

MANUAL = Path(__file__).parents[3].joinpath("config/README.md").read_text(encoding="utf-8")
# The manual's two files with their mappings, and a short one.
WIDE, LONG = zip(
    re.findall(r"```csv\n(.*?)```", MANUAL, flags=re.DOTALL),
    re.findall(r"```yaml\n(rows: .*?)```", MANUAL, flags=re.DOTALL),
    strict=True,
)
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
"b ""1"", x",Tue,7e5,6.5e5,6,6e8,
"""


def imported(tmp_path: Path, text: str | bytes, mapping: str) -> Dataset:
    """The dataset that comes of it; TandemError only if nothing was written."""
    file, by = tmp_path / "runs.csv", tmp_path / "mapping.yaml"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    by.write_text(mapping, encoding="utf-8")
    root = tmp_path / "baselines"
    before = [*root.rglob("*")]
    try:
        ((made, _),) = import_runs("csv", file, "theirs", None, root, by)
    except TandemError:
        assert [*root.rglob("*")] == before, "something was written"
        raise
    verify(made)
    return load_dataset(made.folder)


def refusal(tmp_path: Path, text: str | bytes, mapping: str, code: int = EXIT_CORRUPT) -> str:
    """The line that says why nothing was imported, without the folder."""
    with pytest.raises(TandemError) as caught:
        imported(tmp_path, text, mapping)
    assert caught.value.exit_code == code
    assert "\n" not in str(caught.value)
    return str(caught.value).removeprefix(f"{tmp_path}/")


def test_a_row_can_be_a_run(tmp_path: Path) -> None:
    dataset = imported(tmp_path, *WIDE)
    runs, executions = dataset.runs, dataset.executions
    names = ["config_id", "repetition", "wall_s", "answer_tokens"]
    assert runs[names].to_numpy().tolist() == [["fast", 1, 8.4321, 1008], ["fast", 2, 8.2504, 990]]
    assert [start.isoformat() for start in runs["started_at"]] == [
        "2026-03-01T10:00:00+00:00",
        "2026-03-01T10:00:12+00:00",
    ]
    assert executions["agent"].to_list() == ["collector", "insight"] * 2
    assert executions["duration_s"].to_list() == [7.99125, 8.4319, 8.2501, 8.0117]
    assert set(executions["model"]) == {"gemma3:latest"}
    assert set(executions["options_asked"]) == {'{"num_ctx": 2048}'}
    assert runs["speedup_estimate"][0] == pytest.approx((7.99125 + 8.4319) / 8.4321, rel=1e-12)
    # what the file does not tell is null, and what it cannot tell is none
    assert executions[["first_token_s", "decode_s", "server_decode_s"]].isna().all(axis=None)
    assert runs[["imbalance_token", "cold", "speedup_true"]].isna().all(axis=None)
    assert set(runs["solo_basis"]) == {"none"}
    assert dataset.descriptor["study"]["engine"] == "ollama"


def test_a_row_can_be_one_agent_in_a_run(tmp_path: Path) -> None:
    dataset = imported(tmp_path, *LONG)
    runs = dataset.runs.set_index("config_id")
    assert runs["topology"].to_dict() == {"two-servers": "dual", "one-server": "single"}
    assert runs["repetition"].to_list() == [1, 1]
    assert runs["wall_s"].to_dict() == {"two-servers": 8.4321, "one-server": 12.71}
    assert runs["start_skew_s"].to_list() == [0.0, 0.0]
    assert runs["started_at"]["two-servers"].isoformat() == "2026-03-01T10:00:00.250000+00:00"
    parts = runs.filter(regex="imbalance_(token|rate|first_token|rest)").sum(axis=1)
    assert parts.to_list() == pytest.approx(runs["imbalance_loss"].to_list(), abs=1e-12)
    agents = dataset.executions.set_index(["config_id", "agent"]).loc["one-server"]
    assert agents["ttft_s"].to_dict() == {"collector": 0.33, "insight": 4.4}
    # from each one's first token to its end, from one start
    assert agents["overlap_s"].to_dict() == pytest.approx({"collector": 3.62, "insight": 3.62})
    # agents after each other share no loss
    mapping = LONG[1].replace("server: single", "server: serial")
    dataset = imported(tmp_path, LONG[0].replace("12,71", "20,75"), mapping)
    run = dataset.runs.set_index("config_id").loc["one-server"]
    assert (run["topology"], run["imbalance_loss"]) == ("serial", 0.0)
    assert run["orchestration_loss"] == pytest.approx((20.75 - 20.72) / (2 * 20.75))


def test_what_the_file_does_not_tell_is_counted_constant_or_null(tmp_path: Path) -> None:
    dataset = imported(tmp_path, TEXT, SHORT)
    runs = dataset.runs
    names = ["repetition", "session", "config_id", "cold", "n_agents", "wall_s"]
    assert runs[names].to_numpy().tolist() == [
        [1, "mon", "a", False, 1, 900e-6],
        [2, "mon", "a", False, 1, 901e-6],
        [1, "tue", "b-1-x", True, 1, 0.7],
    ]
    for name in ("answer_tokens", "aggregate_tokens_per_s"):
        assert runs[name].isna().to_list() == [False, True, False]
    options = [json.loads(text) for text in dataset.executions["options_asked"]]
    assert options == [{"num_ctx": 512, "temperature": 0.8}] * 2 + [{"temperature": 0.8}]
    assert {start.isoformat() for start in runs["started_at"]} == {"2026-03-01T09:00:00+00:00"}


def test_configs_are_different_unless_the_file_says_that_they_are_equal(tmp_path: Path) -> None:
    text = WIDE[0].replace("fast,2", "slow,2")
    runs = imported(tmp_path, text, WIDE[1]).runs
    assert runs["content"].isna().all()
    assert runs["workload"].nunique() == 1
    by = WIDE[1].replace("  wall:", "  same_as: one\n  runner: {column: config}\n  wall:")
    runs = imported(tmp_path, text, by).runs
    assert runs["content"].nunique(dropna=False) == 1
    assert runs["runner"].to_list() == ["fast", "slow"]


def test_a_single_agent_needs_neither_scenario_nor_topology(tmp_path: Path) -> None:
    short = SHORT.replace("  scenario: chimera_homo\n  topology: dual\n", "")
    runs = imported(tmp_path, TEXT, short).runs
    assert set(runs["topology"]) == {"single"}
    assert set(runs["scenario"]) == {"chimera_homo"}
    for options, scenario in (("{}", "baseline_vs_chimera"), ("{top_k: 9}", "chimera_hetero")):
        by = WIDE[1].replace("  scenario: chimera_homo\n", "")
        by = by.replace('every_agent: {model: "gemma3:latest", options: {num_ctx: 2048}}\n', "")
        for name, asked in (("collector", options), ("insight", "{num_ctx: 512}")):
            by = by.replace(f"{name}: {{", f"{name}: {{model: m, options: {asked}, ")
        assert set(imported(tmp_path, WIDE[0], by).runs["scenario"]) == {scenario}


@pytest.mark.parametrize(
    ("tokens", "unit", "fault"),
    [
        # ms called s: by the rates, or where the model is fast, by the time to the next run
        ("398", "s", "0.061 tokens/s"),
        ("9800", "s", "12 s after"),
        ("398", "us", "398 tokens"),
        ("398", "ns", "398 tokens"),
    ],
)
def test_what_no_machine_does_is_refused(
    tmp_path: Path, tokens: str, unit: str, fault: str
) -> None:
    text = re.sub(",(398|402),", f",{tokens},", WIDE[0])
    line = refusal(tmp_path, text, WIDE[1].replace("unit: ms", f"unit: {unit}"))
    assert fault in line
    assert "units" in line
    first = LONG[1].replace("first, unit: s", "first, unit: ms")
    assert "first tokens" in refusal(tmp_path, LONG[0], first)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux says how much it took")
def test_300_000_rows_would_take_less_than_a_gigabyte(tmp_path: Path) -> None:
    """By what 20,000 take over 4,000: the peaks of a process of their own.

    Not by ru_maxrss, in which a child begins with what its parent held.
    """
    row = "fast,{},2026-03-01T10:{:02}:{:02}Z,8432.1,7991.25,398,8431.9,610,desk-7\n"
    for name, n in (("few", 4_000), ("many", 20_000)):
        lines = (row.format(i, i // 60 % 60, i % 60) for i in range(1, n + 1))
        text = WIDE[0].splitlines()[0] + "\n" + "".join(lines)
        (tmp_path / f"{name}.csv").write_text(text, encoding="utf-8")
    (tmp_path / "by.yaml").write_text(WIDE[1], encoding="utf-8")
    code = r"""if True:
        import re
        from pathlib import Path
        from tandembench.dataset.baseline import import_runs
        for name in ("few", "many"):
            import_runs("csv", Path(name + ".csv"), name, None, Path("b"), Path("by.yaml"))
            print(re.search(r"VmHWM:\s*([0-9]+)", Path("/proc/self/status").read_text())[1])
    """
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    few_kib, many_kib = map(int, done.stdout.split())
    assert few_kib < many_kib
    assert (many_kib - few_kib) / 16_000 * 280_000 + many_kib < 1e9 / 1024, done.stdout


NUMBERS = st.from_regex(
    r"[0-9]{1,7}(\.[0-9]{0,25})?([eE][+-]?[0-3])?", fullmatch=True, alphabet="0123456789.eE+-"
)


@unhurried
@given(number=NUMBERS, unit=st.sampled_from(["s", "ms", "us", "ns"]))
def test_no_digit_is_lost_on_the_way_to_seconds(number: str, unit: str) -> None:
    exact = Fraction(number) / {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[unit]
    if exact <= 10**8:
        line = Line(Path("x.csv"), 2, {"c": number}, ".")
        assert line.seconds(Time.model_validate({"column": "c", "unit": unit})) == float(exact)


@pytest.mark.parametrize(
    ("text", "mapping"),
    [
        ("\ufeff" + WIDE[0], WIDE[1]),
        (WIDE[0].replace("\n", "\r\n"), WIDE[1]),
        (WIDE[0].replace(",", ";"), WIDE[1] + 'separator: ";"\n'),
        (WIDE[0].replace(",", "\t"), WIDE[1] + "separator: tab\n"),
        (WIDE[0].replace(",", " , ") + "\n,,,,,,,,\n", WIDE[1]),
        (WIDE[0].replace("8432.1", '"8432.10"'), WIDE[1]),
        (
            WIDE[0].replace("T10", " 10").replace("Z", ""),
            WIDE[1].replace("started}", "started, zone: '+00:00'}"),
        ),
        (WIDE[0].replace("8432.1", "8.4321e3").replace("398", "398.0"), WIDE[1]),
        ("\ufeffsep=,\r\n" + WIDE[0].replace("\n", ",,\r\n"), WIDE[1]),
        (
            WIDE[0]
            .replace(",398,", ",,398,")
            .replace(",402,", ",,402,")
            .replace(",a_tokens", ",,a_tokens"),
            WIDE[1],
        ),
        (WIDE[0].replace("8432.1", '"8,432.1"'), WIDE[1] + 'thousands: ","\n'),
        (
            WIDE[0].replace(",", ";").replace(".", ",").replace("8432,1", "8\u202f432,1"),
            WIDE[1] + 'separator: ";"\ndecimal: ","\nthousands: space\n',
        ),
        (re.sub(r"(\d+)\.(\d+)", r'"\1,\2"', WIDE[0]), WIDE[1] + 'decimal: ","\n'),
        *(
            (re.sub("-03-01T10:00:(..)Z", stamp, WIDE[0]), WIDE[1])
            for stamp in (r"-03-01t11:00:\1+01", r"-03-01 10:00:\1 utc", r"-03-01 08:30:\1.0 -0130")
        ),
    ],
    ids=["BOM", "CRLF", "semicolons", "tabs", "blanks", "quotes", "zone", "exponent"]
    + ["sep", "nameless", "thousands", "French", "decimals in quotes", "+01", "UTC", "-0130"],
)
def test_how_it_is_written_makes_no_difference(tmp_path: Path, text: str, mapping: str) -> None:
    one, other = imported(tmp_path, text, mapping), imported(tmp_path, *WIDE)
    assert one.runs.equals(other.runs)
    assert one.executions.equals(other.executions)


# What is wrong with a file: what to change in that of the manual, and where the fault is.
BAD_FILES: dict[str, tuple[str, str]] = {
    "empty": ("", ": "),
    "no rows": (WIDE[0].splitlines()[0], ": "),
    "a column missing": (WIDE[0].replace("a_ms", "a_s"), ":1: no column 'a_ms'"),
    "another separator": (WIDE[0].replace(",", ";"), ":1: no column 'a_ms'; check the separator"),
    "a column twice": (WIDE[0].replace("host", "rep"), ":1: column 'rep'"),
    "ragged": (WIDE[0].replace(",desk-7", "", 1), ":2: 8 cells"),
    "sep= of another": ("sep=;\n" + WIDE[0], ":1: sep=;"),
    "a stray cell": (WIDE[0].replace("desk-7", "desk-7,x", 1), ":2: 'x'"),
    "thousands": (WIDE[0].replace("8432.1", '"8,432.1"'), ":2: column 'wall_ms'"),
    "thousands for decimals": (WIDE[0].replace("7991.25", "7.991"), ":2: 398 tokens"),
    "an open quote": (WIDE[0] + '"x', ":4: no CSV"),
    **{
        text: (WIDE[0].replace("7991.25", f'"{text}"'), ":2: column 'a_ms'")
        for text in ("NaN", "inf", "1e999", "-1", "0.0", "", "7_991", "7,991.25", "x")
    },
    "no token": (WIDE[0].replace("398", "0"), ":2: column 'a_tokens': '0'"),
    "a clock of twelve hours": (WIDE[0].replace("00Z", "00 PM"), ":2: '2026-03-01T10:00:00 PM'"),
    "half a token": (WIDE[0].replace("398", "398.5"), ":2: column 'a_tokens': '398.5'"),
    "a time without zone": (WIDE[0].replace("00Z", "00"), ":2: '2026-03-01T10:00:00'"),
    "no time": (WIDE[0].replace("2026-03-01T10:00:00Z", ""), ":2: no time"),
    "long ago": (WIDE[0].replace("2026", "1970"), ":2: '1970-03-01T10:00:00Z'"),
    "a decimal comma": (WIDE[0].replace("8432.1", '"8432,1"'), ":2: column 'wall_ms'"),
    "twice": (WIDE[0].replace("fast,2", "fast,1"), ":3: repetition 1 of fast"),
    "one name for two": (WIDE[0].replace("fast,2", "Fast,2"), ":3: another name of fast"),
    "no name": (WIDE[0].replace("fast", "--"), ":2: '--'"),
    "a path for a name": (WIDE[0].replace("fast", "../" * 40 + "a" * 70), ":2: '../"),
    "repetition 0": (WIDE[0].replace("fast,1", "fast,0"), ":2: repetition 0"),
    "s for ms": (WIDE[0].replace("8432.1", "8.4321"), ":2: a wall time of 0.0084321 s"),
    "ms for s": (WIDE[0].replace("8432.1", "8432100"), ":2: a wall time of 8432.1 s"),
}


@pytest.mark.parametrize(("text", "words"), BAD_FILES.values(), ids=BAD_FILES)
def test_a_bad_file_is_one_line_and_no_baseline(tmp_path: Path, text: str, words: str) -> None:
    assert refusal(tmp_path, text, WIDE[1]).startswith(f"runs.csv{words}")


def test_another_encoding_is_named(tmp_path: Path) -> None:
    for data, place in (
        (WIDE[0].replace("desk-7", "b\xfcro").encode("latin-1"), 2),
        (WIDE[0].encode("utf-16"), 1),
        (WIDE[0].encode("utf-16-le"), 1),
        (WIDE[0].replace("desk-7", "\0").encode(), 2),
    ):
        line = refusal(tmp_path, data, WIDE[1], EXIT_USAGE)
        assert line.startswith(f"runs.csv:{place}: not UTF-8")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("0;B;12", "0;C;12", ":5: agent 'C'"),
        ("0;B;12", "0;A;12", ":5: agent 'collector' of this run stands in line 4"),
        ("0;B;12,71", "0;B;12,72", ":5: another wall than in line 4"),
        ("one server;0;B", "one server;;B", ":5: repetition missing; they count from 0"),
        ("12,71", "12.71", ":4: column 'wall': '12.71'"),
        ("12,7;4,4;8,2", "12,7;4,4;82", ":4: of 12.7 s of insight"),
        ("two servers", "three", ":2: 'three' is no topology; translate it"),
    ],
)
def test_rows_of_a_run_must_fit_together(tmp_path: Path, old: str, new: str, words: str) -> None:
    line = refusal(tmp_path, LONG[0].replace(old, new), LONG[1])
    assert line.startswith(f"runs.csv{words}")


def test_a_config_is_one_config(tmp_path: Path) -> None:
    line = refusal(tmp_path, TEXT.replace("1,512", "1,1024"), SHORT)
    assert line.startswith("runs.csv:3: another list of agents")
    without = "".join(f"{line}\n" for line in LONG[0].splitlines()[:-1])
    more = (
        without
        + "one server;1;A;9;8;0,3;7;398;1772359400\none server;1;B;9;8;0,3;7;398;1772359400\n"
    )
    assert refusal(tmp_path, more, LONG[1]).startswith("runs.csv:4: another list of agents")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("engine:", "engin:", ":7: run.engin: unknown key; did you mean 'engine'?"),
        ("  wall: {column: wall_ms, unit: ms}\n", "", ":2: run: key 'wall' is missing"),
        ("wall_ms, unit: ms", "wall_ms, unit: min", ":8: run.wall.unit: "),
        ("wall_ms, unit: ms", "wall_ms", ":8: run.wall: key 'unit' is missing"),
        ("topology: dual", "topology: triple", ":6: run.topology: "),
        ("duration: {column: a_ms, unit: ms}, ", "", ":12: agents.collector: no duration"),
        ("b_ms", "a_ms", ":13: agents.insight: duration"),
        ("rows: run", "rows: execution", ":2: run: key 'agent' is missing"),
        ("{column: started}", "2026-03-01", ":9: 2026-03-01 is a date"),
        ("num_ctx: 2048", "num_ctx: big", ":10: every_agent.options.num_ctx: "),
        ("rows: run", 'rows: run\nthousands: "."', ":2: thousands: "),
        ("  topology: dual\n", "", ":2: run: key 'topology' is missing"),
        ("rows: run", "rows: [run", ":2: no valid YAML"),
        ("insight:", "../x:", ":13: agents.../x: "),
    ],
)
def test_a_bad_mapping_is_one_line_with_its_place(
    tmp_path: Path, old: str, new: str, words: str
) -> None:
    assert old in WIDE[1]
    line = refusal(tmp_path, WIDE[0], WIDE[1].replace(old, new), EXIT_USAGE)
    assert line.startswith(f"mapping.yaml{words}")


JUNK = ("", ",", ";", "nan", "-1", "0", "1e300", "9" * 50, '"', "\n", "\0", "é", "../x", "{", "}")
JUNK += ("9999-12-31T23:59:59Z", "null", "&a", "*a", "|", "column", "unit: s", "'", "[", ":")


def test_whatever_is_damaged_is_one_line_or_runs(tmp_path: Path) -> None:
    random = Random(5)  # noqa: S311 - damage, no secret
    file, by = tmp_path / "runs.csv", tmp_path / "mapping.yaml"
    good = 0
    for _ in range(150):
        texts = list(random.choice([WIDE, LONG, (TEXT, SHORT)]))
        damaged = random.randrange(2)
        for _ in range(random.randint(1, 3)):
            at = random.randrange(len(texts[damaged]))
            text = texts[damaged]
            rest = at + random.choice([0, 1, 3, 8])
            texts[damaged] = text[:at] + random.choice(JUNK) + text[rest:]
        file.write_text(texts[0], encoding="utf-8")
        by.write_text(texts[1], encoding="utf-8")
        try:
            tables(*read("csv", file, by))
        except TandemError as error:
            good += "\n" not in str(error) and str(error).startswith(str(tmp_path))
        else:
            good += 1
    assert good == 150


def test_the_command_says_what_came_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    def said(*arguments: str, code: int = 0) -> str:
        done = CliRunner().invoke(main, ["baseline", "import", "csv", *arguments])
        assert done.exit_code == code, done.output
        return done.stdout if code == 0 else done.stderr

    Path("runs.csv").write_text(WIDE[0], encoding="utf-8")
    Path("by.yaml").write_text(WIDE[1], encoding="utf-8")
    by = ("--mapping", "by.yaml", "--name")
    text = said("runs.csv", *by, "mine")
    lines = ["mine@1.0.0: resources/baselines/mine/1.0.0", "runs: 2", "executions: 4"]
    assert text.splitlines()[:3] == lines
    assert "column 'host' (not in the mapping) 2\n" in text
    facts = json.loads(said("runs.csv", *by, "mine", "--format", "json"))
    assert (facts["baseline"], facts["runs"], facts["executions"]) == ("mine@1.1.0", 2, 4)
    assert facts["efficiency_estimate"]["mean"] == pytest.approx(0.979681, abs=1e-6)
    (config,) = facts["by_config"]
    assert (config["config_id"], config["runs"]) == ("fast", 2)
    assert config["wall_s"]["median"] == pytest.approx(8.34125)
    assert config["tokens_per_s"]["median"] == pytest.approx((1008 / 8.4321 + 990 / 8.2504) / 2)
    assert "8.341 s" in text.splitlines()[-1]
    assert not any("same moment" in note for note in facts["notes"])
    Path("runs.csv").write_text(WIDE[0].replace("10:00:12Z", "10:00:00Z"), encoding="utf-8")
    assert "2 of 2 runs begin at the same moment" in said("runs.csv", *by, "mine")
    for file in Path("resources/baselines/mine/1.0.0").iterdir():
        assert b"desk-7" not in file.read_bytes()
    for arguments, words in (
        (("x", "--name", "x"), "csv needs --mapping"),
        (("gone.csv", *by, "x"), "gone.csv: no such file"),
        (("runs.csv", "--mapping", "gone.yaml", "--name", "x"), "gone.yaml: no such file"),
        (("runs.csv", *by, "../x"), "'../x' is no name"),
    ):
        assert words in said(*arguments, code=2)
    assert [folder.name for folder in Path("resources/baselines").iterdir()] == ["mine"]
