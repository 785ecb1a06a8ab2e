"""The benchmark of clients: it measures what is installed, and names what is not."""

import json

import clients
import pytest
from click.testing import CliRunner

from tandembench.fake_server import Behaviour


@pytest.fixture
def two_clients(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what every checkout has, and one that nobody has."""
    own = {name: clients.CLIENTS[name] for name in ("tandembench", "httpx")}
    nobody = {"nobody": ("no-such-package-here", clients.open_aiohttp)}
    monkeypatch.setattr(clients, "CLIENTS", own | nobody)
    monkeypatch.setattr(clients, "program", lambda: None)


def test_clients_that_are_missing_are_named_and_the_others_measured(two_clients: None) -> None:
    done = CliRunner().invoke(clients.main, ["--requests", "5", "--format", "json"])
    assert done.exit_code == 0, done.output
    assert "skipped: nobody is not installed; python -m pip install no-such-package-here" in (
        done.stderr
    )
    found = json.loads(done.stdout)
    assert found["skipped"].keys() == {"nobody", "aiperf"}
    own, plain = found["clients"]
    assert [own["client"], plain["client"]] == ["tandembench", "httpx"]
    for one in (own, plain):
        assert one["requests"] == 8  # whole rounds of two streams with two each
        assert one["ttft_error_us"]["n"] == 8
        assert one["token_stamp_error_us"]["n"] == 8 * Behaviour().tokens
        assert one["gap_error_us"]["n"] == 8 * (Behaviour().tokens - 1)
        assert one["tokens_per_s_sustained"] > 0
    cells = clients.table(found["clients"]).splitlines()
    assert len({line.count("|") for line in cells}) == 1
    assert cells[2].startswith(f"| tandembench | {own['version']} | ")
    assert cells[2].endswith("| 8 |")
    assert f"{plain['ttft_error_us']['median']:,.0f} / -" in cells[3]
