"""Commands that say on the terminal what a dataset answers, and what to measure next."""

import click

from tandembench import plan as planning
from tandembench.cli import styles
from tandembench.dataset.load import load_dataset
from tandembench.dataset.versions import locate
from tandembench.report.copied import proposal
from tandembench.report.show import show as answer
from tandembench.text import as_json


@click.command()
@click.argument("dataset")
@click.option(
    "--comparison", help="Id of a comparison; the study's first of several configs if left out."
)
@styles("text", "json")
def show(dataset: str, comparison: str | None, style: str) -> None:
    """Say what DATASET answers: which topology is the fastest, how sure that is, what to do next.

    DATASET is results/<study>, a dataset's folder or a baseline of runs. Nothing is measured.
    """
    click.echo(answer(locate(dataset)[0], comparison, style), nl=False)


@click.command()
@click.argument("dataset")
@click.option("--precision", help="How closely, such as 3%; until decided if left out.")
@styles("text", "json")
def plan(dataset: str, precision: str | None, style: str) -> None:
    """Say how many more minutes decide what is open in DATASET, or tell ratios to a precision.

    DATASET is results/<study>, a dataset's folder or a baseline of runs.
    """
    wanted = planning.as_fraction(precision) if precision else None
    loaded = load_dataset(locate(dataset)[0])
    study = loaded.descriptor["study"]
    rows = planning.planned(
        loaded.runs, loaded.executions, float(study["margin"]), study["reference"], wanted
    )
    if style == "json":
        click.echo(as_json({"precision": wanted, "ratios": rows}), nl=False)
    else:
        click.echo(planning.as_text(rows, wanted, str(study.get("file") or "STUDY.yaml")))


@click.command()
@click.argument("dataset")
@click.option(
    "--best",
    required=True,
    help="Metric to choose by: makespan_ratio, speedup_true, efficiency_true, stp,"
    " aggregate_tokens_per_s, speedup_estimate or efficiency_estimate.",
)
@click.option(
    "--within",
    type=click.Choice(["scenario", "phase", "topology"]),
    default="scenario",
    show_default=True,
    help="One choice for each.",
)
@click.option("--phase", "phases", multiple=True, help="Phase to choose from; all if left out.")
def select(dataset: str, best: str, within: str, phases: tuple[str, ...]) -> None:
    """Propose a phase that measures the best configs of DATASET once more, as YAML to paste.

    Says where no config is better than another. DATASET is results/<study>, a dataset's folder
    or a baseline of runs.
    """
    loaded = load_dataset(locate(dataset)[0])
    margin = float(loaded.descriptor["study"]["margin"])
    click.echo(proposal(loaded.runs, loaded.executions, best, within, phases, margin), nl=False)
