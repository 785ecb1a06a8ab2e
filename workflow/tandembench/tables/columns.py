"""Every column of every table, declared once: name, type, unit, description.

Units are also in the names (``_s``, ``_tokens``, ``_bytes``, ``_ns``); fractions run from 0 to 1.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import pyarrow as pa

from tandembench.metrics import RUN_METRICS
from tandembench.study.spec import Topology

TOPOLOGIES: tuple[str, ...] = get_args(Topology)
Kind = Literal["text", "integer", "number", "boolean", "time", "json", "steps", "samples"]


@dataclass(frozen=True, slots=True)
class Column:
    """One column; ``unit`` is "" where there is none, ``required`` means never null."""

    name: str
    kind: Kind
    unit: str
    description: str
    required: bool = False


_STEP = pa.struct(
    [
        pa.field("request_ns", pa.int64(), metadata={"unit": "ns after t0"}),
        pa.field("chunk_ns", pa.list_(pa.int64()), metadata={"unit": "ns after t0"}),
        pa.field("chunk_tokens", pa.list_(pa.int64()), metadata={"unit": "tokens so far"}),
        pa.field("end_ns", pa.int64(), metadata={"unit": "ns after t0"}),
        pa.field("prompt_tokens", pa.int64()),
        pa.field("answer_tokens", pa.int64()),
        pa.field("cached_tokens", pa.int64()),
        pa.field("stop_reason", pa.string()),
        pa.field("load_s", pa.float64()),
        pa.field("prompt_s", pa.float64()),
        pa.field("decode_s", pa.float64()),
        pa.field("error", pa.string()),
        pa.field("text", pa.string()),
    ]
)
_SAMPLE = (
    Column("t_ns", "integer", "ns after t0", "when the sample was taken", True),
    Column(
        "subject",
        "text",
        "",
        "server N, client, telemetry, others (not of this block), machine or gpu N",
        True,
    ),
    Column("cores", "number", "cores", "CPU that the subject used since the sample before"),
    Column("memory_bytes", "integer", "bytes", "resident memory; of machine and GPU: in use"),
    Column("clock_mhz", "number", "MHz", "mean clock of the cores, or a GPU's SM clock"),
    Column("utilisation", "number", "1", "part of the time in which a GPU computed"),
    Column("power_w", "number", "W", "power that a GPU draws"),
    Column("temperature_c", "number", "degrees C", "temperature of a GPU"),
    Column("throttle", "text", "", "what holds a GPU's clocks down, by NVML's names"),
)
_TYPES: dict[Kind, pa.DataType] = {
    "text": pa.string(),
    "json": pa.string(),
    "integer": pa.int64(),
    "number": pa.float64(),
    "boolean": pa.bool_(),
    "time": pa.timestamp("us", tz="UTC"),
    "steps": pa.list_(_STEP),
}


def _field(column: Column) -> pa.Field:
    """A column as Arrow has it; unit and description travel as its metadata."""
    return pa.field(
        column.name,
        _TYPES[column.kind],
        nullable=not column.required,
        metadata={"unit": column.unit, "description": column.description},
    )


_TYPES["samples"] = pa.list_(pa.struct([_field(column) for column in _SAMPLE]))

# A metric that is no number says so in place of its unit.
_KIND_OF_UNIT: dict[str, Kind] = {"boolean": "boolean", "string": "text"}

FLAGS = (
    "what was noticed and voids nothing: loop_lag, prefix_cache, clock_set; reload: the server "
    "loaded the model with other options than another agent of the run had it load; between commas"
)
KEYS = (
    Column("session", "text", "", "label under which the block was measured", True),
    Column("comparison", "text", "", "the configs that are measured side by side", True),
    Column("repetition", "integer", "", "repetition of the comparison (a block), from 1", True),
    Column("round", "integer", "", "round of the block, from 1", True),
    Column("config_id", "text", "", "id of the config", True),
    Column("twin", "boolean", "", "the config's second run of the round, on other servers", True),
    Column("attempt", "integer", "", "attempt at this round, from 1", True),
)
BLOCK = (
    Column("scenario", "text", "", "scenario of the config", True),
    Column("topology", "text", "", "serial, single, single_parallel or dual", True),
    Column("n_agents", "integer", "", "number of agents", True),
    Column("work_policy", "text", "", "fixed or natural", True),
    Column("engine", "text", "", "what served the model", True),
    Column("workload", "text", "", "equal where agents, options and work are: may be compared"),
    Column("content", "text", "", "equal where all but the id is: the same config under two names"),
    Column("started_at", "time", "UTC", "wall clock at the start of the run or solo", True),
    Column("block_s", "number", "s", "first warm-up request of the block to its last byte"),
    Column("position", "integer", "", "place among the runs and solos of the block, from 0"),
    Column("deployment", "text", "", "equal where configs of a block share their servers"),
    Column("placement", "text", "", "together: servers stay up for a block; in_turn: for a run"),
    Column("invocation", "text", "", "id of the workflow's invocation"),
    Column("boot_id", "text", "", "id of the machine's boot"),
)
EXECUTION = (
    Column("agent", "text", "", "name of the agent", True),
    Column("agent_index", "integer", "", "place of the agent in the config, from 0", True),
    Column("mode", "text", "", "solo or concurrent", True),
    Column("endpoint", "text", "", "URL of the server"),
    Column("server", "integer", "", "index of the server in the config, from 0"),
    Column(
        "server_life", "text", "", "changes when a running server is restarted; null: not known"
    ),
    Column("engine_version", "text", "", "version of the engine, as it says"),
    Column("model", "text", "", "model as asked for", True),
    Column("model_digest", "text", "", "what identifies the model's weights"),
    Column("options_asked", "json", "", "options that were sent, JSON"),
    Column("options_effective", "json", "", "options that the server says it applied, JSON"),
    Column("num_ctx_effective", "integer", "tokens", "context of a slot, as the server says"),
    Column("slots", "integer", "", "slots of the server"),
    Column("threads", "integer", "", "compute threads of the server"),
    Column("wait_policy", "text", "", "how idle compute threads wait: brief or passive"),
    Column(
        "max_tokens",
        "integer",
        "tokens",
        "answer tokens asked for, each step; null: no limit known",
    ),
    Column("work_effective", "text", "", "fixed, capped or natural: the work that was done"),
    Column(
        "prompt_words", "integer", "words", "words of all prompts: they have as many tokens or more"
    ),
    Column("nonce", "text", "", "12 digits that start the prompt"),
    Column("nonce_policy", "text", "", "shared by all runs of a round, or each run's own"),
    Column("seed", "integer", "", "sampling seed"),
    Column("clock", "text", "", "where arrival times were taken"),
    Column(
        "client_cpu_s", "number", "s", "CPU of the client while it ran; a run's agents share it"
    ),
    Column("loop_lag_s", "number", "s", "longest wait of a timer in the client, to 1 ms"),
    Column("foreign_cores", "number", "cores", "CPU that others used meanwhile"),
    Column(
        "process_unknown",
        "text",
        "",
        "why the server's processes, and so foreign_cores, are not known: elsewhere, permission, "
        "forwarded or client",
    ),
    Column("server_memory_bytes", "integer", "bytes", "memory of the config's servers together"),
    Column("model_bytes", "integer", "bytes", "memory of the loaded model, as the server says"),
    Column(
        "model_gpu_bytes",
        "integer",
        "bytes",
        "part of that on a GPU, as it says; 0 if it opened none",
    ),
    Column("slept_s", "number", "s", "how long the machine slept meanwhile"),
    Column("clock_set_s", "number", "s", "by how much the wall clock was set meanwhile"),
    Column(
        "cold",
        "boolean",
        "",
        "the server loaded the model inside this execution, not for other options of another agent "
        "(flag reload): it says a load time above the lowest gap (a factor of 2 or more; below 0.1 "
        "s none) between its load times of that model, in the block or the imported data",
    ),
    Column("flags", "text", "", FLAGS),
    Column("invalid", "text", "", "reason code of a complete execution that gives no number"),
    Column("error", "text", "", "reason code; null if complete"),
    Column("detail", "text", "", "what the fault said, sanitised"),
)
PHASE = Column("phase", "text", "", "phase under which the study lists the config", True)
VALID = (
    Column("valid", "boolean", "", "the run, or the solo, is complete, and has metrics", True),
    Column("reason", "text", "", "why it is void: agent, mode, reason code"),
)
RUN_FILE = (
    *KEYS,
    *BLOCK,
    *EXECUTION,
    Column("steps", "steps", "ns after t0", "LLM calls: stamps, counts, server's durations"),
    Column("telemetry", "samples", "ns after t0", "samples; a run's stand with its first agent"),
)
TELEMETRY = (
    *KEYS,
    PHASE,
    Column("mode", "text", "", "solo or concurrent", True),
    Column("agent", "text", "", "who ran; null in concurrent executions, which are of all"),
    *_SAMPLE,
)
TOKENS = (
    *KEYS,
    PHASE,
    Column("mode", "text", "", "solo or concurrent", True),
    Column("agent", "text", "", "name of the agent", True),
    Column("step", "integer", "", "LLM call of the execution, from 0", True),
    Column("chunk", "integer", "", "place of the chunk in the execution, from 0", True),
    Column("t_ns", "integer", "ns after t0", "arrival; a solo's t0 is its own", True),
)
EXECUTIONS = (
    *KEYS,
    PHASE,
    *BLOCK,
    *EXECUTION,
    *VALID,
    Column("n_steps", "integer", "", "LLM calls of the execution"),
    Column("prompt_tokens", "integer", "tokens", "prompt tokens of all steps, the server's count"),
    Column("cached_tokens", "integer", "tokens", "prompt tokens that came from a cache"),
    Column("load_s", "number", "s", "model load, the server's figure, summed over steps"),
    Column("prompt_s", "number", "s", "prompt evaluation, the server's figure, summed"),
    Column(
        "server_decode_s", "number", "s", "decoding after the first token, the server's, summed"
    ),
    Column("answer_tokens", "integer", "tokens", "answer tokens of all steps, the server's count"),
    Column("duration_s", "number", "s", "d: first write to last chunk, summed over steps"),
    Column("ttft_s", "number", "s", "first write of the first step to its first content"),
    Column("first_token_s", "number", "s", "waits for first content, summed over steps"),
    Column("first_token_start_s", "number", "s", "start of the run to the agent's first content"),
    Column("service_order", "integer", "", "whose first content came when, from 1; null in solos"),
    Column("decode_s", "number", "s", "first to last content, summed over steps"),
    Column("coalesced", "integer", "chunks", "chunks that arrived together with the one before"),
    Column(
        "first_chunk",
        "text",
        "",
        "what came first: a token; a burst of chunks, or a bundle of unseen tokens: then it is not "
        "known when the first token was there",
    ),
    Column("rest_s", "number", "s", "duration_s less first_token_s and decode_s"),
    Column("queue_s", "number", "s", "waits for a slot of the server, summed; null in solos"),
    Column(
        "reload_s",
        "number",
        "s",
        "loading the model anew with other options than another agent's, without the wait for that "
        "agent; null in solos",
    ),
    Column("overlap_s", "number", "s", "decoding while another agent decodes; null in solos"),
    Column("alone_s", "number", "s", "decoding while no other agent does; null in solos"),
    Column(
        "decode_rate_tokens_per_s", "number", "tokens/s", "(n-1)/(t_last-t_first), steps pooled"
    ),
    Column(
        "rate_basis",
        "text",
        "",
        "what the decode rate rests on: arrival, or the server's duration; null without a rate",
    ),
    Column("gap_p50_s", "number", "s", "median gap between chunks"),
    Column("gap_p90_s", "number", "s", "90th percentile of the gaps; null under 64 gaps"),
    Column("gap_max_s", "number", "s", "longest gap between chunks"),
    Column("solo_s", "number", "s", "s: what the same work takes alone; null in solos"),
    Column("slowdown", "number", "1", "duration_s over solo_s; null in solos"),
    Column("solo_basis", "text", "", "what solo_s rests on: paired, token_normalised or none"),
)
RUNS = (
    *KEYS,
    PHASE,
    *BLOCK,
    *VALID,
    Column("cold", "boolean", "", "a model was loaded inside the run"),
    Column(
        "work_effective", "text", "", "fixed if every agent did fixed work, else capped, natural"
    ),
    Column(
        "equal_work_share",
        "number",
        "1",
        "part of the tokens asked for that every answer of the round has; null at natural work",
    ),
    Column("equal_work_s", "number", "s", "barrier release until all agents had that part"),
    Column("prompt_tokens", "integer", "tokens", "prompt tokens of all agents"),
    Column("answer_tokens", "integer", "tokens", "answer tokens of all agents"),
    Column("cached_tokens", "integer", "tokens", "prompt tokens that came from a cache"),
    Column("loop_lag_s", "number", "s", "longest wait of a timer in the client, to 1 ms"),
    Column("flags", "text", "", FLAGS),
    Column("start_skew_s", "number", "s", "first to last agent's first write; null if serial"),
    Column("client_cpu_s", "number", "s", "CPU of the client during the run"),
    Column("foreign_cores", "number", "cores", "CPU that others used during the run"),
    Column("disturbed", "boolean", "", "others used more than 0.1 cores in this round"),
    Column("server_memory_bytes", "integer", "bytes", "memory of the config's servers together"),
    Column("reloads", "integer", "loads", "loads of the model for other options of another agent"),
    Column("reload_s", "number", "s", "what those took, without waits for the other agent"),
    # Metrics of a run declare their unit and description beside their formulas.
    *(
        Column(
            name,
            _KIND_OF_UNIT.get(unit, "number"),
            "" if unit in _KIND_OF_UNIT else unit,
            description,
        )
        for name, (unit, description) in RUN_METRICS.items()
    ),
)
# What only the whole study can say of a run.
STUDY_RUNS = (
    *RUNS,
    Column("reference_config_id", "text", "", "the config that makespan_ratio compares with"),
    Column(
        "makespan_ratio",
        "number",
        "1",
        "reference's equal_work_s over this one's, same invocation and round",
    ),
    # What only a source can say of it.
    Column("contention_source", "boolean", "", "the source's own contention flag, by its own rule"),
    Column("runner", "text", "", "what ran the agents, where a source compares several: a factor"),
    Column("client_version", "text", "", "the source's language or client, with its version"),
    Column("client_platform", "text", "", "operating system and architecture of the client"),
    Column("process_run", "integer", "", "number of the run in its process of the client, from 1"),
)
# What claims can name besides: reports speak of it, and datasets have it only by agent.
_ASKED = (
    ("num_gpu", "layers", "layers to load on the GPU"),
    ("num_ctx", "tokens", "context"),
    ("temperature", "", "sampling temperature"),
)
_BLOCK_NUMBER = Column("block", "integer", "", "one repetition of one comparison, numbered")
OF_EXECUTIONS = (
    *(Column(name, "number", unit, f"{words}, as asked") for name, unit, words in _ASKED),
    _BLOCK_NUMBER,
)
OF_RUNS = (
    *(
        Column(f"{name}{end}", "number", unit, f"{words}, as asked: {whose}")
        for end, whose in (("", "the first agent's that has it set"), ("_max", "the largest"))
        for name, unit, words in _ASKED
    ),
    _BLOCK_NUMBER,
    Column("ended_at", "time", "", "UTC time at which the run ended"),
    Column("model", "text", "", "model of the agents; 'A and B' if they differ"),
    Column("endpoints", "integer", "servers", "servers that were asked"),
    Column("n_steps", "integer", "", "LLM calls of an agent, the most"),
    Column("overlap_s", "number", "s", "decoding while the other agent decodes"),
    Column("load_min_s", "number", "s", "the shortest model load of the agents"),
    Column("ttft_rise_s", "number", "s", "ttft_s above that agent's median, the most"),
    Column("first_token_delta_s", "number", "s", "first token, mean of calls: first less second"),
    Column(
        "server_rate_delta_tokens_per_s",
        "number",
        "tokens/s",
        "decode rate by the server's own time: second agent less first",
    ),
)
# What is said of a number that a report prints, as text.
OF_PRINT = ("report", "section", "table", "scope", "subject", "statistic", "printed", "note")
# By table: the columns that claims can name as stored, and those computed for them.
CLAIMED = {"runs": (STUDY_RUNS, OF_RUNS), "executions": (EXECUTIONS, OF_EXECUTIONS)}


RATES = (
    Column("scenario", "text", "", "scenario; null: all together"),
    Column("topology", "text", "", "topology", True),
    Column("runs", "integer", "runs", "warm runs that the rates rest on", True),
    Column("alone_share", "number", "1", "part of all decoding with no other agent decoding", True),
    *(
        Column(f"{name}{bound}", "number", unit, f"{words}{says}", not bound)
        for name, unit, words in (
            ("shared_tokens_per_s", "tokens/s", "decode rate beside another agent"),
            ("solo_tokens_per_s", "tokens/s", "decode rate alone"),
            ("gain_overlap", "1", "2 shared / solo: what two at once make of what one makes"),
        )
        for bound, says in (("", ""), ("_low", ", 95 % bound"), ("_high", ", 95 % bound"))
    ),
)


# What the rows of a table are told apart by. Telemetry has no key: a solo's agent would be part of
# it, and is null in a run.
_RUN = tuple(column.name for column in KEYS)
KEY_OF: Mapping[str, tuple[str, ...]] = {
    "runs": _RUN,
    "executions": (*_RUN, "agent", "mode"),
    "tokens": (*_RUN, "agent", "mode", "chunk"),
}


def arrow_schema(columns: Sequence[Column], title: str) -> pa.Schema:
    """The Arrow schema of a table; units and descriptions travel as field metadata."""
    return pa.schema([_field(column) for column in columns], metadata={"title": title})
