"""What a study's results hold that it no longer needs: files of the past, failed blocks."""

from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path

from tandembench.dataset.aggregate import block_rows
from tandembench.dataset.parquet import read_rows
from tandembench.errors import EXIT_ENVIRONMENT, TandemError

_TABLES = (".parquet", ".executions.parquet", ".telemetry.parquet", ".tokens.parquet")


def unnamed(results: Path, run_files: Iterable[str], phases: Iterable[str]) -> list[Path]:
    """Run files below ``results`` that are not among ``run_files``, tables of no phase in
    ``phases``, and the logs of those run files.
    """
    named = {Path(file) for file in run_files}
    stale = [file for file in results.glob("runs/*/*.parquet") if file not in named]
    logs = [results / "logs" / file.parent.name / f"{file.stem}.log" for file in stale]
    tables = {results / "phases" / f"{phase}{table}" for phase in phases for table in _TABLES}
    stale += [file for file in results.glob("phases/*.parquet") if file not in tables]
    return sorted([*stale, *(log for log in logs if log.is_file())])


def failed_blocks(run_files: Iterable[str]) -> list[Path]:
    """The run files without any valid attempt; those that are not measured yet are left out."""
    present = [Path(file) for file in run_files if Path(file).is_file()]
    return sorted(file for file in present if not _any_valid(file))


def remove(files: Iterable[Path]) -> Iterator[Path]:
    """Delete ``files``, and give each that is gone; TandemError (exit 4) names one that stays."""
    for file in files:
        try:
            file.unlink()
        except OSError as error:
            what, fix = f"cannot be removed ({error.strerror})", "make its folder writable"
            raise TandemError(what, where=str(file), fix=fix, exit_code=EXIT_ENVIRONMENT) from None
        yield file


def _any_valid(run_file: Path) -> bool:
    rows = sorted(read_rows(run_file), key=lambda row: int(row["attempt"]))
    attempts = groupby(rows, key=lambda row: int(row["attempt"]))
    return any(block_rows(list(attempt), "")[0]["valid"] for _, attempt in attempts)
