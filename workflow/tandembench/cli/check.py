"""The command that checks a study: what is wrong with it, or what it would measure."""

from pathlib import Path

import click

from tandembench.cli import SESSION
from tandembench.measure.plan import planned_rounds
from tandembench.project import load_hypotheses, open_plan
from tandembench.servers.deployment import deployments
from tandembench.system import cores
from tandembench.text import counted

# For a first estimate, before anything is measured: how fast this answers, and what a turn takes
# beside that (waiting until the machine is quiet, reading prompts).
_TOKENS_PER_S = 60
_TURN_S = 0.5


@click.command()
@click.argument("study_file")
@SESSION
def check(study_file: str, session: str) -> None:
    """Check STUDY_FILE and the files that it names, and say what it would measure.

    A mistake is one line with file, line, key and fix, also where Snakemake cannot read the file.
    No server is asked anything.
    """
    plan = open_plan(study_file, session)
    load_hypotheses(plan.study.hypotheses)
    missing = [file for file in plan.run_files() if not Path(file).exists()]
    seconds = tokens = 0.0
    for comparison, repetition in plan.order():
        spec = plan.specs[comparison]
        if plan.run_file(comparison, repetition) not in missing:
            continue
        keys = [place.key for place in deployments(spec, cores())]
        for turn in (turn for one in planned_rounds(spec, repetition, keys) for turn in one.turns):
            agents = spec.configs[turn.config].agents
            agents = agents if turn.solo is None else agents[turn.solo : turn.solo + 1]
            tokens += sum(len(agent.prompts) * agent.max_tokens for agent in agents)
            seconds += _TURN_S
    minutes = (seconds + tokens / _TOKENS_PER_S) / 60
    time = f", about {max(1, round(minutes))} min if a server makes {_TOKENS_PER_S} tokens/s"
    click.echo(
        f"{plan.study.name}: {counted(len(plan.study.configs), 'config')} in"
        f" {counted(len(plan.study.comparisons), 'comparison')}; {len(missing)} of"
        f" {counted(len(plan.run_files()), 'block')} to measure in session {session}"
        f"{time if missing else ''}"
    )
