"""Whether a comparison's hardware was equal, in words that say what to set if not."""

from collections.abc import Callable

from tandembench.analysis.findings import Answer
from tandembench.report.words import say
from tandembench.text import sanitise


def said_hardware(answer: Answer, name: Callable[[str], str]) -> str:
    """One sentence or two; ``name`` says what a config is called."""
    one = answer.hardware
    if one.more is None or one.less is None:
        known = one.verdict == "equal" or one.engine != "openai"
        return say(f"hardware_{one.verdict}", one.basis if known else "elsewhere")
    more, less = one.more, one.less
    places = {"more": name(more.config_id), "less": name(less.config_id)}
    basis: str = one.basis
    if basis == "slots":
        wide = more.topology == "single_parallel"
        needed = str(more.n_agents if wide else 1)
        places = {"more": places["more"], "slots": str(more.slots), "needed": needed}
        basis = "slots_ollama" if one.engine == "ollama" else basis
    elif basis == "hosts":
        hosts = [
            ", ".join(host or say("hardware_place", "here") for host in of.hosts)
            for of in (more, less)
        ]
        places |= {"here": sanitise(hosts[0], 80), "there": sanitise(hosts[1], 80)}
    elif basis == "threads":
        places |= {"most": str(more.threads), "least": str(less.threads)}
        basis = "elsewhere" if one.threads_total is None else basis
        places |= {"total": str(one.threads_total)} if one.threads_total else {}
    return say("hardware_unequal", basis, **places)
