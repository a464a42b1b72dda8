import subprocess
import sys

import pytest

HEAVY = {"torch", "numpy", "fastapi", "uvicorn", "llama_cpp", "IPython", "ipywidgets", "psutil", "lorebook_daemon"}


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        # httpx itself imports rich and click where they are installed: all the more reason to import it late.
        ("lorebook", HEAVY | {"httpx", "pydantic", "rich", "click"}),
        ("lorebook_api.client", HEAVY),
    ],
)
def test_what_a_kernel_imports_is_light(module: str, heavy: set[str]) -> None:
    code = f"import sys, {module}; print(*sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {name.partition(".")[0] for name in result.stdout.split()} & heavy
