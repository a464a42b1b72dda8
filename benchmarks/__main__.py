"""Runs the benchmarks that are named, or all of them: `python -m benchmarks [NAME]...`."""

from __future__ import annotations

import subprocess
import sys

NAMES = ("first_token", "throughput", "indexing", "retrieval", "answers", "injection")


def main() -> int:
    """Run each in a process of its own, one after another; return the first status that is not 0."""
    chosen = sys.argv[1:] or NAMES
    unknown = [name for name in chosen if name not in NAMES]
    if unknown:
        print(f"There is no benchmark {unknown[0]!r}; there are: {' '.join(NAMES)}", file=sys.stderr)
        return 2
    for name in chosen:
        print(f"\n== {name}", flush=True)
        code = subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=False).returncode
        if code:
            return code
    return 0


if __name__ == "__main__":
    sys.exit(main())
