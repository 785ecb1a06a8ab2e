"""What a person sees of Snakemake under --quiet all: what went wrong, and where it is written."""

import logging


def only_faults(snakemake: logging.Logger) -> None:
    """Let Snakemake's stream show faults alone, and its log file hold everything.

    By itself --quiet all empties both, so that not even a locked folder would be explained.
    """
    for handler in snakemake.handlers:
        if handler.name == "DefaultStreamHandler":
            handler.filters[:] = [_Faults()]
            handler.setFormatter(_Short())
        elif handler.name == "DefaultLogFileHandler":
            handler.filters.clear()


def _is_of_a_job(record: logging.LogRecord) -> bool:
    return getattr(getattr(record, "event", None), "value", None) == "job_error"


class _Faults(logging.Filter):
    """Steps that failed, and else what Snakemake gives up for.

    A step has said itself what went wrong: which command it was, and that the workflow has failed
    with it, is no news.
    """

    def __init__(self) -> None:
        super().__init__()
        self._step_failed = False

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether ``record`` is shown."""
        if _is_of_a_job(record):
            self._step_failed = True
            return True
        exception = getattr(record, "exception", None)
        return exception not in (None, "RuleException") and not self._step_failed


class _Short(logging.Formatter):
    """A failed step as one line; other faults in Snakemake's words."""

    def format(self, record: logging.LogRecord) -> str:
        """The text that is shown of ``record``."""
        if not _is_of_a_job(record):
            return record.getMessage()
        rule, logs = getattr(record, "rule_name", "a step"), getattr(record, "log", None)
        where = f"; its log: {', '.join(map(str, logs))}" if logs else ""
        return f"tandembench: {rule} failed{where}"
