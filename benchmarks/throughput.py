"""Tokens a second of the engine against a bare llama-cpp-python loop over the same model, taken in turns."""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys

from benchmarks.engine import find_model, parser, plain_prompt, running, write
from benchmarks.verdict import say
from lorebook_daemon.engine.threads import physical_cores

TOKENS = 96
ROUNDS = 3
TEXT = "Write a long story about a well, without an end."

BARE = """
import json, sys, time
from llama_cpp import Llama
path, text, tokens, threads, n_ctx = json.loads(sys.argv[1])
llm = Llama(path, n_ctx=n_ctx, n_threads=threads, n_threads_batch=threads, verbose=False)
prompt = llm.tokenize(f"<|im_start|>user\\n{text}<|im_end|>\\n<|im_start|>assistant\\n".encode(), special=True)
count, start = 0, None
for token in llm.generate(prompt, temp=0.0):
    start = start or time.perf_counter()
    count += 1
    if count > tokens:
        break
print((count - 1) / (time.perf_counter() - start))
"""


def bare(path: str, n_ctx: int) -> float:
    """Return tokens a second of the library's own loop, in a process of its own."""
    argument = json.dumps([path, TEXT, TOKENS, physical_cores(), n_ctx])
    done = subprocess.run([sys.executable, "-c", BARE, argument], capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


async def main() -> None:
    """Print both speeds of each round, and the ratio of their medians."""
    options = parser(__doc__).parse_args()
    model = find_model(options.model)
    print(model.name)
    ours: list[float] = []
    theirs: list[float] = []
    for _ in range(1 if options.quick else ROUNDS):
        async with running(model, threads=physical_cores()) as engine:
            written = await write(engine, plain_prompt(TEXT), TOKENS + 1)
            ours.append((written.tokens - 1) / (written.times[-1] - written.times[0]))
            n_ctx = engine.n_ctx
        theirs.append(bare(str(model.path), n_ctx))
        print(f"lorebook {ours[-1]:6.1f}   bare {theirs[-1]:6.1f} tokens a second")
    say("tokens a second ÷ bare loop", statistics.median(ours) / statistics.median(theirs), at_least=0.97)


if __name__ == "__main__":
    asyncio.run(main())
