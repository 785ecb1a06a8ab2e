"""Which servers a config needs, which configs share them, and equal hardware for all."""

from dataclasses import replace

import pytest
from run_specs import EMBEDDED, TOPOLOGIES, an_agent, run_spec, two_agents

from tandembench.servers.deployment import deployments, layout, load_key


@pytest.mark.parametrize(
    ("topology", "cores", "expected"),
    [
        ("dual", 2, [(1, 1)] * 2),
        ("serial", 2, [(2, 1)]),
        ("single", 2, [(2, 1)]),
        ("single_parallel", 2, [(2, 2)]),
        # One core of more than two is the client's; what does not split evenly is nobody's.
        ("dual", 8, [(3, 1)] * 2),
        ("single", 8, [(6, 1)]),
        ("dual", 5, [(2, 1)] * 2),
        ("single_parallel", 5, [(4, 2)]),
        ("serial", 3, [(2, 1)]),
        ("dual", 1, [(1, 1)] * 2),
    ],
)
def test_every_topology_gets_the_same_hardware(
    topology: str, cores: int, expected: list[tuple[int, int]]
) -> None:
    spec = run_spec(topology)
    settings = layout(spec, spec.configs[0], cores)
    assert [(one.threads, one.slots) for one in settings] == expected
    assert {one.wait_policy for one in settings} == {"brief"}
    # threads that outnumber the cores do not spin
    spec = run_spec("dual", threads_total=8)
    settings = layout(spec, spec.configs[0], cores=2)
    assert [(one.threads, one.wait_policy) for one in settings] == [(4, "passive")] * 2


def test_a_shared_server_holds_what_its_largest_agent_asks_for() -> None:
    agents = [an_agent("a", num_ctx=512, num_gpu=80), an_agent("b", num_ctx=1024, num_gpu=100)]
    shared, dual = deployments(run_spec("single", "dual", agents=agents), cores=2)
    assert [(one.num_ctx, one.num_gpu) for one in shared.settings] == [(1024, 100)]
    assert [one.num_ctx for one in dual.settings] == [512, 1024]
    # an agent that sends nothing: the lock's default stands in
    silent = replace(agents[0], options={})
    (place,) = deployments(run_spec("dual", agents=[silent, agents[1]]), cores=2)
    assert place.settings[0].num_ctx == EMBEDDED["default_num_ctx"]


def test_configs_of_equal_settings_share_their_servers_and_no_others_do() -> None:
    serial, single, parallel, dual = deployments(run_spec(*TOPOLOGIES), cores=2)
    assert serial == single
    assert len({serial.key, parallel.key, dual.key}) == 3
    # what a request carries is no setting of a server
    warmer, cooler = (
        deployments(run_spec("single", agents=two_agents(temperature=t)), cores=2)
        for t in (0.2, 0.8)
    )
    assert warmer == cooler


def test_a_twin_has_servers_of_its_own_where_they_are_started_here() -> None:
    (place,) = deployments(run_spec("dual"), cores=2)
    assert place.twin().settings == place.settings
    assert place.twin().key != place.key
    urls = ("http://127.0.0.1:1", "http://127.0.0.1:2")
    running = run_spec("dual", servers=urls, engine="ollama", protocol="chat")
    (lent,) = deployments(running, cores=2)
    assert lent.twin() == lent


def test_running_servers_must_have_what_any_config_asks_of_them() -> None:
    urls = ("http://127.0.0.1:1", "http://127.0.0.1:2")
    agents = [an_agent("a", model="small"), an_agent("b", model="large")]
    spec = run_spec("single", "serial", "dual", agents=agents, servers=urls, engine="openai")
    single, serial, dual = deployments(spec, cores=2)
    assert single == serial
    assert (single.urls, single.models) == (urls[:1], (("small", "large"),))
    assert (dual.urls, dual.models) == (urls, (("small",), ("large",)))
    assert {single.num_thread, dual.num_thread} == {None}
    shared, each = deployments(replace(spec, threads_total=4), cores=2)[1:]
    assert (shared.num_thread, each.num_thread) == (4, 2)


def test_what_loads_a_model_anew_depends_on_the_engine() -> None:
    small, large = an_agent("a", num_ctx=512), an_agent("a", num_ctx=1024)
    assert load_key("ollama", small) != load_key("ollama", large)
    assert load_key("openai", small) == load_key("openai", large)
    assert load_key("ollama", small) == load_key("ollama", an_agent("b", temperature=0.1))
