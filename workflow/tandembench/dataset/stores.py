"""Baselines in an object store, by pyarrow's file systems: s3://bucket/prefix?region=... and such.

A store cannot rename. A baseline is there once its descriptor is, which comes last; until then
a claim, an object of its own, keeps other writers from the same version.
"""

import os
import random
import re
import shutil
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pyarrow as pa
from pyarrow import fs

from tandembench.dataset.descriptor import NAME, check_hash, file_hash, parse_descriptor
from tandembench.dataset.versions import Baseline, check_name, next_version, pick, those_of
from tandembench.errors import EXIT_CORRUPT, EXIT_ENVIRONMENT, TandemError
from tandembench.files import replacing
from tandembench.text import sanitise

# How long to wait for another writer of the same version, seconds.
PATIENCE_S = 30.0
_CLAIM = ".claim-"
_AGAIN = "copy the baseline to the store again"
# What AWS's client says -> what a user reads. Its own words may hold what is nobody's business.
_SAYINGS = {
    "NO_SUCH_BUCKET": "no such bucket",
    "ACCESS_DENIED": "access denied, or no keys",
    "SIGNATURE_DOES_NOT_MATCH": "the secret key is not the right one",
    "INVALID_ACCESS_KEY_ID": "the access key is not known there",
    "NETWORK_CONNECTION": "cannot be reached",
}


@dataclass(frozen=True, slots=True)
class Store:
    """A file system, the path in it that holds baselines, and its address without options."""

    files: fs.FileSystem
    prefix: str
    shown: str


def is_address(text: str) -> bool:
    """Whether ``text`` names a store, not a local path."""
    return "://" in text


def open_store(address: str) -> Store:
    """The store at ``address``; nothing is asked of it yet. Keys come from the environment."""
    parts = urlsplit(address)
    shown = sanitise(f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}", 120)
    if "@" in parts.netloc:
        fix = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or use ~/.aws, and leave them out"
        raise TandemError("keys in an address", where=shown, fix=fix)
    if parts.scheme == "s3":
        # Small objects go in one request, which a store takes whole or not at all.
        address += f"{'&' if parts.query else '?'}allow_delayed_open=true"
    try:
        files, prefix = fs.FileSystem.from_uri(address)
        if not prefix.strip("/"):
            raise ValueError
    except (pa.ArrowException, OSError, ValueError):
        fix = "such as s3://bucket/prefix?region=... or &endpoint_override=host:port&scheme=http"
        raise TandemError("not the address of a store", where=shown, fix=fix) from None
    return Store(files, prefix.rstrip("/"), shown.rstrip("/"))


def stored(store: Store, name: str | None = None) -> list[Baseline]:
    """All baselines, or those of one name, oldest version first; ``folder`` is a path in it."""
    place = Path(store.prefix, name) if name else Path(store.prefix)
    descriptors = (Path(path) for path in _objects(store, str(place)) if Path(path).name == NAME)
    folders = (path.parent for path in descriptors)
    return those_of(one for one in folders if one.parent.parent == Path(store.prefix))


def fetch(
    store: Store, text: str, folder: Path, wanted: Callable[[str], bool] = lambda _: True
) -> Baseline:
    """Copy the baseline ``name`` or ``name@version`` to a folder of its own in ``folder``.

    Only the tables ``wanted`` by their names. TandemError (exit 3) names a damaged object.
    """
    one = pick(text, stored(store), store.shown)
    copy = Path(tempfile.mkdtemp(dir=folder))
    shown = _get(store, f"{one.folder}/{NAME}", copy / NAME)
    for resource in parse_descriptor((copy / NAME).read_bytes(), shown, [one])["resources"]:
        if wanted(resource["name"]):
            path = copy / resource["path"]
            shown = _get(store, f"{one.folder}/{path.name}", path)
            with path.open("rb") as file:
                check_hash(file_hash(file), resource["hash"], shown)
    return Baseline(one.name, one.version, copy)


def put(
    store: Store, name: str, version: str | None, build: Callable[[Path, str], None]
) -> Baseline:
    """Make a baseline: tables first, descriptor last, only if absent, all read back.

    Without ``version`` it is the next minor one. TandemError if the version is there.
    """
    check_name(name, version)
    deadline = time.monotonic() + PATIENCE_S
    with tempfile.TemporaryDirectory(prefix="tandembench-") as temporary:
        folder = Path(temporary)
        while True:
            chosen = version or next_version(stored(store, name))
            one = Baseline(name, chosen, Path(store.prefix, name, chosen))
            with _claimed(store, one) as other:
                if other is None:
                    build(folder, chosen)
                    _upload(store, one, folder)
                    return one
            if other == NAME and version is not None:
                fix = "a baseline never changes: give another --version"
                raise TandemError(f"{one.label} exists", where=store.shown, fix=fix)
            if time.monotonic() > deadline:
                what = f"{one.label} is being written by another, or that was broken off"
                fix = f"wait, or remove {_shown(store, other)}"
                raise TandemError(what, where=store.shown, fix=fix, exit_code=EXIT_ENVIRONMENT)
            if other != NAME:
                time.sleep(random.uniform(0.05, 0.5))  # noqa: S311 - apart from each other


@contextmanager
def _claimed(store: Store, one: Baseline) -> Iterator[str | None]:
    """Hold the version ``one`` alone; or what is in the way: its descriptor or another's claim.

    Whoever sees another's claim withdraws. Reading one's own writes, as stores do, of two who
    claim at once the later one sees the earlier.
    """
    claim = f"{one.folder}/{_CLAIM}{uuid.uuid4()}"
    if f"{one.folder}/{NAME}" in _objects(store, str(one.folder)):
        yield NAME
        return
    try:
        _write(store, claim, b"")
        there = _objects(store, str(one.folder))
        claims = [path for path in there if Path(path).name.startswith(_CLAIM) and path != claim]
        # The descriptor may have come between the first look and the claim.
        yield NAME if f"{one.folder}/{NAME}" in there else claims[0] if claims else None
    finally:
        with suppress(TandemError), _explained(store, claim):
            store.files.delete_file(claim)


def _upload(store: Store, one: Baseline, folder: Path) -> None:
    tables = sorted(file.name for file in folder.iterdir() if file.name != NAME)
    for name in (*tables, NAME):
        path = f"{one.folder}/{name}"
        _write(store, path, folder / name)
        with _explained(store, path), store.files.open_input_stream(path) as back:
            digest = file_hash(back)
        with (folder / name).open("rb") as file:
            check_hash(digest, file_hash(file), _shown(store, path))


def _write(store: Store, path: str, content: Path | bytes) -> None:
    with _explained(store, path):
        if isinstance(store.files, fs.LocalFileSystem):
            with replacing(Path(path)) as partial:
                partial.write_bytes(content if isinstance(content, bytes) else content.read_bytes())
            return
        with store.files.open_output_stream(path, compression=None) as target:
            if isinstance(content, bytes):
                target.write(content)
            else:
                with content.open("rb") as file:
                    shutil.copyfileobj(file, target, 2**20)


def _get(store: Store, path: str, copy: Path) -> str:
    """Copy one object, and how it is shown."""
    shown = _shown(store, path)
    with _explained(store, path):
        try:
            source = store.files.open_input_stream(path, compression=None)
        except FileNotFoundError:
            raise TandemError("missing", where=shown, fix=_AGAIN, exit_code=EXIT_CORRUPT) from None
        with source, copy.open("wb") as target:
            shutil.copyfileobj(source, target, 2**20)
    return shown


def _objects(store: Store, place: str) -> list[str]:
    """The paths of all objects below ``place``."""
    with _explained(store, place):
        try:
            infos = store.files.get_file_info(fs.FileSelector(place, recursive=True))
        except FileNotFoundError:
            return []
    return [info.path for info in infos if info.type == fs.FileType.File]


def _shown(store: Store, path: str) -> str:
    return f"{store.shown}{path.removeprefix(store.prefix)}"


@contextmanager
def _explained(store: Store, path: str) -> Iterator[None]:
    """What a store's errors come to: one line, exit 4."""
    try:
        yield
    except (OSError, pa.ArrowException) as error:
        code = re.search(r"AWS Error ([A-Z_]+)", str(error))
        if code and code[1] == "VALIDATION":
            # The client checks what it gets against the store's own checksum.
            what, where = "not the bytes that were stored", _shown(store, path)
            raise TandemError(what, where=where, fix=_AGAIN, exit_code=EXIT_CORRUPT) from None
        said = _SAYINGS.get(code[1], f"store error {code[1]}") if code else ""
        what = said or f"cannot be used ({os.strerror(getattr(error, 'errno', None) or 5)})"
        fix = (
            "check the address and its options, the network, and the keys in AWS_ACCESS_KEY_ID and"
            " AWS_SECRET_ACCESS_KEY or ~/.aws"
        )
        where = _shown(store, path)
        raise TandemError(what, where=where, fix=fix, exit_code=EXIT_ENVIRONMENT) from None
