"""Builds the two dependencies that come as source only, and keeps the wheels.

pip would keep them too, but by address alone: a wheel built with other flags, on another processor, would be
taken for this one. Here the flags are part of the name under which a wheel is kept.
"""

from __future__ import annotations

import os
import platform
import shlex
import shutil
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path

from scripts.child import CountedPackages, read_download, read_ninja, run_logged
from scripts.cpu import arguments_here
from scripts.places import BUILD, CONSTRAINTS, ROOT, find_wheel_cache, python_of
from scripts.stamps import Stamps, make_key
from scripts.trouble import COMPILER, Trouble, advise

# The engine reads text: the image encoder would add a third of the compiling.
ENGINE_ARGUMENTS = ("-DLLAVA_BUILD=OFF",)


@dataclass(frozen=True)
class Wheel:
    """A wheel that is built here: `built_with` is whatever makes two builds of one version differ."""

    name: str
    version: str
    built_with: tuple[str, ...]

    @property
    def key(self) -> str:
        """The name that it is kept under."""
        machine = (sys.platform, platform.machine(), platform.python_version_tuple()[:2])
        return make_key(self.name, self.version, *machine, *self.built_with)

    @property
    def folder(self) -> Path:
        """Where it is kept."""
        return find_wheel_cache() / f"{self.name}-{self.version}-{self.key}"

    def find(self) -> Path | None:
        """Return the built wheel, or None before it is built."""
        return next(iter(sorted(self.folder.glob("*.whl"))), None)

    def keep(self, drafts: Path) -> Path:
        """Move the one wheel in `drafts` to where it is kept, whole or not at all."""
        built = next(drafts.glob("*.whl"))
        self.folder.mkdir(parents=True, exist_ok=True)
        draft = self.folder / f"{built.name}.{os.getpid()}"
        shutil.copyfile(built, draft)
        return draft.replace(self.folder / built.name)


def engine_wheel(version: str) -> Wheel:
    """Return what llama-cpp-python is to be for this processor; the person's own CMAKE_ARGS come last and win."""
    own = tuple(shlex.split(os.environ.get("CMAKE_ARGS", "")))
    return Wheel("llama-cpp-python", version, (*arguments_here(), *ENGINE_ARGUMENTS, *own))


def vectors_wheel(version: str) -> Wheel:
    """Return what hnswlib is to be: without -march=native, since a home folder may move to another processor."""
    return Wheel("hnswlib", version, ("HNSWLIB_NO_NATIVE=1",))


def check_compiler() -> None:
    """Raise Trouble before anything is downloaded where no C++ compiler can be found."""
    if sys.platform == "win32":
        return  # Visual Studio's is not on PATH; cmake finds it, or says that it did not.
    named = shlex.split(os.environ.get("CXX", ""))
    if not any(shutil.which(name) for name in (named[:1] or ("c++", "g++", "clang++"))):
        raise advise(COMPILER)


def build_vectors(python: Path, wheel: Wheel) -> Path:
    """Return hnswlib's wheel, built with the pip of `python` unless it is kept already (20 s)."""
    if (kept := wheel.find()) is not None:
        return kept
    check_compiler()
    drafts = _fresh(BUILD / "drafts-vectors")
    run_logged(
        "building the vector index",
        [python, "-m", "pip", "wheel", "--no-deps", "--no-cache-dir", "--no-binary", wheel.name, "-v",
         "--wheel-dir", drafts, f"{wheel.name}=={wheel.version}"],
        BUILD / "build-hnswlib.log",
        lambda line: None,
        dict(setting.split("=") for setting in wheel.built_with),
    )  # fmt: skip
    built = wheel.keep(drafts)
    shutil.rmtree(drafts)
    return built


def build_engine(python: Path, wheel: Wheel) -> Path:
    """Return llama-cpp-python's wheel, built with the pip of `python` unless it is kept already (minutes).

    The source and the build tree stand at fixed places, so that after an interrupt only what was not yet
    compiled is compiled; both are removed once the wheel is kept.
    """
    if (kept := wheel.find()) is not None:
        return kept
    check_compiler()
    work = BUILD / f"engine-{wheel.key}"
    tools = _build_tools(python, work)
    source = _unpack(_download(python, tools, wheel, work), work / "source")
    drafts = _fresh(work / "drafts")
    run_logged(
        "building the engine",
        [python, "-m", "pip", "--python", python_of(tools), "wheel", "--no-deps", "--no-cache-dir",
         "--no-build-isolation", "-v", "-C", f"build-dir={work / 'tree'}", "--wheel-dir", drafts, source],
        BUILD / "build-llama-cpp-python.log",
        read_ninja,
        _engine_environment(tools, wheel),
    )  # fmt: skip
    built = wheel.keep(drafts)
    shutil.rmtree(work)
    return built


def _engine_environment(tools: Path, wheel: Wheel) -> dict[str, str]:
    """Return the variables that the engine is built under."""
    return {
        "CMAKE_ARGS": shlex.join(wheel.built_with),
        # ninja's own default takes two more jobs than cores; each may take a gigabyte.
        "CMAKE_BUILD_PARALLEL_LEVEL": os.environ.get("CMAKE_BUILD_PARALLEL_LEVEL", str(os.cpu_count() or 1)),
        "NINJA_STATUS": "[%f/%t] ",
        "PATH": f"{python_of(tools).parent}{os.pathsep}{os.environ.get('PATH', '')}",
    }


def _build_tools(python: Path, work: Path) -> Path:
    """Return an environment with cmake, ninja and the build backend, made once and at a fixed place."""
    folder = work / "tools"
    stamps = Stamps(folder / "stamps")
    key = make_key(CONSTRAINTS.read_text(encoding="utf-8"))
    if stamps.read("tools") == key:
        return folder
    run_logged(
        "making the build tools' place",
        [python, "-m", "venv", "--without-pip", "--clear", folder],
        BUILD / "build-tools.log",
        lambda line: None,
    )
    run_logged(
        "bringing the build tools",
        [python, "-m", "pip", "--python", python_of(folder), "install", "--constraint", CONSTRAINTS,
         "--group", f"{ROOT / 'pyproject.toml'}:engine-build"],
        BUILD / "build-tools.log",
        CountedPackages(7),
    )  # fmt: skip
    stamps.mark("tools", key)
    return folder


def _download(python: Path, tools: Path, wheel: Wheel, work: Path) -> Path:
    """Return the source archive, downloaded unless it is there."""
    folder = work / "archive"
    if not folder.is_dir():
        drafts = _fresh(work / "archive-draft")
        run_logged(
            "bringing the engine's source",
            [python, "-m", "pip", "--python", python_of(tools), "download", "--no-deps", "--no-build-isolation",
             "--no-binary", wheel.name, "--progress-bar", "raw", "--dest", drafts, f"{wheel.name}=={wheel.version}"],
            BUILD / "download.log",
            read_download,
        )  # fmt: skip
        drafts.replace(folder)
    return next(folder.glob("*.tar.gz"))


def _unpack(archive: Path, folder: Path) -> Path:
    """Return the one folder inside `archive`, unpacked below `folder` unless it is there."""
    if not folder.is_dir():
        drafts = _fresh(folder.with_name("source-draft"))
        with tarfile.open(archive) as file:
            # Python 3.11.0 to 3.11.3 know no filters, and take what is in the file as it is.
            file.extraction_filter = getattr(tarfile, "data_filter", lambda member, path: member)
            file.extractall(drafts)  # noqa: S202 - the filter stands above
        drafts.replace(folder)
    found = [path for path in folder.iterdir() if path.is_dir()]
    if len(found) != 1:
        raise Trouble(f"{archive.name} does not hold one folder.", f"Delete {folder.parent} and type it again.")
    return found[0]


def _fresh(folder: Path) -> Path:
    """Return `folder`, empty."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
