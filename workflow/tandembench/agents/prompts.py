"""The room of the agents, prompts: a folder of result files and templates -> prompts."""

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment

from tandembench.agents.tasks import TASKS, inventory
from tandembench.errors import TandemError
from tandembench.files import read_text
from tandembench.study.spec import ANSWER

MAX_FILES = 1000
MAX_FILE_BYTES = 1_000_000


def read_data(folder: Path) -> dict[str, str]:
    """Read the text files directly in ``folder``, as file name -> text in order of the names.

    Folders in it and names that start with a dot are passed over. Raises TandemError if the
    folder cannot be read, holds more than MAX_FILES files, or one of them is larger than
    MAX_FILE_BYTES, no UTF-8 text, or no regular file: links are refused, as they may lead out.
    """
    try:
        paths = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
        files = [path for path in paths if path.is_symlink() or not path.is_dir()]
        if len(files) > MAX_FILES:
            raise _fault(folder, f"{len(files)} files, more than {MAX_FILES}", "leave fewer in it")
        return {path.name: _read_text(path) for path in files}
    except OSError as error:
        what = f"cannot be read ({error.strerror})"
        raise _fault(error.filename or folder, what, "check path and rights") from error


def render_steps(
    task: str, steps: Sequence[Path], data: Mapping[str, str], where: str = "data"
) -> tuple[str, ...]:
    """Do the task's work on ``data``, which ``where`` names, and render one prompt per step.

    A template sees the facts under the name of the task and, from the second step on,
    ``answer``, which becomes ANSWER. Prompts are the same each time. Raises TandemError for
    data that the task cannot read or in which nothing was measured, and for a
    template that is missing, wrong or empty.
    """
    facts = {task: TASKS[task](data)}
    if not inventory(data).metrics:
        fix = "put a CSV file with a head and a column of numbers there"
        raise _fault(where, "no numbers in any .csv file", fix)
    return tuple(
        _render(path, {**facts, "answer": ANSWER} if place else facts)
        for place, path in enumerate(steps)
    )


def _read_text(path: Path) -> str:
    if path.is_symlink() or not path.is_file():
        raise _fault(path, "not a regular file", "put a copy of the file in its place")
    if not path.name.isprintable():
        raise _fault(ascii(str(path)), "a name that cannot be printed", "rename the file")
    return read_text(path, "check path and rights", MAX_FILE_BYTES)


@cache
def _environment() -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # a prompt is plain text; "&lt;" would reach the model
        trim_blocks=True,
        lstrip_blocks=True,
    )
    # The two things in Jinja that differ from one rendering to the next.
    del environment.filters["random"], environment.globals["lipsum"]
    return environment


def _render(path: Path, variables: Mapping[str, object]) -> str:
    source = read_text(path, "check its path under steps")
    try:
        prompt = _environment().from_string(source).render(variables).strip()
    except jinja2.TemplateSyntaxError as error:
        what = f"template syntax: {error.message}"
        raise _fault(f"{path}:{error.lineno}", what, "mend that line") from error
    except Exception as error:  # a template is a program: it can fail in any way
        fix = f"it may use {' and '.join(sorted(variables))} as config/agents/README.md says"
        raise _fault(path, f"template: {' '.join(str(error).split())}", fix) from error
    if not prompt:
        raise _fault(path, "the prompt is empty", "write what the model is asked")
    if ANSWER in prompt and "answer" not in variables:
        raise _fault(path, f"{ANSWER} before there is an answer", "use it from the second step on")
    return prompt


def _fault(where: Path | str, what: str, fix: str) -> TandemError:
    return TandemError(what, where=str(where), fix=fix)
