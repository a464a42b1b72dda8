// Multiplies two matrices of ones with AMX, as llama.cpp does: in this thread and in another. Exits with 0 where that is allowed and right.
// Built with the flags that the engine is built with: gcc 12's _tile_loadconfig names eight of the sixty-four bytes that it
// reads, so that the optimiser drops the stores to the others (llama.cpp, pull request 26954), and a tile that was never shaped is the end.
#include <cstdint>
#include <immintrin.h>
#include <sys/syscall.h>
#include <thread>
#include <unistd.h>

struct Shapes {
    uint8_t palette = 0, start_row = 0, reserved[14] = {};
    uint16_t row_bytes[16] = {};
    uint8_t rows[16] = {};
};

__attribute__((noinline)) static void shape() {
    alignas(64) Shapes shapes = {};
    shapes.palette = 1;
    shapes.rows[0] = 16, shapes.row_bytes[0] = 64;
    shapes.rows[2] = 16, shapes.row_bytes[2] = 64;
    shapes.rows[4] = 16, shapes.row_bytes[4] = 64;
    _tile_loadconfig(&shapes);
}

static void multiply(bool *right) {
    int8_t ones[16 * 64];
    int32_t sums[16 * 16] = {};
    for (int8_t &one : ones) one = 1;
    shape();
    _tile_zero(4);
    _tile_loadd(2, ones, 64);
    _tile_loadd(0, ones, 64);
    _tile_dpbssd(4, 2, 0);
    _tile_stored(4, sums, 64);
    *right = true;
    for (int32_t sum : sums) *right = *right && sum == 64;
}

int main() {
    const long ask_for_permission = 0x1023, tile_data = 18; // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
    if (syscall(SYS_arch_prctl, ask_for_permission, tile_data)) return 1;
    bool here = false, there = false;
    multiply(&here);
    std::thread(multiply, &there).join();
    return here && there ? 0 : 1;
}
