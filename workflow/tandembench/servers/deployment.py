"""Which servers a config needs, and which configs of a block can share them. Pure."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

from tandembench.study.spec import AgentSpec, ConfigSpec, RunSpec, digest

# Options that belong to a loaded model: to ask for others than it has loads it anew.
_LOADED_WITH = {"ollama": ("num_ctx", "num_gpu")}


@dataclass(frozen=True, slots=True)
class Settings:
    """What one server is started with; ``num_ctx`` in tokens a slot."""

    model: str
    num_ctx: int
    num_gpu: int
    slots: int
    threads: int
    wait_policy: str


@dataclass(frozen=True, slots=True)
class Deployment:
    """The servers of a config: to be started with ``settings``, or running at ``urls``.

    Configs whose deployments have one ``key`` share their servers. ``models`` are those that each
    of the servers at ``urls`` must have.
    """

    key: str
    settings: tuple[Settings, ...] = ()
    urls: tuple[str, ...] = ()
    models: tuple[tuple[str, ...], ...] = ()

    def twin(self) -> "Deployment":
        """Servers of one's own with the same settings; running servers stay the same ones."""
        return replace(self, key=f"{self.key}-twin") if self.settings else self


def deployments(spec: RunSpec, cores: int) -> tuple[Deployment, ...]:
    """The deployment of each config of ``spec``, in their order.

    ``cores`` are what this process may use; they decide where the study names no threads.
    """
    if spec.engine != "embedded":
        return _attached(spec)
    settings = [layout(spec, config, cores) for config in spec.configs]
    return tuple(
        Deployment(digest([asdict(one) for one in of_config]), settings=of_config)
        for of_config in settings
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
    study's ``threads_total``, else what ``cores`` allow. A shared server holds the largest
    context and the most layers that any of its agents asks for.
    """
    agents = config.agents
    total = spec.threads_total or _default_threads(cores, len(agents))
    shares = [(agent,) for agent in agents] if config.topology == "dual" else [agents]
    threads = max(1, total // len(shares))
    # Threads that outnumber the cores must sleep at once: to spin is a collapse there.
    passive = threads > 1 and threads * len(shares) > cores
    default_ctx = spec.lock["default_num_ctx"]
    return tuple(
        Settings(
            model=share[0].model,
            num_ctx=max(agent.options.get("num_ctx", default_ctx) for agent in share),
            num_gpu=max(agent.options.get("num_gpu", 0) for agent in share),
            slots=len(agents) if config.topology == "single_parallel" else 1,
            threads=threads,
            wait_policy="passive" if passive else "brief",
        )
        for share in shares
    )


def _default_threads(cores: int, agents: int) -> int:
    """The cores, one of more than two left to the client, and a multiple of the agents.

    What does not split evenly would be hardware that dual does not get and a shared server does.
    """
    free = cores - 1 if cores > 2 else cores
    return free - free % agents or free


def _attached(spec: RunSpec) -> tuple[Deployment, ...]:
    """One deployment for each list of URLs; a server there must have what any config asks of it."""

    def models(urls: Sequence[str]) -> tuple[tuple[str, ...], ...]:
        wanted: list[dict[str, None]] = [{} for _ in urls]
        for config in spec.configs:
            for index, agent in enumerate(config.agents if config.servers == urls else ()):
                wanted[server_index(config, index)][agent.model] = None
        return tuple(map(tuple, wanted))

    return tuple(
        Deployment(digest(config.servers), urls=config.servers, models=models(config.servers))
        for config in spec.configs
    )
