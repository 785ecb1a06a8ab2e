"""Commands that measure: a block, the instrument's own error, or simulated servers to try it on."""

from pathlib import Path
from typing import Any

import click

from tandembench.calibrate.command import as_table, measure
from tandembench.calibrate.record import write_instrument
from tandembench.cli import PATH, SESSION, styles
from tandembench.dataset.manifest import read_spec
from tandembench.fake_server.process import serve_command
from tandembench.measure.run import run as measure_block
from tandembench.system import die_with
from tandembench.text import as_json

_PARENT = click.option(
    "--parent",
    type=int,
    expose_value=False,
    callback=lambda _context, _option, parent: None if parent is None else die_with(parent),
    help="Process id without which this one ends.",
)


@click.command()
@click.option("--spec", "spec_file", required=True, type=PATH, help="The file of the RunSpec.")
@click.option("--repetition", required=True, type=click.IntRange(min=1), help="Which block of it.")
@SESSION
@click.option("--output", required=True, type=PATH, help="The run file to write.")
@click.option("--models", type=PATH, default=Path("resources/models"), help="Their folder.")
@click.option("--log", "log_path", required=True, type=PATH, help="Log file, appended to.")
@_PARENT
def run(
    spec_file: Path,
    repetition: int,
    session: str,
    output: Path,
    models: Path,
    log_path: Path,
) -> None:
    """Measure one block: what the rule run_block calls."""
    measure_block(read_spec(spec_file), repetition, session, output, models, log_path)


@click.command()
@click.option(
    "--seconds",
    default=4.0,
    show_default=True,
    help="How long to measure, about; from 20 on with two streams, else with more.",
)
@styles("text", "json")
@click.option("--output", type=PATH, help="Calibration file to write, instead of printing.")
@click.option("--session", default="s1", show_default=True, help="Label, for --output.")
@click.option("--log", "log_path", type=PATH, help="Log file, appended to.")
@_PARENT
def calibrate(
    seconds: float,
    style: str,
    output: Path | None,
    session: str,
    log_path: Path | None,
) -> None:
    """Measure the instrument's own error against a simulated server, beside plain httpx.

    Waits until nothing else is measured on this machine. The rule calibrate calls it with --output.
    """
    instrument = measure(session, seconds, log_path)
    if output is not None:
        write_instrument(output, instrument)
    elif style == "json":
        click.echo(as_json(instrument), nl=False)
    else:
        click.echo(as_table(instrument))


@click.command("fake-server")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=0, show_default=True, help="Port; 0 takes a free one.")
@click.option("--first-token-ms", default=50.0, show_default=True, help="Wait for the first token.")
@click.option("--gap-ms", default=10.0, show_default=True, help="Wait for each further token.")
@click.option("--jitter-ms", default=2.0, show_default=True, help="Gaps vary by so much.")
@click.option("--tokens", default=20, show_default=True, help="Where answers end by themselves.")
@click.option("--least-tokens", type=int, help="Or anywhere from here on, by prompt and seed.")
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
@click.option("--load-ms", default=50.0, show_default=True, help="Time to (re)load, Ollama only.")
@click.option("--num-ctx", default=4096, show_default=True, help="Default context.")
@click.option("--log", "log_path", type=PATH, help="Log of sends to write, NDJSON.")
def fake_server(host: str, port: int, log_path: Path | None, **settings: Any) -> None:  # noqa: ANN401 - handed on
    """Serve simulated answers on an exact schedule, and log every send: a test instrument.

    Speaks Ollama's, llama-server's and OpenAI's protocols; no model is run. Prints its URL, and
    serves until Ctrl-C. --speed, --drift, --noise and --hang-share make servers whose makespan
    ratio is known; all that run on one machine drift as one.
    """
    serve_command(host, port, log_path, settings)
