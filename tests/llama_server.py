"""A real llama-server, out of the xllamacpp package, in a process of its own: the engine elsewhere in the tests."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path


@contextlib.contextmanager
def llama_server(model: Path, adapters: Sequence[Path] = (), n_ctx: int = 2048, threads: int = 1) -> Iterator[str]:
    """Serve `model` at a free port of the loopback interface; adapters act only where a request says so."""
    options = {"model": str(model), "adapters": list(map(str, adapters)), "n_ctx": n_ctx, "threads": threads}
    command = [sys.executable, __file__, json.dumps(options)]
    # Threads that wait by spinning take the very core that the other engine needs.
    environment = {**os.environ, "OMP_WAIT_POLICY": "passive"}
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        assert process.stdin and process.stdout
        url = process.stdout.readline().decode().strip()
        assert url.startswith("http://127.0.0.1:"), "llama-server did not start"
        try:
            yield url
        finally:
            process.stdin.close()  # which ends it
            process.wait()


def main(model: str, adapters: list[str], n_ctx: int, threads: int) -> None:
    """Be the server until standard input ends."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = model
    params.lora_adapters = [xllamacpp.CommonAdapterLoraInfo(path, 0.0) for path in adapters]
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.n_ctx = n_ctx
    params.n_parallel = 4
    params.kv_unified = True
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
    params.ui = False
    server = xllamacpp.Server(params)
    sys.stdout.write(f"{server.listening_address}\n")
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    main(**json.loads(sys.argv[1]))
