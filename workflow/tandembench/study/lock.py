"""The lock of what studies measure: engine versions and model digests, from its YAML."""

from collections.abc import Mapping
from typing import Annotated, Literal, TypeAlias

from pydantic import ConfigDict, Field

from tandembench.errors import TandemError
from tandembench.study.check import Keys, Maybe, Name, read_keys
from tandembench.study.expand import Comparison, Study

LOCK_FILE = "config/servers.lock.yaml"
NO_LOCK = f"run in the folder of the checkout, or get it back: git checkout {LOCK_FILE}"


class ModelFile(Keys):
    """a mapping with package, member and sha256"""

    package: Annotated[
        str, Field(pattern="^[a-z0-9-]+==[0-9][0-9a-z.]*$", description="a package: name==version")
    ]
    member: Annotated[str, Field(description="the file's path inside the package")]
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$", description="64 hex digits")]


class Embedded(Keys):
    """a mapping with version, default_num_ctx and models: the engine that the workflow starts"""

    version: str
    default_num_ctx: Annotated[int, Field(ge=64)]
    models: Annotated[dict[str, ModelFile], Field(min_length=1, description="one model or more")]


class Ollama(Keys):
    """a mapping with version and models, written by: tandembench servers lock STUDY --write"""

    engine: Literal["ollama"] = "ollama"
    version: str
    models: dict[
        str, Annotated[str, Field(pattern="^(sha256:)?[0-9a-f]{12,64}$", description="a digest")]
    ]


Limit = Literal["max_tokens", "max_completion_tokens"]


class Request(Keys):
    """a mapping with limit, stream_options and ignore_eos"""

    limit: Limit = "max_tokens"
    stream_options: bool = True
    ignore_eos: bool = True


class OpenAI(Keys):
    """a mapping with version and models, written by: tandembench servers lock STUDY --write"""

    engine: Literal["openai"] = "openai"
    version: str | None
    models: dict[str, Annotated[str, Field(min_length=1)] | None]
    request: Request = Request()


Entry: TypeAlias = Ollama | OpenAI
_KIND = "a mapping with engine: ollama or engine: openai, version and models"


class Lock(Keys):
    """What is pinned, by engine, and under further names that studies give."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[
        Name, Annotated[Entry, Field(discriminator="engine", description=_KIND)]
    ]

    embedded: Embedded
    ollama: Maybe[Ollama] = None
    openai: Maybe[OpenAI] = None


def entry_name(study: Study) -> str:
    """Under which name the lock has what ``study`` measures."""
    return study.lock or study.engine


def read_lock(text: str) -> Lock:
    """The Lock that ``text`` describes; TandemError names line, key and fix of a fault."""
    return read_keys(Lock, text, LOCK_FILE)[0]


def locked(
    lock: Lock, study: Study, comparison: Comparison, study_file: str
) -> Mapping[str, object]:
    """What a comparison is measured with: the version and the models of its own engine only.

    TandemError names the line of ``study_file`` whose model is not pinned.
    """
    where = f"{study_file}:{comparison.line}"
    write = f"run: tandembench servers lock {study_file} --write"
    name = entry_name(study)
    entry: Embedded | Entry | None = getattr(lock, name, None)
    if entry is None:
        raise TandemError(f"{LOCK_FILE} has no entry for {name}", where=where, fix=write)
    if not isinstance(entry, Embedded) and entry.engine != study.engine:
        what = f"the entry '{name}' of {LOCK_FILE} is of engine {entry.engine}, not {study.engine}"
        raise TandemError(what, where=where, fix="write another name under the study's key lock")
    models = {agent.model for config in comparison.configs for agent in config.agents}
    for model in sorted(models - set(entry.models)):
        what = f"{LOCK_FILE} does not pin the model '{model}' for {name}"
        fix = f"pinned models: {', '.join(entry.models) or 'none'}"
        fix = fix if study.engine == "embedded" else write
        raise TandemError(what, where=where, fix=fix)
    if isinstance(entry, Embedded):
        for agent in (agent for config in comparison.configs for agent in config.agents):
            lack = agent.lacks_room(agent.options.get("num_ctx", entry.default_num_ctx))
            if lack:
                what = f"{lack[0]}, the default of {LOCK_FILE}"
                fix = f"write num_ctx: {lack[1]} or more, or lower work.tokens"
                raise TandemError(what, where=where, fix=fix)
    # Where a file was fetched from does not matter to what it measures; its digest does.
    digests = {
        model: pinned.sha256 if isinstance(pinned, ModelFile) else pinned
        for model, pinned in entry.models.items()
        if model in models
    }
    # An Ollama that is started here imports what the embedded engine has as a file.
    files = models & set(lock.embedded.models)
    starts = study.engine == "ollama" and isinstance(study.servers, str)
    imported = {model: lock.embedded.models[model].sha256 for model in sorted(files)}
    return (
        entry.model_dump(exclude={"engine"})
        | {"models": digests}
        | ({"files": imported} if starts else {})
    )
