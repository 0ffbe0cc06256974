// What CUDA threads access: __tsan_* hooks, which g++ -fsanitize=thread calls before every load and
// store of the kernels, check it against a shadow of 16 bytes for every byte of device memory.
#include <sys/mman.h>

#include <cstring>
#include <map>
#include <stdexcept>
#include <utility>

#include "emulation.hpp"

namespace cuda_emulation {
namespace {

// Who accessed a byte last. Epoch 0: not allocated; 1: not written; 2: written by the host.
struct Stamp {
    uint32_t epoch;
    uint16_t thread;  // and flags:
    uint16_t warp_epoch;
};
constexpr uint16_t is_atomic = 1 << 10;
// Several have read it (or changed it by atomics): lanes of one warp, warps of one block, blocks.
constexpr uint16_t by_lanes = 1 << 11, by_warps = 1 << 12, by_blocks = 1 << 13;
struct Shadow {
    Stamp write, read;
};

// Device memory is one range of addresses: a block's shared memory, then buffers, each behind the
// one before. Only at its end does it begin again, so that use after release is seen.
constexpr size_t arena_bytes = size_t{128} << 20, shared_room = 64 * 1024, granule = 256,
                 page = 4096;
static_assert(granule * sizeof(Shadow) == page);

void* reserve(size_t bytes) {
    void* const p = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) throw std::bad_alloc();
    return p;
}
char* const arena = static_cast<char*>(reserve(arena_bytes));
Shadow* const shadow = static_cast<Shadow*>(reserve(arena_bytes * sizeof(Shadow)));
size_t next_free = shared_room;
struct Buffer {
    size_t bytes;
    bool alive;
};
std::map<size_t, Buffer> buffers;  // by offset in the arena
size_t alive;
std::map<uint32_t, unsigned> block_of_epoch;  // blocks of this launch by their first epoch

size_t offset_of(uintptr_t address) { return address - reinterpret_cast<uintptr_t>(arena); }

Stamp mine() {
    return {now.epoch, static_cast<uint16_t>(now.thread), now.warp_epoch[now.thread / warp_size]};
}

// Whether that access and one of the running thread now have no order. `horizon`: the epoch before
// which everything is over: that of the launch, for shared memory that of the block.
bool concurrent(Stamp s, uint32_t horizon) {
    if (s.epoch < horizon) return false;
    if (s.epoch < now.block_epoch || s.thread & by_blocks) return true;
    if (s.epoch < now.epoch) return false;  // __syncthreads between
    if (s.thread & by_warps) return true;
    unsigned const thread = s.thread % most_threads;
    if (thread == now.thread && !(s.thread & by_lanes)) return false;
    if (thread / warp_size != now.thread / warp_size) return true;
    return s.warp_epoch == now.warp_epoch[thread / warp_size];  // no __syncwarp between
}

// The stamp of all who read it (or changed it by atomics) without order among them.
Stamp merged(Stamp old, uint32_t horizon) {
    if (!concurrent(old, horizon)) return mine();
    if (old.epoch < now.block_epoch || old.thread & by_blocks) {
        old.thread |= by_blocks;
        return old;
    }
    Stamp s = mine();
    unsigned const thread = old.thread % most_threads;
    bool const same_warp = thread / warp_size == now.thread / warp_size;
    s.thread |= same_warp && !(old.thread & by_warps) ? by_lanes : by_warps;
    return s;
}

std::string owner(Stamp s) {
    auto const block = std::prev(block_of_epoch.upper_bound(s.epoch));
    std::string const thread = std::to_string(s.thread % most_threads);
    return "block " + std::to_string(block->second) + " thread " + thread +
           (s.thread & (by_lanes | by_warps | by_blocks) ? " and others" : "");
}

char const* verb(Access kind) {
    return kind == Access::read ? "read" : kind == Access::write ? "written" : "changed atomically";
}

void report_race(uintptr_t address, Access kind, Stamp other, Access before, void const* site) {
    bool const blocks = other.epoch < now.block_epoch || other.thread & by_blocks;
    report(blocks ? "data race between blocks" : "data race",
           describe(address) + " is " + verb(kind) + ", and was " + verb(before) + " by " +
               owner(other),
           site);
}

// What is not device memory: a thread's own stack, the kernel's arguments, constants.
void access_elsewhere(uintptr_t address, size_t bytes, Access kind, void const* site) {
    if (address - now.arguments < now.argument_bytes && kind == Access::read) return;
    if (kind == Access::read && is_constant(address)) return;
    report("out of bounds",
           std::to_string(bytes) + " bytes at an address outside device memory are " + verb(kind),
           site);
    abandon();
}

void mark_range(size_t offset, size_t bytes, uint32_t epoch) {
    for (size_t i = 0; i < bytes; ++i) shadow[offset + i] = {{epoch, 0, 0}, {0, 0, 0}};
}

// With a granule at least that is nobody's.
size_t footprint(size_t bytes) { return (bytes / granule + 2) * granule; }

// The first place from here on without a live buffer. Released ones there are forgotten.
size_t place_for(size_t offset, size_t room) {
    for (auto b = buffers.lower_bound(offset); b != buffers.end() && b->first < offset + room;) {
        if (b->second.alive) {
            offset = b->first + footprint(b->second.bytes);
            ++b;
        } else {
            b = buffers.erase(b);
        }
    }
    return offset;
}

// The buffer at or before the offset.
std::map<size_t, Buffer>::iterator buffer_at(size_t offset) {
    auto const after = buffers.upper_bound(offset);
    return after == buffers.begin() ? buffers.end() : std::prev(after);
}

size_t checked(uintptr_t address, size_t bytes) {
    size_t const offset = offset_of(address);
    auto const b = offset < arena_bytes ? buffer_at(offset) : buffers.end();
    if (b == buffers.end() || !b->second.alive || offset + bytes > b->first + b->second.bytes)
        throw std::invalid_argument("no buffer holds these bytes");
    return offset;
}

}  // namespace

void access(void const* pointer, size_t bytes, Access kind, void const* site) {
    if (!now.running) return;
    auto const address = reinterpret_cast<uintptr_t>(pointer);
    if (address - now.stack < stack_bytes) return;
    size_t const offset = offset_of(address);
    if (offset >= arena_bytes) {
        access_elsewhere(address, bytes, kind, site);
        return;
    }
    bool const in_shared = offset < shared_room;
    uint32_t const horizon = in_shared ? now.block_epoch : now.launch_epoch;
    uint32_t const written = in_shared ? now.block_epoch : 2;
    bool racing = false, unwritten = false;  // told once per access
    for (size_t i = 0; i < bytes;) {
        Shadow const old = shadow[offset + i];
        Shadow s = old;
        if (s.write.epoch == 0) {
            report("out of bounds",
                   std::to_string(bytes) + " bytes are " + verb(kind) + " at " + describe(address),
                   site);
            abandon();
        }
        if (kind != Access::write && s.write.epoch < written && !std::exchange(unwritten, true))
            report("read of unwritten memory", describe(address + i), site);
        Access const before = s.write.thread & is_atomic ? Access::atomic : Access::write;
        bool const atomics = kind == Access::atomic && before == Access::atomic;
        if (!atomics && concurrent(s.write, horizon) && !std::exchange(racing, true))
            report_race(address + i, kind, s.write, before, site);
        if (kind == Access::read) {
            s.read = merged(s.read, horizon);
        } else {
            if (concurrent(s.read, horizon) && !std::exchange(racing, true))
                report_race(address + i, kind, s.read, Access::read, site);
            s.write = atomics ? merged(s.write, horizon) : mine();
            if (kind == Access::atomic) s.write.thread |= is_atomic;
        }
        // Most often all bytes have the same history: what goes for one goes for all.
        do {
            shadow[offset + i++] = s;
        } while (i < bytes && std::memcmp(&shadow[offset + i], &old, sizeof old) == 0);
    }
    if (counting) count(pointer, bytes, kind, site);
}

bool is_shared(uintptr_t address) { return offset_of(address) < shared_room; }
void* shared_base() { return arena; }

std::string describe(uintptr_t address) {
    size_t const offset = offset_of(address);
    if (offset < shared_room)
        return "shared memory of " + std::to_string(now.shared_bytes) + " bytes + " +
               std::to_string(offset);
    auto const b = buffer_at(offset);
    if (b == buffers.end()) return "no buffer";
    return std::string(b->second.alive ? "" : "released ") + "buffer " +
           std::to_string(reinterpret_cast<uintptr_t>(arena) + b->first) + " of " +
           std::to_string(b->second.bytes) + " bytes + " + std::to_string(offset - b->first);
}

void begin_launch() {
    now.launch_epoch = ++now.epoch;
    block_of_epoch.clear();
    static size_t bytes_before = 0;
    mark_range(0, bytes_before, 0);
    mark_range(0, bytes_before = now.shared_bytes, 1);
}

void begin_block() {
    now.block_epoch = ++now.epoch;
    block_of_epoch.emplace_hint(block_of_epoch.end(), now.epoch, now.block);
    std::memset(arena, 0xa5, now.shared_bytes);
}

uintptr_t allocate(size_t bytes, bool initialised) {
    if (bytes > arena_bytes) throw std::bad_alloc();
    size_t const room = footprint(bytes);
    size_t offset = place_for(next_free, room);
    if (offset + room > arena_bytes) offset = place_for(shared_room, room);
    if (offset + room > arena_bytes) throw std::bad_alloc();
    next_free = offset + room;
    buffers[offset] = {bytes, true};
    ++alive;
    mark_range(offset, bytes, initialised ? 2 : 1);
    std::memset(arena + offset, 0xa5, bytes);
    return reinterpret_cast<uintptr_t>(arena) + offset;
}

void release(uintptr_t address) {
    auto const b = buffers.find(offset_of(address));
    if (b == buffers.end() || !b->second.alive)
        throw std::invalid_argument("no buffer begins at this address");
    b->second.alive = false;
    --alive;
    // Shadows of a granule are a page: its return to the system makes them zero, not allocated.
    size_t const bytes = footprint(b->second.bytes);
    madvise(shadow + b->first, bytes * sizeof(Shadow), MADV_DONTNEED);
    size_t const first_page = (b->first + page - 1) / page * page;
    size_t const last_page = (b->first + bytes) / page * page;
    if (first_page < last_page) madvise(arena + first_page, last_page - first_page, MADV_DONTNEED);
}

void mark(uintptr_t address, size_t bytes, bool written) {
    size_t const offset = checked(address, bytes);
    mark_range(offset, bytes, written ? 2 : 1);
    if (!written) std::memset(arena + offset, 0xa5, bytes);
}

int64_t first_unwritten(uintptr_t address, size_t bytes) {
    size_t const offset = checked(address, bytes);
    for (size_t i = 0; i < bytes; ++i)
        if (shadow[offset + i].write.epoch == 1) return static_cast<int64_t>(i);
    return -1;
}

size_t live_buffers() { return alive; }

}  // namespace cuda_emulation

namespace {

using cuda_emulation::Access;

bool on_device(void const* p) {
    return cuda_emulation::offset_of(reinterpret_cast<uintptr_t>(p)) < cuda_emulation::arena_bytes;
}

}  // namespace

// The host's accesses to buffers: none but these two.
cudaError_t cudaMemsetAsync(void* to, int value, size_t bytes, cudaStream_t) {
    if (bytes == 0) return cudaSuccess;
    cuda_emulation::mark(reinterpret_cast<uintptr_t>(to), bytes, true);
    std::memset(to, value, bytes);
    return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void* to, void const* from, size_t bytes, cudaMemcpyKind,
                            cudaStream_t) {
    if (bytes == 0) return cudaSuccess;
    if (on_device(from) &&
        cuda_emulation::first_unwritten(reinterpret_cast<uintptr_t>(from), bytes) >= 0)
        throw std::invalid_argument("cudaMemcpyAsync reads unwritten memory");
    if (on_device(to)) cuda_emulation::mark(reinterpret_cast<uintptr_t>(to), bytes, true);
    std::memcpy(to, from, bytes);
    return cudaSuccess;
}

// ----- what instrumented code calls
extern "C" {
#define SITE __builtin_return_address(0)
#define HOOKS(bytes)                                                                             \
    void __tsan_read##bytes(void* p) { cuda_emulation::access(p, bytes, Access::read, SITE); }   \
    void __tsan_write##bytes(void* p) { cuda_emulation::access(p, bytes, Access::write, SITE); } \
    void __tsan_unaligned_read##bytes(void* p) {                                                 \
        cuda_emulation::access(p, bytes, Access::read, SITE);                                    \
    }                                                                                            \
    void __tsan_unaligned_write##bytes(void* p) {                                                \
        cuda_emulation::access(p, bytes, Access::write, SITE);                                   \
    }
HOOKS(1)
HOOKS(2)
HOOKS(4)
HOOKS(8)
HOOKS(16)
void __tsan_read_range(void* p, size_t n) { cuda_emulation::access(p, n, Access::read, SITE); }
void __tsan_write_range(void* p, size_t n) { cuda_emulation::access(p, n, Access::write, SITE); }
void __tsan_init() {}

// -fsanitize=alignment: before every access by a pointer that is not aligned for its type.
struct Mismatch {
    char const* file;
    uint32_t line, column;
};
void __ubsan_handle_type_mismatch_v1(Mismatch* where, uintptr_t address) {
    if (!cuda_emulation::now.running) return;
    cuda_emulation::report(
        "misaligned access",
        cuda_emulation::describe(address) + ", line " + std::to_string(where->line), SITE);
    cuda_emulation::abandon();
}
// -fsanitize=bounds-strict: before an access to an array of known size, in registers or on a stack.
void __ubsan_handle_out_of_bounds(Mismatch* where, uintptr_t index) {
    if (!cuda_emulation::now.running) return;
    cuda_emulation::report(
        "index out of bounds",
        "index " + std::to_string(index) + ", line " + std::to_string(where->line), SITE);
    cuda_emulation::abandon();
}
}
