"""The command line: each command reads its arguments and hands over to one room."""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tandembench.claims.command import claims
from tandembench.dataset.commands import baseline
from tandembench.errors import EXIT_DIFFERENT, TandemError
from tandembench.report.diff_command import diff

if TYPE_CHECKING:  # a measuring process need not import what reads YAML
    from tandembench.study.hypotheses import Hypothesis


class _Group(click.Group):
    """Turns a TandemError into its one line and exit code; ``--debug`` shows the traceback."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except TandemError as error:
            if ctx.params.get("debug"):
                raise
            click.echo(f"tandembench: {error}", err=True)
            sys.exit(error.exit_code)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.version_option(package_name="tandembench")
def main(debug: bool) -> None:
    """Measures what LLM agents gain by running at once on local model servers."""


_PATH = click.Path(path_type=Path)
_HYPOTHESES = click.option(
    "--file",
    "hypotheses_file",
    help="Hypotheses to test; those that the study names if left out.",
)


@main.command()
@click.option("--spec", "spec_file", required=True, type=_PATH, help="The file of the RunSpec.")
@click.option("--repetition", required=True, type=click.IntRange(min=1), help="Which block of it.")
@click.option("--session", default="s1", show_default=True, help="Label of the session.")
@click.option("--output", required=True, type=_PATH, help="The run file to write.")
@click.option(
    "--models",
    type=_PATH,
    default=Path("resources/models"),
    show_default=True,
    help="Folder of model files.",
)
@click.option("--log", "log_path", required=True, type=_PATH, help="Log file, appended to.")
@click.option("--parent", type=int, help="Process id without which the run ends.")
def run(
    spec_file: Path,
    repetition: int,
    session: str,
    output: Path,
    models: Path,
    log_path: Path,
    parent: int | None,
) -> None:
    """Measure one block: what the rule run_block calls."""
    from tandembench.dataset.manifest import read_spec  # noqa: PLC0415 - one room per command
    from tandembench.measure.run import run as measure  # noqa: PLC0415
    from tandembench.servers.lifeline import die_with  # noqa: PLC0415

    if parent is not None:
        die_with(parent)
    measure(read_spec(spec_file), repetition, session, output, models, log_path)


@main.command("fetch-model")
@click.argument("model")
@click.option("--output", required=True, type=_PATH, help="Where to put the file.")
def fetch_model(model: str, output: Path) -> None:
    """Fetch a MODEL that config/servers.lock.yaml pins, checked by size and SHA-256."""
    from tandembench.project import locked_model  # noqa: PLC0415
    from tandembench.servers.fetch import fetch_model as fetch  # noqa: PLC0415

    fetch(locked_model(model), output)


@main.command()
@click.argument("manifest_file", type=_PATH)
@click.option("--runs", "runs_file", required=True, type=_PATH, help="Table of runs to write.")
@click.option("--executions", required=True, type=_PATH, help="Table of executions to write.")
@click.option("--telemetry", required=True, type=_PATH, help="Table of telemetry to write.")
@click.option("--tokens", required=True, type=_PATH, help="Table of tokens to write.")
def aggregate(
    manifest_file: Path, runs_file: Path, executions: Path, telemetry: Path, tokens: Path
) -> None:
    """Compute the metrics of the run files that a phase's manifest names."""
    from tandembench.dataset.aggregate import aggregate_phase  # noqa: PLC0415

    aggregate_phase(manifest_file, runs_file, executions, telemetry, tokens)


@main.command()
@click.argument("manifest_file", type=_PATH)
@click.option(
    "--output", required=True, type=_PATH, help="The descriptor to write; tables beside it."
)
def dataset(manifest_file: Path, output: Path) -> None:
    """Join the phases of a study into a dataset with its descriptor.

    Deletes the tables of phases that the manifest does not name, and manifests before it.
    """
    from tandembench.dataset.build import build_dataset  # noqa: PLC0415
    from tandembench.dataset.manifest import drop_others  # noqa: PLC0415

    drop_others(manifest_file)
    build_dataset(manifest_file, output.parent)


@main.command()
@click.argument("dataset")
@click.option(
    "--comparison", help="Id of a comparison; the study's first of several configs if left out."
)
@click.option("--format", "style", type=click.Choice(["text", "json"]), default="text")
def show(dataset: str, comparison: str | None, style: str) -> None:
    """Say what DATASET answers: which topology is the fastest, how sure that is, what to do next.

    DATASET is results/<study>, a dataset's folder or a baseline of runs. Nothing is measured.
    """
    from tandembench.dataset.versions import locate  # noqa: PLC0415
    from tandembench.report.show import show as shown  # noqa: PLC0415

    click.echo(shown(locate(dataset)[0], comparison, style), nl=False)


@main.command()
@click.argument("dataset")
@click.option(
    "--output",
    type=_PATH,
    help="The Markdown file to write; reports/<name>/technical_report.md if left out.",
)
@click.option("--page", "with_page", is_flag=True, help="Make its HTML page too.")
@_HYPOTHESES
def report(dataset: str, output: Path | None, with_page: bool, hypotheses_file: str | None) -> None:
    """Render the technical report of DATASET, and print where it is. Nothing is measured.

    DATASET is results/<study>, a dataset's folder or a baseline of runs. Beside the Markdown stand
    report.json, which holds the same numbers, and figures/, which holds nothing else.
    """
    from tandembench.dataset.versions import locate  # noqa: PLC0415
    from tandembench.report.write import write_pages, write_report  # noqa: PLC0415

    folder = locate(dataset)[0]
    written = write_report(folder, output, _hypotheses(folder, hypotheses_file))
    click.echo(written)
    if with_page:
        click.echo(write_pages(written))


@main.command()
@click.argument("markdown", type=_PATH)
@click.option("--output", type=_PATH, help="The HTML file to write; beside MARKDOWN if left out.")
@click.option("--pdf", is_flag=True, help="Print it as PDF too; needs Chromium.")
def page(markdown: Path, output: Path | None, pdf: bool) -> None:
    """Make one HTML file of MARKDOWN, a report or a difference, and print where it is.

    The file holds its figures, and needs no network and no other file.
    """
    from tandembench.report.pdf import print_pdf  # noqa: PLC0415
    from tandembench.report.write import write_page  # noqa: PLC0415

    written = write_page(markdown, output)
    click.echo(written)
    printed = written.with_suffix(".pdf")
    if pdf:
        click.echo(print_pdf(written, printed))
    elif printed.exists():
        # It may be anyone's: it is left alone, but not unsaid.
        click.echo(f"tandembench: {printed}: not of this page; --pdf prints it again", err=True)


@main.command()
@click.argument("dataset")
@click.option("--format", "style", type=click.Choice(["markdown", "json"]), default="markdown")
def attribution(dataset: str, style: str) -> None:
    """Where the loss of DATASET comes from, and what its answer lengths alone predict.

    DATASET is a baseline (tr114, tr114@1.0.0), a study (results/study) or a dataset's folder.
    """
    from tandembench.dataset.load import load_dataset  # noqa: PLC0415
    from tandembench.dataset.versions import locate  # noqa: PLC0415
    from tandembench.report.attribution import as_text  # noqa: PLC0415

    click.echo(as_text(load_dataset(locate(dataset)[0]), style), nl=False)


@main.command()
@click.argument("dataset")
@_HYPOTHESES
@click.option("--format", "style", type=click.Choice(["markdown", "json"]), default="markdown")
@click.option("--fail", is_flag=True, help="Exit with 1 if one is contradicted.")
def hypotheses(dataset: str, hypotheses_file: str | None, style: str, fail: bool) -> None:
    """Test what was expected of DATASET: confirmed, contradicted, inconclusive or not testable.

    DATASET is a baseline of runs, a study (results/study) or a dataset's folder.
    """
    from tandembench.dataset.load import load_dataset  # noqa: PLC0415
    from tandembench.dataset.versions import locate  # noqa: PLC0415
    from tandembench.report.hypotheses import as_text, questions  # noqa: PLC0415

    folder = locate(dataset)[0]
    declared = _hypotheses(folder, hypotheses_file)
    if not declared:
        fix = "name a file with --file, such as config/hypotheses/tr114.yaml"
        raise TandemError("the study declares no hypotheses", where=dataset, fix=fix)
    judged = questions(load_dataset(folder), declared)
    click.echo(as_text(judged, style), nl=False)
    if fail and judged["counts"]["contradicted"]:
        sys.exit(EXIT_DIFFERENT)


def _hypotheses(folder: Path, file: str | None) -> "tuple[Hypothesis, ...]":
    """Those of ``file``, else those that the study of the dataset names, if it is still there."""
    from tandembench.dataset.descriptor import read_descriptor  # noqa: PLC0415
    from tandembench.project import load_hypotheses  # noqa: PLC0415

    if file is None:
        named = read_descriptor(folder)["study"].get("hypotheses")
        file = named if named and Path(named).is_file() else None
    return load_hypotheses(file)


@main.command()
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
    from tandembench.dataset.load import load_dataset  # noqa: PLC0415
    from tandembench.dataset.versions import locate  # noqa: PLC0415
    from tandembench.select import proposal  # noqa: PLC0415

    found = load_dataset(locate(dataset)[0])
    margin = float(found.descriptor["study"]["margin"])
    click.echo(proposal(found.runs, found.executions, best, within, phases, margin), nl=False)


@main.command()
@click.argument("dataset")
@click.option("--precision", help="How closely, such as 3%; until decided if left out.")
@click.option("--format", "style", type=click.Choice(["text", "json"]), default="text")
def plan(dataset: str, precision: str | None, style: str) -> None:
    """Say how many more minutes decide what is open in DATASET, or tell ratios to a precision.

    DATASET is results/<study>, a dataset's folder or a baseline of runs.
    """
    from tandembench.dataset.load import load_dataset  # noqa: PLC0415
    from tandembench.dataset.versions import locate  # noqa: PLC0415
    from tandembench.plan import as_fraction, as_text, as_values, planned  # noqa: PLC0415

    wanted = as_fraction(precision) if precision else None
    found = load_dataset(locate(dataset)[0])
    study = found.descriptor["study"]
    rows = planned(found.runs, found.executions, float(study["margin"]), study["reference"], wanted)
    if style == "json":
        click.echo(json.dumps(as_values(rows, wanted), indent=2))
    else:
        click.echo(as_text(rows, wanted, str(study.get("file") or "STUDY.yaml")))


@main.command()
@click.argument("study_file")
@click.option("--session", default="s1", show_default=True, help="Label of the session.")
@click.option(
    "--invalid", is_flag=True, help="Remove failed blocks instead, to measure them again."
)
@click.option("--dry-run", "-n", is_flag=True, help="Only say what would be removed.")
@click.option("--format", "style", type=click.Choice(["text", "json"]), default="text")
def prune(study_file: str, session: str, invalid: bool, dry_run: bool, style: str) -> None:
    """Remove results that STUDY_FILE no longer names: run files, tables and logs of the past.

    With --invalid: run files of blocks in which a config failed every time, in every session, so
    that the next snakemake measures them again.
    """
    from tandembench.dataset.prune import failed_blocks, remove, unnamed  # noqa: PLC0415
    from tandembench.project import open_plan  # noqa: PLC0415

    plan = open_plan(study_file, session)
    if invalid:
        files = failed_blocks(plan.run_files() + plan.other_sessions())
    else:
        files = unnamed(Path(plan.results), plan.named_files())
    gone = files if dry_run else remove(files)
    if style == "json":
        click.echo(json.dumps({"removed": not dry_run, "files": list(map(str, gone))}, indent=1))
        return
    for file in gone:
        click.echo(f"{'would remove' if dry_run else 'removed'} {file}")
    click.echo(f"{len(files)} file{'s' * (len(files) != 1)}", err=True)


for _command in (baseline, diff, claims):
    main.add_command(_command)


@main.group()
def servers() -> None:
    """What the studies measure."""


@servers.command("lock")
@click.argument("study_file")
@click.option("--write", is_flag=True, help="Replace the entry in config/servers.lock.yaml.")
def servers_lock(study_file: str, write: bool) -> None:
    """Ask the running servers of STUDY_FILE for their version and model digests."""
    from tandembench.project import load_study  # noqa: PLC0415
    from tandembench.servers.lock import live_entry, write_entry  # noqa: PLC0415
    from tandembench.study.lock import LOCK_FILE  # noqa: PLC0415

    study = load_study(study_file)
    entry = live_entry(study)
    if write:
        write_entry(study.engine, entry, Path(LOCK_FILE))
    click.echo(json.dumps({study.engine: entry}, indent=2, sort_keys=True))


@main.command("fake-server")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=0, show_default=True, help="Port; 0 takes a free one.")
@click.option("--first-token-ms", default=50.0, show_default=True, help="Wait for the first token.")
@click.option("--gap-ms", default=10.0, show_default=True, help="Wait for each further token.")
@click.option("--jitter-ms", default=2.0, show_default=True, help="Gaps vary by so much.")
@click.option("--tokens", default=20, show_default=True, help="Where answers end by themselves.")
@click.option("--seed", default=1, show_default=True, help="Seed of jitter, noise and hangs.")
@click.option("--speed", default=1.0, show_default=True, help="Divides all times of an answer.")
@click.option("--drift", default=0.0, show_default=True, help="Times grow by this share a minute.")
@click.option("--drift-turn-s", default=300.0, show_default=True, help="After which they shrink.")
@click.option("--noise", default=0.0, show_default=True, help="SD of the log of an answer's time.")
@click.option("--hang-share", default=0.0, show_default=True, help="Share of requests that hang.")
@click.option("--hang-ms", default=500.0, show_default=True, help="For how long they hang.")
@click.option("--shared-rate", type=float, help="Tokens/s of one stream alone; instead of gaps.")
@click.option("--gain", default=1.0, show_default=True, help="Streams at once make gain * rate.")
@click.option("--slots", default=4, show_default=True, help="Requests that run at once.")
@click.option("--max-queue", default=512, show_default=True, help="Requests that may wait.")
@click.option("--load-ms", default=50.0, show_default=True, help="Time to (re)load, Ollama only.")
@click.option("--num-ctx", default=4096, show_default=True, help="Default context.")
@click.option("--fault", help="What every answer ends in; an unknown name lists them.")
@click.option("--faulty-request", type=int, help="Only this request (from 0) meets the fault.")
@click.option("--log", "log_path", type=_PATH, help="Log of sends to write, NDJSON.")
def fake_server(host: str, port: int, log_path: Path | None, **settings: Any) -> None:  # noqa: ANN401 - handed on
    """Serve simulated answers on an exact schedule, and log every send: a test instrument.

    Speaks Ollama's, llama-server's and OpenAI's protocols; no model is run. Prints its URL, and
    serves until Ctrl-C. --speed, --drift, --noise and --hang-share make servers whose makespan
    ratio is known; all that run on one machine drift as one.
    """
    from tandembench.fake_server.command import serve_command  # noqa: PLC0415

    serve_command(host, port, log_path, settings)


@main.command()
@click.option(
    "--seconds",
    default=4.0,
    show_default=True,
    help="How long to measure, about; from 20 on with two streams, else with more.",
)
@click.option("--format", "style", type=click.Choice(["text", "json"]), default="text")
@click.option("--output", type=_PATH, help="Calibration file to write, instead of printing.")
@click.option("--session", default="s1", show_default=True, help="Label, for --output.")
@click.option("--log", "log_path", type=_PATH, help="Log file, appended to.")
@click.option("--parent", type=int, help="Process id without which the calibration ends.")
def calibrate(
    seconds: float,
    style: str,
    output: Path | None,
    session: str,
    log_path: Path | None,
    parent: int | None,
) -> None:
    """Measure the instrument's own error against a simulated server, beside plain httpx.

    Waits until nothing else is measured on this machine. The rule calibrate calls it with --output.
    """
    from tandembench.calibrate.command import as_table, measure  # noqa: PLC0415
    from tandembench.calibrate.record import write_instrument  # noqa: PLC0415
    from tandembench.servers.lifeline import die_with  # noqa: PLC0415

    if parent is not None:
        die_with(parent)
    result, instrument = measure(session, seconds, log_path)
    if output is not None:
        write_instrument(output, instrument)
    elif style == "json":
        click.echo(json.dumps(asdict(instrument), indent=2))
    else:
        click.echo(as_table(result))


if __name__ == "__main__":
    main()
