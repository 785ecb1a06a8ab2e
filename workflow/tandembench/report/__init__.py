"""report: a dataset -> the technical report. Every number and sentence comes from the tables."""

from pathlib import Path

from tandembench.files import replacing


def write_report(dataset_folder: Path, output: Path) -> None:
    """Render the report of the dataset at ``dataset_folder`` to ``output``, whole or not at all."""
    # A difference needs this package's rendering, and not the second that these take to import.
    from tandembench.dataset.load import load_dataset  # noqa: PLC0415
    from tandembench.report.context import report_context  # noqa: PLC0415
    from tandembench.report.render import render  # noqa: PLC0415

    text = render(report_context(load_dataset(dataset_folder)))
    with replacing(output) as partial:
        partial.write_text(text, encoding="utf-8")
