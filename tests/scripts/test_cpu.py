"""cmake's arguments follow what the processor announces; AMX is among them where it was tried and works."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts import cpu

HASWELL = "sse4_2 avx f16c fma avx2 bmi2"
SKYLAKE_X = f"{HASWELL} avx512f avx512cd avx512vl avx512dq avx512bw"
SAPPHIRE = f"{SKYLAKE_X} avx_vnni avx512_vnni avx512vbmi avx512_bf16 amx_tile amx_int8 amx_bf16"
WHOLE_512 = {"GGML_AVX512", "GGML_SSE42", "GGML_AVX", "GGML_F16C", "GGML_FMA", "GGML_AVX2", "GGML_BMI2"}

PROCESSORS = {
    "nehalem": ("sse4_2", {"GGML_SSE42"}),
    "sandy bridge": ("sse4_2 avx", {"GGML_SSE42", "GGML_AVX"}),
    "haswell": (HASWELL, WHOLE_512 - {"GGML_AVX512"}),
    "alder lake": (f"{HASWELL} avx_vnni", WHOLE_512 - {"GGML_AVX512"} | {"GGML_AVX_VNNI"}),
    "skylake-x": (SKYLAKE_X, WHOLE_512),
    "knights landing, half of avx512": (f"{HASWELL} avx512f avx512cd", WHOLE_512 - {"GGML_AVX512"}),
    "avx hidden by the hypervisor": ("sse4_2 fma f16c bmi2", {"GGML_SSE42", "GGML_BMI2"}),
    "bf16 without the rest of avx512": (f"{HASWELL} avx512_bf16", WHOLE_512 - {"GGML_AVX512"}),
    "sapphire rapids": (
        SAPPHIRE,
        WHOLE_512 | {"GGML_AVX_VNNI", "GGML_AVX512_VNNI", "GGML_AVX512_VBMI", "GGML_AVX512_BF16"},
    ),
}


def cpuinfo(*cores: str) -> str:
    return "".join(
        f"processor\t: {n}\nvendor_id\t: X\nflags\t\t: fpu {flags} xsave\nbugs\t\t: none\nvmx flags\t: avx2\n\n"
        for n, flags in enumerate(cores)
    )


def switched_on(arguments):
    return {part.removeprefix("-D").removesuffix("=ON") for part in arguments if part.endswith("=ON")}


@pytest.mark.parametrize("name", PROCESSORS)
def test_a_processor_gets_what_it_announces(name):
    flags, wanted = PROCESSORS[name]
    arguments = cpu.choose_arguments("Linux", "x86_64", cpuinfo(flags, flags), lambda: False)
    assert switched_on(arguments) == wanted
    assert arguments[0] == "-DGGML_NATIVE=OFF"


def test_what_one_core_lacks_is_off():
    assert switched_on(cpu.choose_arguments("Linux", "x86_64", cpuinfo(SKYLAKE_X, "sse4_2 avx"))) == {
        "GGML_SSE42",
        "GGML_AVX",
    }


def test_everything_not_on_is_off_by_name():
    arguments = cpu.choose_arguments("Linux", "x86_64", cpuinfo("sse4_2"))
    assert "-DGGML_AVX2=OFF" in arguments
    assert "-DGGML_AMX_TILE=OFF" in arguments
    assert len({part.split("=")[0] for part in arguments}) == len(arguments)


@pytest.mark.parametrize("text", ["", "processor: 0\n", "Features : fp asimd\n"])
def test_an_unreadable_x86_is_built_for_the_baseline(text):
    assert switched_on(cpu.choose_arguments("Linux", "x86_64", text)) == {"GGML_SSE42"}


@pytest.mark.parametrize(
    ("system", "machine"),
    [("Darwin", "arm64"), ("Darwin", "x86_64"), ("Windows", "AMD64"), ("Linux", "aarch64"), ("Linux", "riscv64")],
)
def test_other_machines_keep_the_defaults(system, machine):
    assert cpu.choose_arguments(system, machine, cpuinfo(SAPPHIRE)) == ()


@given(st.lists(st.sets(st.sampled_from([*SAPPHIRE.split(), "sse2", "avx512_fp16"])), min_size=1, max_size=4))
def test_tiles_that_are_refused_are_off(cores):
    text = cpuinfo(*(" ".join(core) for core in cores))
    arguments = cpu.choose_arguments("Linux", "x86_64", text, lambda: False)
    assert not any("AMX" in part for part in switched_on(arguments))
    assert sum("AMX" in part for part in arguments) == 2
    assert not any("CXX_FLAGS" in part for part in arguments)


@given(st.sets(st.sampled_from(SAPPHIRE.split())))
def test_tiles_that_work_are_on_where_all_that_they_need_is(announced):
    arguments = cpu.choose_arguments("Linux", "x86_64", cpuinfo(" ".join(announced)), lambda: True)
    on = announced >= cpu.FOR_TILES
    assert set(cpu.TILES) <= switched_on(arguments) if on else not set(cpu.TILES) & switched_on(arguments)
    assert ("-DCMAKE_CXX_FLAGS=-fno-tree-dse -fno-dse" in arguments) == on


def test_tiles_are_tried_only_where_they_are_announced():
    def tried():
        pytest.fail("compiled for nothing")

    cpu.choose_arguments("Linux", "x86_64", cpuinfo(SKYLAKE_X), tried)
    cpu.choose_arguments("Darwin", "arm64", cpuinfo(SAPPHIRE), tried)
