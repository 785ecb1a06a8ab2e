"""Which servers a config needs, which configs of a block share them, and what a server is. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from tandembench.study.spec import AgentSpec, ConfigSpec, RunSpec, digest

# Options that belong to a loaded model: to ask for others than it has loads it anew.
_LOADED_WITH = {"ollama": ("num_ctx", "num_gpu")}


@dataclass(frozen=True, slots=True)
class Settings:
    """What one server is started with: ``models`` that it is to hold, ``num_ctx`` tokens a slot.

    An Ollama is told context and layers by each request, an embedded server by these.
    """

    models: tuple[str, ...]
    num_ctx: int
    num_gpu: int
    slots: int
    threads: int
    wait_policy: str


@dataclass(frozen=True, slots=True)
class Deployment:
    """The servers of a config: to be started with ``settings``, or running at ``urls``.

    Configs whose deployments have one ``key`` share their servers. ``models`` are those that each
    of the servers at ``urls`` must have; ``num_thread`` is what each of these is to be asked for,
    None where threads are left to them. Ollama servers that were started have URLs and settings.
    """

    key: str
    settings: tuple[Settings, ...] = ()
    urls: tuple[str, ...] = ()
    models: tuple[tuple[str, ...], ...] = ()
    num_thread: int | None = None

    def twin(self) -> "Deployment":
        """Servers of one's own with the same settings; running servers stay the same ones."""
        return replace(self, key=f"{self.key}-twin") if self.settings else self


@dataclass(frozen=True, slots=True)
class Server:
    """One running server. ``model_digests`` maps model names to what identifies their weights.

    ``version``, digests, ``slots``, ``threads``, ``wait_policy`` and ``pid`` are None where the
    engine does not tell. ``num_thread``: the threads that every request asks for, None if none.
    ``port``: where ``pid`` listens on this machine, if it was not started here; ``unseen``: why
    ``pid`` is not known, as `tandembench.system.listener` says.
    """

    index: int
    engine: str
    url: str
    version: str | None
    model_digests: Mapping[str, str | None]
    slots: int | None = None
    threads: int | None = None
    wait_policy: str | None = None
    pid: int | None = None
    num_thread: int | None = None
    port: int | None = None
    unseen: str | None = None


@dataclass(frozen=True, slots=True)
class Effective:
    """What a server says that it applies to a loaded model, whatever it was asked for.

    ``threads`` and ``slots`` may come from its process. ``num_ctx`` in tokens a slot;
    ``size_vram_bytes`` of ``size_bytes`` are on a GPU;
    ``expires_at``: when the model will be unloaded, to the nanosecond.
    """

    num_ctx: int | None = None
    threads: int | None = None
    slots: int | None = None
    size_bytes: int | None = None
    size_vram_bytes: int | None = None
    expires_at: str | None = None


class ServerFault(Exception):
    """A server that cannot be measured now; ``reason`` is the stable code of the result."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


# What became of a deployment: its servers, or why it has none.
Standing = Sequence[Server] | ServerFault


def deployments(spec: RunSpec, cores: int) -> tuple[Deployment, ...]:
    """The deployment of each config of ``spec``, in their order.

    ``cores`` are what this process may use; they decide where the study names no threads. Of
    running servers each must have what any config asks of it.
    """
    if spec.starts_servers:
        layouts = [layout(spec, config, cores) for config in spec.configs]
        return tuple(
            Deployment(digest([asdict(s) for s in one]), one, models=tuple(s.models for s in one))
            for one in layouts
        )
    wanted: dict[tuple[str, ...], list[dict[str, None]]] = {}
    for config in spec.configs:
        models = wanted.setdefault(config.servers, [{} for _ in config.servers])
        for index, agent in enumerate(config.agents):
            models[server_index(config, index)][agent.model] = None
    total = spec.threads_total
    return tuple(
        Deployment(
            digest(urls),
            urls=urls,
            models=tuple(map(tuple, wanted[urls])),
            num_thread=total and total // len(urls),
        )
        for urls in (config.servers for config in spec.configs)
    )


def server_index(config: ConfigSpec, agent: int) -> int:
    """Which of the servers of ``config`` serves the agent at this place; both from 0."""
    return agent if config.topology == "dual" else 0


def load_key(engine: str, agent: AgentSpec) -> tuple[object, ...]:
    """Equal for agents that one server serves without loading a model in between."""
    return (agent.model, *(agent.options.get(name) for name in _LOADED_WITH.get(engine, ())))


def layout(spec: RunSpec, config: ConfigSpec, cores: int) -> tuple[Settings, ...]:
    """Equal hardware: the settings of each server of ``config``, from the same total of threads.

    ``dual`` gives each of N servers total/N threads; every other topology gives all of them to
    its one server, with N slots for ``single_parallel`` and one slot else. The total is the
    study's ``threads_total``, else the cores, one of more than two left to the client, as far as
    they split evenly. A shared server holds the largest context and the most layers that any of
    its agents asks for.
    """
    agents = config.agents
    free = cores - 1 if cores > 2 else cores
    total = spec.threads_total or free - free % len(agents) or free
    shares = [(agent,) for agent in agents] if config.topology == "dual" else [agents]
    threads = max(1, total // len(shares))
    # Threads that outnumber the cores must sleep at once: to spin is a collapse there.
    passive = threads > 1 and threads * len(shares) > cores
    default_ctx = spec.lock.get("default_num_ctx", 0)  # 0: an Ollama's own
    return tuple(
        Settings(
            models=tuple(dict.fromkeys(agent.model for agent in share)),
            num_ctx=max(agent.options.get("num_ctx", default_ctx) for agent in share),
            num_gpu=max(agent.options.get("num_gpu", 0) for agent in share),
            slots=len(agents) if config.topology == "single_parallel" else 1,
            threads=threads,
            wait_policy="passive" if passive else "brief",
        )
        for share in shares
    )
