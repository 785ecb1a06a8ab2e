"""Write the example result files that the agents read: SIMULATED, measured on no machine.

`python config/agents/make_data.py` writes the folder `data` beside this script, the same bytes
every time. Two model servers, each alone and both at once: a run draws its decode rate, and its
latency is a first token plus 128 tokens at that rate.
"""

import random
from pathlib import Path

SEED = 114
RUNS = 12
ANSWER_TOKENS = 128
# Tokens per second: lowest, highest, most likely.
RATES = {
    "alone_a": (66.0, 84.0, 78.0),
    "alone_b": (64.0, 82.0, 76.0),
    "both_a": (52.0, 74.0, 68.0),
    "both_b": (50.0, 73.0, 66.0),
}


def write(folder: Path) -> None:
    """Write one CSV file per entry of RATES into ``folder``, which is made if it is missing."""
    draw = random.Random(SEED)  # noqa: S311 - an example needs a seed, not secrecy
    folder.mkdir(parents=True, exist_ok=True)
    for name, (low, high, mode) in RATES.items():
        lines = ["run,latency_s,tokens_per_s"]
        for run in range(1, RUNS + 1):
            rate = draw.triangular(low, high, mode)
            first_token_s = draw.triangular(0.4, 0.9, 0.5)
            lines.append(f"r{run:02},{first_token_s + ANSWER_TOKENS / rate:.3f},{rate:.1f}")
        (folder / f"{name}.csv").write_bytes(("\n".join(lines) + "\n").encode())


if __name__ == "__main__":
    write(Path(__file__).parent / "data")
