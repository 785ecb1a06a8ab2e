"""Baselines in object stores: a local one by pyarrow, and a real S3 server if one is named."""

import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner
from raw_blocks import block, rounds, write_dataset

from tandembench.cli import main
from tandembench.dataset import stores
from tandembench.dataset.baseline import freeze, publish
from tandembench.dataset.stores import open_store, stored
from tandembench.errors import TandemError

KEY, SECRET = "tandem-key", "tandem-secret-4711"


@dataclass(frozen=True)
class Place:
    """A store under test: its address, also without options, and the folder behind it."""

    address: str
    shown: str
    folder: Path

    def named(self, baseline: str) -> str:
        """The address of a baseline in it."""
        path, mark, options = self.address.partition("?")
        return f"{path}/{baseline}{mark}{options}"


def local(tmp_path: Path) -> Place:
    address = f"file://{tmp_path}/store/mine"
    return Place(address, address, tmp_path / "store/mine")


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, Path]]:
    """Port and folder of buckets of a real S3 server, versitygw."""
    program = os.environ.get("TANDEMBENCH_S3_SERVER")
    if not program:
        pytest.skip("TANDEMBENCH_S3_SERVER names no versitygw; make test-s3 builds one")
    folder = tmp_path_factory.mktemp("s3")
    for name in ("buckets/bucket", "metadata"):
        (folder / name).mkdir(parents=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [program, "--port", f"127.0.0.1:{port}", "--quiet", "posix"]
    command += ["--sidecar", str(folder / "metadata"), str(folder / "buckets")]
    keys = {"ROOT_ACCESS_KEY_ID": KEY, "ROOT_SECRET_ACCESS_KEY": SECRET}
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen(command, env={**os.environ, **keys}, stdout=log, stderr=log) as process,
    ):
        try:
            deadline = time.monotonic() + 20
            while process.poll() is None and time.monotonic() < deadline:
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
            else:
                pytest.fail(f"{program} does not answer: {(folder / 'log').read_text()}")
            yield port, folder / "buckets"
        finally:
            process.terminate()


@pytest.fixture(params=["local", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    if request.param == "local":
        return local(tmp_path)
    return s3_place(request.getfixturevalue("s3_server"), tmp_path.name, monkeypatch)


def s3_place(server: tuple[int, Path], name: str, monkeypatch: pytest.MonkeyPatch) -> Place:
    port, buckets = server
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    options = f"endpoint_override=127.0.0.1:{port}&scheme=http&region=us-east-1"
    shown = f"s3://bucket/{name}"
    return Place(f"{shown}?{options}", shown, buckets / "bucket" / name)


@pytest.fixture
def study(tmp_path: Path) -> Path:
    return write_dataset(tmp_path / "study", rounds(2, block("serial"), block("dual")))


def said(*arguments: str, code: int = 0) -> str:
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == code, (done.output, done.exception)
    assert done.exception is None or isinstance(done.exception, SystemExit)
    return done.stdout if code in (0, 1) else done.stderr


def test_a_store_holds_baselines_as_a_folder_does(
    study: Path, tmp_path: Path, place: Place
) -> None:
    root = ("--root", place.address)
    assert said("baseline", "list", *root) == ""
    assert said("baseline", "freeze", str(study), "--name", "mine", *root).startswith("mine@1.0.0")
    assert said("baseline", "freeze", str(study), "--name", "mine", *root).startswith("mine@1.1.0")
    again = ("--name", "mine", "--version", "1.0.0", *root)
    line = said("baseline", "freeze", str(study), *again, code=2)
    assert line.startswith(f"tandembench: {place.shown}: mine@1.0.0 exists; ")
    assert said("baseline", "list", *root) == "mine@1.0.0\nmine@1.1.0\n"
    assert said("baseline", "show", "mine", *root).startswith("mine@1.1.0: A test study\n")
    assert said("baseline", "verify", "--all", *root).count("as they were frozen") == 2
    # nothing but the baselines is left, each as a folder of its own would have it
    files = sorted(path.name for path in (place.folder / "mine/1.0.0").iterdir())
    here = freeze(study, "mine", None, tmp_path / "here")
    assert files == sorted(path.name for path in here.folder.iterdir())
    for path in here.folder.iterdir():
        assert (place.folder / "mine/1.0.0" / path.name).read_bytes() == path.read_bytes()
    assert "Both hold the same runs" in said("diff", place.named("mine@1.0.0"), str(study))
    assert "Both hold the same runs" in said("diff", str(study), place.named("mine"))
    assert "no baseline 'other'" in said("diff", place.named("other"), str(study), code=2)


def test_only_what_a_difference_needs_is_fetched(
    study: Path, place: Place, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(repository)
    freeze(study, "mine", None, place.address)
    # printed values follow from runs in a store as from those in a folder
    sides = [("tr114", str(study)), ("tr114", place.named("mine")), (place.named("mine"), "tr114")]
    contents = [json.loads(said("diff", *pair, "--format", "json", code=1)) for pair in sides]
    rows = [one["found"]["checked"]["rows"] for one in contents]
    assert rows[0]
    assert rows[1:] == rows[:1] * 2
    (place.folder / "mine/1.0.0/tokens.parquet").write_bytes(b"PAR1")
    assert said("diff", place.named("mine"), str(study)).count("Both hold the same runs") == 1
    line = said("baseline", "verify", "mine", "--root", place.address, code=3)
    assert line.startswith(f"tandembench: {place.shown}/mine/1.0.0/tokens.parquet: ")


def test_damage_is_named_by_object(study: Path, place: Place) -> None:
    freeze(study, "mine", None, place.address)
    folder = place.folder / "mine/1.0.0"
    for file in sorted(folder.iterdir()):
        before = file.read_bytes()
        half = len(before) // 2
        flipped = before[:half] + bytes([before[half] ^ 1]) + before[half + 1 :]
        for damaged in (flipped, before[:half], None):
            if damaged is None:
                file.unlink()
            else:
                file.write_bytes(damaged)
            if damaged is not None or file.suffix == ".parquet":
                line = said("baseline", "verify", "mine", "--root", place.address, code=3)
                assert line.startswith(f"tandembench: {place.shown}/mine/1.0.0/{file.name}: ")
                assert line.count("\n") == 1
        file.write_bytes(before)


def test_tables_come_before_the_descriptor(
    study: Path, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[str] = []
    write = stores._write

    def broken(store: stores.Store, path: str, content: Path | bytes) -> None:
        written.append(Path(path).name)
        if len(written) == 4:
            raise TandemError("cannot be reached", where=path, fix="wait", exit_code=4)
        write(store, path, content)

    monkeypatch.setattr(stores, "_write", broken)
    with pytest.raises(TandemError, match="cannot be reached"):
        freeze(study, "mine", None, place.address)
    assert written[1:] == ["executions.parquet", "rates.parquet", "runs.parquet"]
    assert stored(open_store(place.address)) == []
    # what was broken off is no baseline, and in nobody's way
    monkeypatch.setattr(stores, "_write", write)
    assert freeze(study, "mine", None, place.address).label == "mine@1.0.0"
    assert said("baseline", "verify", "mine", "--root", place.address)


def test_a_claim_that_stays_is_told(
    study: Path, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stores, "PATIENCE_S", 0.0)
    freeze(study, "mine", None, place.address)
    claim = place.folder / "mine/1.1.0/.claim-of-another"
    claim.parent.mkdir(parents=True)
    claim.touch()
    with pytest.raises(TandemError, match=r"mine@1\.1\.0 is being written by another") as caught:
        freeze(study, "mine", None, place.address)
    assert caught.value.exit_code == 4
    assert f"remove {place.shown}/mine/1.1.0/.claim-of-another" in str(caught.value)
    assert sorted(claim.parent.iterdir()) == [claim]


def test_a_version_that_another_finished_meanwhile_is_taken(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address, write = local(tmp_path).address, stores._write

    def after_another(store: stores.Store, path: str, content: Path | bytes) -> None:
        monkeypatch.setattr(stores, "_write", write)
        freeze(study, "mine", "1.0.0", address)
        write(store, path, content)

    monkeypatch.setattr(stores, "_write", after_another)
    with pytest.raises(TandemError, match=r"mine@1\.0\.0 exists"):
        freeze(study, "mine", "1.0.0", address)
    (tmp_path / "store/mine/mine/1.0.0/datapackage.json").unlink()
    monkeypatch.setattr(stores, "_write", after_another)
    assert freeze(study, "mine", None, address).version == "1.1.0"


def _publish(argument: tuple[str | Path, int]) -> str:
    root, writer = argument

    def build(folder: Path, version: str) -> None:
        (folder / "a").write_text(f"{writer} {version}")
        if writer % 10 == 9:
            raise TandemError("no", where="here", fix="so")
        (folder / "datapackage.json").write_text(f"{writer} {version}")

    try:
        return publish("mine", None, build, root).version
    except TandemError:
        return "none"


@pytest.mark.parametrize(
    ("store", "times"),
    [("folder", 80), pytest.param("folder", 800, marks=pytest.mark.full), ("store", 12)],
)
def test_writers_at_once_lose_and_mix_nothing_and_a_failed_one_leaves_nothing(
    place: Place, store: str, times: int
) -> None:
    root = place.folder if store == "folder" else place.address
    with ProcessPoolExecutor(8 if store == "folder" else 4) as pool:
        made = list(pool.map(_publish, [(root, n) for n in range(times)]))
    failing = times // 10
    assert made.count("none") == failing
    mine = place.folder / "mine"
    versions = sorted(path.parent.name for path in mine.glob("*/datapackage.json"))
    assert store == "store" or versions == sorted(path.name for path in mine.iterdir())
    assert versions == sorted(set(made) - {"none"})
    assert len(versions) == times - failing
    writers = set()
    for version in versions:
        a, b = (
            (place.folder / "mine" / version / p).read_text() for p in ("a", "datapackage.json")
        )
        assert a == b
        assert a.split()[1] == version
        writers.add(a.split()[0])
    assert len(writers) == len(versions)


@pytest.mark.parametrize("command", ["list", "freeze", "verify", "diff"])
@pytest.mark.parametrize(
    "fault", ["no such bucket", "the secret key is not the right one", "access denied, or no keys"]
)
def test_a_store_that_refuses_is_one_line_without_a_secret(
    study: Path,
    s3_server: tuple[int, Path],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    command: str,
    fault: str,
) -> None:
    address = s3_place(s3_server, "faults", monkeypatch).address
    if fault == "no such bucket":
        address = address.replace("//bucket", "//nobody")
    elif fault == "access denied, or no keys":
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
        monkeypatch.setenv("HOME", str(tmp_path))
    else:
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong-secret-0815")
    assert fault in refused(command, address, study)


def refused(command: str, address: str, study: Path) -> str:
    """The line that a command says of a store that it cannot use."""
    root = ("--root", address)
    arguments = {
        "list": ("baseline", "list", *root),
        "freeze": ("baseline", "freeze", str(study), "--name", "mine", *root),
        "verify": ("baseline", "verify", "mine", *root),
        "diff": ("diff", address.replace("?", "/mine?"), str(study)),
    }
    line = said(*arguments[command], code=4)
    assert line.count("\n") == 1
    assert line.startswith("tandembench: s3://")
    assert not any(secret in line for secret in (KEY, SECRET, "wrong", "0815", "Signature"))
    return line


def test_a_store_that_is_not_there_is_one_line(
    study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as taken:
        # bound and not listening: nobody answers here
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        address = s3_place((port, study), "x", monkeypatch).address
        assert "cannot be reached" in refused("list", address, study)


@pytest.mark.parametrize(
    "address",
    ["s4://bucket/x", "s3://", "s3://bucket/x?colour=red", "s3://AKIA:s3cret@bucket/x", "://"],
)
def test_what_is_no_address_is_one_line(address: str) -> None:
    line = said("baseline", "list", "--root", address, code=2)
    assert line.count("\n") == 1
    assert "s3cret" not in line
    assert "AKIA" not in line
