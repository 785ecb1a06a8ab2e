"""The Python runner's folders: two calls an agent, and a log that names what each test was."""

from pathlib import Path

import pytest
from json_runs import python_log, python_run

from tandembench.dataset.baseline import import_runs
from tandembench.dataset.load import load_dataset
from tandembench.errors import EXIT_CORRUPT, TandemError


def test_the_log_alone_names_the_scenario_of_the_python_runners_tests(tmp_path: Path) -> None:
    root = tmp_path / "in"
    for names in (
        ("phase_1_test_001", "run_1"),
        ("phase_1_test_001", "run_2"),
        ("phase_3_test_007", "run_1"),
    ):
        python_run(root, *names)
    python_log(root, (1, "baseline_vs_chimera"), (7, "chimera_hetero"), (9, "chimera_homo"))
    (root / "phase_1_test_001/summary.json").write_text("{}")
    made, skipped, _ = import_runs("chimeraforge-python", root, "x", None, tmp_path / "b")
    dataset = load_dataset(made.folder)
    runs = dataset.runs.set_index(["config_id", "repetition"])
    assert runs["scenario"].to_dict() == {
        ("bvc-g60-c512", 1): "baseline_vs_chimera",
        ("bvc-g60-c512", 2): "baseline_vs_chimera",
        ("validation-hetero-gdefaultx60-cdefaultx512", 1): "chimera_hetero",
    }
    assert sum(skipped.values()) == 2  # the log and the roll-up
    # the second run of a test began when the first had ended
    starts = runs["started_at"].sort_index()
    assert (starts.iloc[1] - starts.iloc[0]).total_seconds() == 5.5
    own = dataset.executions[dataset.executions["agent"] == "collector"].iloc[0]
    assert (own["duration_s"], own["answer_tokens"], own["n_steps"]) == (4.0, 300, 2)
    assert own["first_token_s"] == 0.5  # the mean, times two calls
    assert dataset.runs["imbalance_token"].isna().all()


@pytest.mark.parametrize(
    ("log", "words"),
    [
        ("{", "test_execution_log.json: not JSON"),
        ('{"test_results": 3}', "test_execution_log.json: 'test_results' is no list"),
        ('{"test_results": []}', "metrics.json: test_execution_log.json has no test 1"),
        ('{"test_results": [{"scenario": "else"}]}', "unknown scenario 'else'"),
        (
            '{"test_results": [{"scenario": "chimera_homo", "start_time": "2025-10-09T22:11Z"}]}',
            "test_results.0.start_time is no local time",
        ),
    ],
    ids=["half", "no list", "no test", "no scenario", "a zone"],
)
def test_a_log_that_does_not_say_what_it_must(tmp_path: Path, log: str, words: str) -> None:
    python_run(tmp_path / "in", "phase_1_test_001", "run_1")
    (tmp_path / "in/test_execution_log.json").write_text(log)
    with pytest.raises(TandemError) as caught:
        import_runs("chimeraforge-python", tmp_path / "in", "x", None, tmp_path / "b")
    assert words in str(caught.value)
    assert not (tmp_path / "b").exists()


def test_a_damaged_run_of_the_python_runner_is_named(tmp_path: Path) -> None:
    python_log(tmp_path, (1, "chimera_homo")).rename(tmp_path / "log.json")
    for key, value in (
        ("insight_execution_time", -1),
        ("collector_execution_time", None),
        ("summary", {}),
        ("insight", {}),
    ):
        root = tmp_path / key
        path = python_run(root, "phase_1_test_001", "run_1", **{key: value})
        (root / "test_execution_log.json").write_bytes((tmp_path / "log.json").read_bytes())
        with pytest.raises(TandemError) as caught:
            import_runs("chimeraforge-python", root, "x", None, tmp_path / "b")
        assert str(caught.value).startswith(f"{path}: '{key}")
        assert caught.value.exit_code == EXIT_CORRUPT
        assert not (tmp_path / "b").exists()
