"""Tokens a second of the engine against a bare llama-cpp-python loop over the same model, taken in turns."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time

from benchmarks.engine import chosen_model, running
from lorebook_api.schema import Sampling
from lorebook_daemon.engine.protocol import Finished, Message, Prompt
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
    environment = {**os.environ, "OMP_WAIT_POLICY": "passive"}  # as our own engine: only the loop is compared
    done = subprocess.run(
        [sys.executable, "-c", BARE, argument], capture_output=True, text=True, check=True, env=environment
    )
    return float(done.stdout.split()[-1])


async def main() -> None:
    """Print both speeds of each round, and the ratio of their medians."""
    model = chosen_model()
    print(model.name)
    prompt = Prompt((Message("user", TEXT),))
    ours: list[float] = []
    theirs: list[float] = []
    for _ in range(ROUNDS):
        async with running(model, threads=physical_cores()) as engine:
            start, count = 0.0, 0
            async for piece in engine.generate(prompt, Sampling(), TOKENS + 1):
                start = start or time.perf_counter()
                if isinstance(piece, Finished):
                    count = piece.usage.completion_tokens - 1
            ours.append(count / (time.perf_counter() - start))
            n_ctx = engine.n_ctx
        theirs.append(bare(str(model.path), n_ctx))
        print(f"lorebook {ours[-1]:6.1f}   bare {theirs[-1]:6.1f} tokens a second")
    ratio = sorted(ours)[ROUNDS // 2] / sorted(theirs)[ROUNDS // 2]
    print(f"lorebook ÷ bare {ratio:.3f}")


if __name__ == "__main__":
    asyncio.run(main())
