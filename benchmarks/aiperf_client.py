"""aiperf as one more client: a program of its own, so its errors come from the records it writes.

It stamps with CLOCK_REALTIME; requests are matched with the server's log by their gaps, which the
schedule makes different for every prompt.
"""

import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterable
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

from tandembench.calibrate.clients import Seen
from tandembench.calibrate.record import Spread
from tandembench.calibrate.session import SCHEDULES, errors_of
from tandembench.fake_server import StreamLog, fake_process, read_log

_TIMEOUT_S = 300


def program() -> str | None:
    """Where aiperf is; None if it is not on the PATH."""
    return shutil.which("aiperf")


def release(aiperf: str) -> str:
    """Its version, as it says."""
    done = subprocess.run([aiperf, "--version"], capture_output=True, text=True, check=True)  # noqa: S603 - no shell
    return done.stdout.split()[-1]


def measure_aiperf(aiperf: str, requests: int) -> dict[str, Spread]:
    """Its errors over ``requests`` requests, two at a time; RuntimeError if it fails."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _write_tokenizer(folder / "tokenizer")
        with fake_process(SCHEDULES["exact"], folder / "log.ndjson") as url:
            to_monotonic_ns = time.monotonic_ns() - time.time_ns()
            words = (
                f"profile --model fake --url {url} --endpoint-type chat --streaming --concurrency 2"
                f" --request-count {requests} --isl 5 --ui-type none --export-level records"
                " --tokenizer tokenizer --artifact-dir out"
            )
            done = subprocess.run(  # noqa: S603 - the reader's own aiperf, no shell
                [aiperf, *words.split()],
                cwd=folder,
                capture_output=True,
                text=True,
                check=False,
                timeout=_TIMEOUT_S,
            )
        records = folder / "out/profile_export.jsonl"
        if done.returncode or not records.exists():
            raise RuntimeError(f"aiperf failed: {(done.stderr or done.stdout)[-200:]}")
        seen = [_seen(json.loads(line), to_monotonic_ns) for line in records.open()]
        return errors_of(matched(seen, read_log(folder / "log.ndjson")))


def matched(seen: Iterable[Seen], logs: Iterable[StreamLog]) -> list[tuple[Seen, StreamLog]]:
    """Each answer with the stream whose gaps are nearest; ValueError if two want the same one."""
    streams = list(logs)
    pairs = []
    for one in seen:
        if not streams:
            raise ValueError("aiperf tells of more requests than were sent")
        nearest = min(streams, key=lambda log: _distance(one.chunk_ns, log.sent_ns))
        streams.remove(nearest)
        pairs.append((one, nearest))
    return pairs


def _distance(one: Iterable[int], other: Iterable[int]) -> int:
    gaps, sent = ([b - a for a, b in pairwise(stamps)] for stamps in (one, other))
    if len(gaps) != len(sent):
        raise ValueError(f"{len(gaps) + 1} tokens seen of {len(sent) + 1} sent")
    return sum(abs(a - b) for a, b in zip(gaps, sent, strict=True))


def _seen(record: dict[str, Any], to_monotonic_ns: int) -> Seen:
    metrics = {name: result["value"] for name, result in record["metrics"].items()}
    start_ns = record["metadata"]["request_start_ns"] + to_monotonic_ns
    gaps_ns = (round(gap * 1e6) for gap in metrics["inter_chunk_latency"])
    first_ns = start_ns + round(metrics["time_to_first_token"] * 1e6)
    return Seen(
        request_ns=start_ns,
        chunk_ns=tuple(accumulate(gaps_ns, initial=first_ns)),
        end_ns=record["metadata"]["request_end_ns"] + to_monotonic_ns,
    )


def _write_tokenizer(folder: Path) -> None:
    """A tokenizer of single bytes: aiperf needs one for its prompts, and would download it."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters = [chr(byte) for byte in printable] + [chr(256 + n) for n in range(256 - 188)]
    vocabulary = {letter: number for number, letter in enumerate([*letters, "<eos>"])}
    by_byte = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}
    model = {"type": "BPE", "vocab": vocabulary, "merges": []}
    whole = {"version": "1.0", "added_tokens": [], "model": model}
    whole |= {"pre_tokenizer": by_byte, "decoder": by_byte}
    classes = {"tokenizer_class": "PreTrainedTokenizerFast"}
    folder.mkdir()
    (folder / "tokenizer.json").write_text(json.dumps(whole), encoding="utf-8")
    ends = {"bos_token": "<eos>", "eos_token": "<eos>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(classes | ends), encoding="utf-8")
