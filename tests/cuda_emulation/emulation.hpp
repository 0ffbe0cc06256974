// Between the scheduler, which runs CUDA threads, the detectors, which see what they access, and
// the reports.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>
#include <string>
#include <vector>

namespace cuda_emulation {

constexpr unsigned warp_size = 32, most_threads = 1024;
constexpr int64_t most_shared_bytes = 48 * 1024;

// What runs now. Epochs count barriers over the life of the process, so that a number tells launch,
// block and barrier at once; 0 to 2 are kept for memory without, with host-written content.
struct Now {
    bool running = false;
    unsigned thread = 0, n_threads = 0, block = 0;
    uint32_t epoch = 2, block_epoch = 2, launch_epoch = 2;
    uint16_t warp_epoch[most_threads / warp_size] = {};
    uintptr_t stack = 0;      // of the running thread
    uintptr_t arguments = 0;  // of the kernel
    size_t argument_bytes = 0, shared_bytes = 0;
    std::string kernel, schedule;
};
extern Now now;
constexpr size_t stack_bytes = 128 * 1024;

// --- scheduler.cpp
void set_schedule(std::string const& name);  // cycle, forward, reverse or a seed
struct Launch {
    std::string kernel;
    int64_t wanted_blocks, threads, shared_bytes;
};
extern std::vector<Launch> launched;  // since it was emptied
[[noreturn]] void abandon();          // ends the launch from within a CUDA thread

// --- detectors.cpp: memory
uintptr_t allocate(size_t bytes, bool initialised);
void release(uintptr_t address);
void mark(uintptr_t address, size_t bytes, bool written);
int64_t first_unwritten(uintptr_t address, size_t bytes);
size_t live_buffers();
void* shared_base();
void begin_block();  // poisons shared memory
void begin_launch();
enum class Access : uint8_t { read, write, atomic };
void access(void const* address, size_t bytes, Access, void const* site);
std::string describe(uintptr_t address);  // buffer + offset
bool is_shared(uintptr_t address);

// --- reports.cpp: findings of a launch, and counts of its memory accesses
void report(char const* kind, std::string const& text, void const* site);
void throw_findings();                // if there were any
bool is_constant(uintptr_t address);  // in memory that the process cannot write

struct Traffic {
    std::string kernel, kind, where;  // kind: global read, shared write, ...; where: file:line
    uint64_t accesses, sectors, ideal_sectors, worst_conflict;
};
void count_accesses(bool wanted);
void count(void const* address, size_t bytes, Access, void const* site);
void count_block();
std::vector<Traffic> statistics();
void forget_statistics();
extern bool counting;

}  // namespace cuda_emulation
