"""Takes each check of the measuring path away and sees that a test fails: python mutations.py.

A mutant is a copy of the package in which one snippet is replaced; the tests that should notice
run on it. One that they let live is a check that nothing tests. Prints the table, and ends with 1
if a mutant lives. `python benchmarks/mutations.py validity` takes those of one file alone.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = Path("workflow/tandembench")


@dataclass(frozen=True, slots=True)
class Mutant:
    """``snippet`` of ``file`` (of the package) becomes ``other``; ``tests`` are pytest's words."""

    file: str
    snippet: str
    other: str
    tests: str


def _each(file: str, tests: str, changes: Mapping[str, str]) -> tuple[Mutant, ...]:
    """A mutant for each snippet of ``file``."""
    return tuple(Mutant(file, snippet, other, tests) for snippet, other in changes.items())


INJECTED, LOADS = "tests/measure/test_validity.py", "tests/measure/test_loads.py"
_BLOCK, _KEEPER, _VALIDITY = (f"measure/{name}.py" for name in ("block", "keeper", "validity"))
MUTANTS = (
    Mutant(_VALIDITY, "(one.slept_s or 0.0) > SLEPT_S", "False", f"{INJECTED} -k slept"),
    Mutant(_VALIDITY, "if around.restarted:", "if False:", f"{INJECTED} -k restarted"),
    Mutant(_VALIDITY, 'around.load == "cold"', "False", LOADS),
    Mutant("measure/loads.py", "pair[1] >= _FACTOR * pair[0]", "False", LOADS),
    Mutant("measure/loads.py", "max(time, FLOOR_S)", "time", LOADS),
    Mutant(_KEEPER, '"reload" if len(keys) > 1 else "cold"', '"cold"', LOADS),
    Mutant(_VALIDITY, "prompt < words", "prompt < 0", f"{INJECTED} -k says_of"),
    Mutant(
        _VALIDITY, "full = prompt + answer > num_ctx + 1", "full = False", f"{INJECTED} -k says_of"
    ),
    Mutant(_VALIDITY, "answer < max_tokens and", "False and", f"{INJECTED} -k says_of"),
    Mutant(_VALIDITY, "there < size and", "False and", f"{INJECTED} -k model_lies"),
    Mutant(_VALIDITY, "or around.on_gpu", "", f"{INJECTED} -k model_lies"),
    Mutant(_VALIDITY, "and not around.may_spill", "", f"{INJECTED} -k model_lies"),
    Mutant(_VALIDITY, "!= KERNEL", "== KERNEL", f"{INJECTED} -k held_up"),
    Mutant(_VALIDITY, "one.loop_lag_s > LAG_S,", "False,", f"{INJECTED} -k held_up"),
    Mutant(_VALIDITY, "any(step.final.cached_tokens", "any(0", f"{INJECTED} -k prefix"),
    Mutant(_VALIDITY, "abs(one.clock_set_s) > CLOCK_SET_S", "False", f"{INJECTED} -k is_set"),
    Mutant(_KEEPER, 'record.error == "unauthorised"', "False", f"{INJECTED} -k wants_a_key"),
    Mutant(_KEEPER, "now.num_ctx != then", "False", f"{INJECTED} -k context_that"),
    Mutant(_KEEPER, "if self.restarted(server):", "if False:", f"{INJECTED} -k restarted"),
    Mutant(_KEEPER, "stamp and stamp in stamps", "False", f"{INJECTED} -k two_addresses"),
    Mutant(_BLOCK, "then and now and then != now", "False", f"{INJECTED} -k context_that"),
    Mutant(
        _BLOCK,
        "await confirm(self.spec",
        "await asyncio.sleep(0) or (self.spec",
        f"{INJECTED} -k digest",
    ),
    Mutant(_BLOCK, 'if one.error == "unauthorised"', "if False", f"{INJECTED} -k wants_a_key"),
    Mutant(_BLOCK, '+= "oom" in each.reasons', "+= 0", f"{INJECTED} -k without_memory"),
    Mutant(_BLOCK, "each.reasons - LASTING", "each.reasons", f"{INJECTED} -k says_of"),
    Mutant(_BLOCK, "if not bench.unsafe(turn.config))", ")", f"{INJECTED} -k without_memory"),
    Mutant(
        "measure/siblings.py", 'row["error"] == "oom"', "False", f"{INJECTED} -k without_memory"
    ),
    Mutant(
        "measure/siblings.py", "invocation is not None and", "False and", f"{INJECTED} -k mid_study"
    ),
    Mutant("measure/run.py", "if not earlier.under_way:", "if False:", f"{INJECTED} -k mid_study"),
    Mutant(
        "measure/run.py",
        "for row in of_turn if slowed else ()",
        "for row in ()",
        f"{INJECTED} -k heat",
    ),
    Mutant("measure/telemetry.py", "said & _THROTTLES", "said", f"{INJECTED} -k heat"),
    Mutant(
        "measure/sampler.py",
        "HOT if hotter else None",
        "None",
        "tests/measure/test_telemetry.py -k heat",
    ),
    Mutant(
        "servers/open.py",
        "except NoAnswer as error:",
        "except ZeroDivisionError as error:",
        f"{INJECTED} -k mid_study",
    ),
    Mutant(
        "dataset/blocks.py",
        'row["error"] or row["invalid"]',
        'row["error"]',
        f"{INJECTED} -k slept",
    ),
    Mutant(
        "study/expand.py",
        "(lack := agent.lacks_room(num_ctx, moves))",
        "(lack := ())",
        "tests/study/test_refused.py",
    ),
    Mutant(
        "study/lock.py",
        "            if lack:\n",
        "            if False:\n",
        "tests/study/test_refused.py",
    ),
    Mutant(
        "analysis/validity.py",
        "left_out={str",
        "left_out={} and {str",
        "tests/report/test_show.py -k first_screen",
    ),
    *_each(
        "wire/stream.py",
        "tests/wire",
        {
            "if response.status != 200:": "if False:",
            'if coding not in ("", "identity"):': "if False:",
            "if self.framing.waiting > MAX_LINE_BYTES:": "if False:",
            "if not grace.expired():": "if True:",
            "if head.startswith(magic):": "if False:",
            'if head.startswith(b"<"):': "if False:",
            "if self.driver.framing is not Lines and": "if False and",
            "failure(json.loads(said))": "None",
            "if heard.content or (heard.ends and heard.final):": "if False:",
            "or (heard.ends and heard.final)": "or heard.ends",
            "elif heard.content or heard.final or heard.ends:": "elif heard.content:",
            "if heard.error is not None:": "if False:",
            "len(self.text) > self.most_pieces or": "",
            "or self.characters > most:": ":",
            "self.strange = heard.strange or self.strange": "pass",
            'if name == b"error":': "if False:",
            'if not data.strip() or (name not in (b"", b"message") and': "if (",
            '(name not in (b"", b"message") and data.lstrip()[:1] not in b"{["):': "False:",
            'if not self.messages and self.kind.endswith("/json"):': "if False:",
            "if self.last_read < 0:": "if False:",
            "if self.strange and self.final.stop_reason is None:": "if False:",
            "if not self.ended and not self.complete:": "if False:",
            "if not self.ended and not": "if not self.ended or not",
            'if not self.messages and self.head != b"" and not typed:': "if False:",
            "if not self.chunk_reads:": "if False:",
            "if self.final.answer_tokens is None:": "if False:",
            "httpcore.RemoteProtocolError) and first and": "httpcore.ReadError) and first and",
            '"stalled" if self.last_read >= 0 else "no_first_byte"': '"stalled"',
            'if "without sending a response" in text:': "if False:",
            '"truncated_chunked" if "incomplete" in text else "protocol"': '"protocol"',
            "self.last_read if error else self.end_read": "self.last_read",
            'StreamFault("count_contradicts", why) if why else None': "None",
            'error = error or StreamFault("bad_utf8", "half a surrogate pair")': "pass",
            "sanitise(unkeyed(detail))": "sanitise(detail)",
            "self.detail = sanitise(": "self.detail = (",
            "unkeyed(repr(data[:_MAX_REFUSAL_BYTES]))[:80]": "repr(data)[:80]",
            "if len(said) > _MAX_REFUSAL_BYTES:": "if False:",
            "if 300 <= status < 400:": "if False:",
            'if text.lstrip().startswith("<"):': "if False:",
            '"oom" if _OUT_OF_MEMORY.search(text) else "server_error"': '"server_error"',
        },
    ),
    *_each(
        "wire/framing.py",
        "tests/wire",
        {
            'if self._after_cr and data.startswith(b"\\n"):': "if False:",
            'data.endswith(b"\\r")': "False",
            '.replace(b"\\r", b"\\n")': "",
            "lines[0] = lines[0].removeprefix(_BYTE_ORDER_MARK)": "pass",
            "if lines and self._first:": "if lines:",
            "if line.strip():": "if True:",
            'value = value.removeprefix(b" ")': "pass",
            'elif field == b"event":': "elif False:",
            'elif field == b"error":': "elif False:",
            "if self._data != [END]:": "if True:",
            'b"\\n".join(self._data)': 'b"".join(self._data)',
            "self._name, self._read)": "self._name, read)",
            'self._data, self._name = [], b""': "self._data = []",
            'yield from self._line(b"", read)': "yield from ()",
            "        if self._rest:": "        if False:",
            "+ sum(map(len, self._data))": "",
        },
    ),
    *_each(
        "wire/record.py",
        "tests/wire",
        {
            "if answer_tokens is None or not known or": "if answer_tokens is None or",
            "if rise and": "if",
            "rise and known[-1] <= answer_tokens else": "rise else",
            "if tokens < chunks:": "if False:",
            "if tokens > max_tokens:": "if False:",
            "if tokens > chunks and tokens > _MAX_RATE": "if tokens > _MAX_RATE",
            "> _MAX_RATE * took_s:": "> math.inf:",
            "if not 0 <= count < _MAX_NUMBER:": "if False:",
        },
    ),
    *_each(
        "wire/key.py",
        "tests/wire/test_connections.py",
        {
            "not _KEY.fullmatch(key) or": "",
            "or _ESCAPED.search(key)": "",
            "(?:25)*": "",
            "|&#0*{code};|": "|",
            "|&#x0*{code:x};": "",
            "{coded}){named})": "{coded}))",
            "range(3)": "range(1)",
            "(0, 2, 3)[before]": "0",
            "- bool((before + len(key)) % 3)": "",
            '{"+": "+-", "/": "/_"}.get(c, c)': "c",
            "if 2 * len(key) >= _LEAST_CODED:": "if False:",
            "{unkeyed(name): unkeyed_json(one)": "{name: unkeyed_json(one)",
        },
    ),
    *_each(
        "wire/openai.py",
        "tests/wire",
        {
            "if data.strip() == END:": "if False:",
            '"reasoning_content", "reasoning")': '"reasoning_content")',
            "timed(message).joined(counts)": "counts",
            '"stream_options": {"include_usage": True},': "",
            "if ask.fixed:": "if False:",
            'part(usage, "prompt_tokens_details").get("cached_tokens")': "None",
        },
    ),
    *_each(
        "steps.py",
        "tests/metrics/test_executions.py tests/wire/test_real_servers.py",
        {
            "if not ordered or": "if",
            "or not math.isfinite(self.end_s - self.request_s)": "",
            "or self.tokens < 0:": ":",
            "if arrived and arrived[0] <= 1:": "if arrived:",
            "and self._together > 1 else": "else",
            "fits = of_server <=": "fits = True or of_server <=",
            "fits = fits and": "fits = fits or",
            "if fits and self.tokens > 1 and": "if fits and",
            "> (self.tokens - 1) * _BURST_S:": "> 0:",
            "if not chunks <= self.tokens <=": "if not self.tokens <=",
            "max(self._arrived[1] - self._arrived[0], 0)": "self._arrived[1]",
            "by_arrival and self._together == 1 and not": "by_arrival and not",
            "self._together == 1 and not self._held_back:": "self._together == 1:",
            "<= chunks + max(1, self.tokens // _UNSEEN):": ":",
            "self.tokens // _UNSEEN": "0",
            "self.chunk_tokens[self._together - 1], ": "self.chunk_tokens[0], ",
        },
    ),
    *_each(
        "dataset/identity.py",
        "tests/dataset/test_identity.py",
        {
            "if not _is_of(file.rows, RUN_FILE):": "if False:",
            'if is_repeated(file.rows, KEY_OF["executions"]):': "if False:",
            "if name != path.name:": "if False:",
            'if blocks != [block | {"session": path.parent.name}]:': "if False:",
            "if not measured <= configs:": "if False:",
            "if not path.name.startswith(f\"{note_of(table).get('tables')}.\") or (": "if (",
            "columns and not _is_of(table, columns)": "False",
            'if f".{digest(content)}." in path.name:': "if True:",
        },
    ),
)


def dies(mutant: Mutant, folder: Path) -> bool:
    """Whether a test fails on the copy of the package in ``folder`` with this mutant in it.

    ValueError if the snippet is not there exactly once: the code moved on, and this table did not.
    """
    file = folder / mutant.file
    text = file.read_text(encoding="utf-8")
    if text.count(mutant.snippet) != 1:
        raise ValueError(f"{mutant.file} has {mutant.snippet!r} {text.count(mutant.snippet)} times")
    file.write_text(text.replace(mutant.snippet, mutant.other), encoding="utf-8")
    try:
        return not passes(mutant.tests, folder)
    finally:
        file.write_text(text, encoding="utf-8")


def passes(tests: str, folder: Path) -> bool:
    """Whether ``tests`` pass on the copy in ``folder``; ValueError if there are none that ran."""
    words = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests.split()]
    environment = {**os.environ, "PYTHONPATH": str(folder.parent)}
    done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, check=False)  # noqa: S603 - our own tests, no shell
    if done.returncode not in (0, 1):
        raise ValueError(f"pytest {tests}: exit {done.returncode}")
    return done.returncode == 0


def survivors(mutants: tuple[Mutant, ...]) -> Iterator[Mutant]:
    """The mutants that no test notices; each is printed with what became of it."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place, "tandembench")
        shutil.copytree(ROOT / PACKAGE.parent, place, dirs_exist_ok=True)
        for tests in dict.fromkeys(one.tests.partition(" ")[0] for one in mutants):
            if not passes(tests, folder):
                raise ValueError(f"{tests} fails as it is: no mutant can be told from that")
        for one in mutants:
            killed = dies(one, folder)
            print(
                f"{'dies ' if killed else 'LIVES'} {one.file}: {one.snippet.strip()} ({one.tests})"
            )
            if not killed:
                yield one


if __name__ == "__main__":
    chosen = tuple(one for one in MUTANTS if not sys.argv[1:] or sys.argv[1] in one.file)
    sys.exit(bool(list(survivors(chosen))))
