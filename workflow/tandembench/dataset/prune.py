"""What a study's results hold that it no longer needs: files of the past, failed blocks."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from tandembench.dataset.blocks import block_rows
from tandembench.errors import EXIT_ENVIRONMENT, TandemError
from tandembench.tables.parquet import read_rows

# What a study's results hold under names with digests, which a changed study no longer uses.
_KEPT = ("runs/*/*.parquet", "specs/*.json", "phases/*", "manifest.*.json", "dataset.*.made")


def unnamed(results: Path, named: Iterable[str]) -> list[Path]:
    """Files below ``results`` that are not among ``named``, and the logs of run files that are not.

    Only files of which a study says the names count; what else lies there is not its own.
    """
    own = {Path(file) for file in named}
    stale = [file for pattern in _KEPT for file in results.glob(pattern) if file not in own]
    logs = [results / "logs" / file.parent.name / f"{file.stem}.log" for file in stale]
    return sorted([*stale, *(log for log in logs if log.is_file())])


def failed_blocks(run_files: Iterable[str]) -> list[Path]:
    """The run files in which a config has no valid run; what is not measured yet is left out."""
    present = [Path(file) for file in run_files if Path(file).is_file()]
    return sorted(file for file in present if _any_failed(file))


def remove(files: Iterable[Path]) -> Iterator[Path]:
    """Delete ``files``, and give each that is gone; TandemError (exit 4) names one that stays."""
    for file in files:
        try:
            file.unlink()
        except OSError as error:
            what, fix = f"cannot be removed ({error.strerror})", "make its folder writable"
            raise TandemError(what, where=str(file), fix=fix, exit_code=EXIT_ENVIRONMENT) from None
        yield file


def _any_failed(run_file: Path) -> bool:
    runs, _ = block_rows(read_rows(run_file), "")
    valid = {run["config_id"] for run in runs if run["valid"]}
    return any(run["config_id"] not in valid for run in runs)
