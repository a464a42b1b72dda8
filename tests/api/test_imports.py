import subprocess
import sys


def test_the_contract_and_the_widgets_import_nothing_heavy() -> None:
    code = "import sys, lorebook_api.client, lorebook; print(*sys.modules)"
    loaded = set(
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    )
    heavy = {"torch", "numpy", "fastapi", "uvicorn", "llama_cpp", "IPython", "ipywidgets", "rich", "psutil"}
    assert not loaded & heavy
    assert not any(name.startswith("lorebook_daemon") for name in loaded)
