"""What a person sees of Snakemake under --quiet all: what went wrong, and where it is written."""

import logging


def only_faults(snakemake: logging.Logger, unlock: str) -> None:
    """Let Snakemake's stream show faults alone, and its log file hold everything.

    By itself --quiet all empties both, so that not even a locked folder would be explained;
    ``unlock`` is the command that frees one.
    """
    files = [handler for handler in snakemake.handlers if isinstance(handler, logging.FileHandler)]
    for handler in snakemake.handlers:
        if handler.name == "DefaultStreamHandler":
            faults = _Faults(files[0].baseFilename if files else "", unlock)
            handler.filters[:] = [faults.shows]
            handler.setFormatter(faults)
        elif handler.name == "DefaultLogFileHandler":
            handler.filters.clear()


def _is_of_a_job(record: logging.LogRecord) -> bool:
    return getattr(getattr(record, "event", None), "value", None) == "job_error"


class _Faults(logging.Formatter):
    """A failed step as one line, and else, in Snakemake's words, what it gives up for."""

    step_failed = False

    def __init__(self, log: str, unlock: str) -> None:
        super().__init__()
        self._log, self._unlock = log, unlock

    def shows(self, record: logging.LogRecord) -> bool:
        """Whether ``record`` is shown: that the workflow fails with a step is no news."""
        if _is_of_a_job(record):
            self.step_failed = True
            return True
        exception = getattr(record, "exception", None)
        return exception not in (None, "RuleException") and not self.step_failed

    def format(self, record: logging.LogRecord) -> str:
        """The text that is shown of ``record``."""
        if not _is_of_a_job(record):
            if getattr(record, "exception", None) == "LockException":
                what = "another snakemake works in this folder, or one was killed here"
                return f"tandembench: {what}; if none is running: {self._unlock}"
            text = record.getMessage().strip()
            if "Traceback (" not in text:
                return text
            # What it did not foresee: a folder that is a file, or a disk that is full.
            last = text.splitlines()[-1]
            return f"tandembench: snakemake: {last}; mend that and run it again; log: {self._log}"
        rule, logs = getattr(record, "rule_name", "a step"), getattr(record, "log", None)
        where = f"; its log: {', '.join(map(str, logs))}" if logs else ""
        return f"tandembench: {rule} failed{where}"
