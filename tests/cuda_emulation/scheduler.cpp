// Runs the threads of one block after another. A CUDA thread is a fibre: a stack of its own, left
// by a jump where it waits for others. Fibres are made once (makecontext) and used again.
#include <sys/mman.h>
#include <ucontext.h>
#include <algorithm>
#include <mutex>
#include <numeric>
#include <stdexcept>
#include <utility>

#include "emulation.hpp"

namespace cuda_emulation {

Now now;
std::vector<Launch> launched;
int64_t wanted_blocks;
int resident_blocks = 16;

namespace {

// Where a function was left: frame, place and stack. Unlike setjmp's it is written in a few cycles.
using Context = void* [5];
struct Fibre {
    Context start, parked;
    uintptr_t stack;
};
struct Thread {
    Fibre* fibre;  // none before it starts
    // What it waits for.
    int site, line;
    unsigned mask, source;
    Warp kind;
    Word value, answer;
};
struct WarpState {
    unsigned existing, ready, arrived, exited;  // one bit per lane
};

Fibre fibres[most_threads];
Fibre* idle[most_threads];  // the last one is used next: its stack is in the cache
unsigned n_fibres, n_idle;
Thread threads[most_threads];
WarpState warps[most_threads / warp_size];
unsigned at_barrier, exited;
unsigned n_blocks;
void (*kernel_body)(void const*);
Context scheduler, creator;
bool abandoned;

enum class Order { forward, reverse, random };
Order order = Order::forward;
uint64_t seed, random_state;
std::string wanted_schedule = "cycle";
unsigned next_of_cycle;

uint64_t random_bits() {  // xorshift64*
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return random_state * 0x2545f4914f6cdd1dULL >> 32;
}

void shuffle(std::vector<unsigned>& v) {
    for (size_t i = v.size(); i > 1; --i) std::swap(v[i - 1], v[random_bits() % i]);
}

unsigned warp_of(unsigned thread) { return thread / warp_size; }
unsigned lane_bit(unsigned thread) { return 1u << thread % warp_size; }

// ----- fibres. noipa: callers must not reckon with the registers that these functions use, because
// all are used before they return.
[[noreturn, gnu::noipa]] void jump(Context& to) { __builtin_longjmp(to, 1); }

[[noreturn]] void fibre_main() {
    if (__builtin_setjmp(fibres[n_fibres].start) == 0) jump(creator);
    // Every start of a CUDA thread comes here.
    kernel_body(reinterpret_cast<void const*>(now.arguments));
    idle[n_idle++] = threads[now.thread].fibre;
    warps[warp_of(now.thread)].exited |= lane_bit(now.thread);
    ++exited;
    jump(scheduler);
}

[[gnu::noipa]] void enter(ucontext_t& context) {
    if (__builtin_setjmp(creator) == 0) setcontext(&context);
}

void make_fibre() {
    constexpr size_t guard = 4096;
    void* const memory = mmap(nullptr, stack_bytes + guard, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    mprotect(memory, guard, PROT_NONE);
    fibres[n_fibres].stack = reinterpret_cast<uintptr_t>(memory) + guard;
    ucontext_t context;
    getcontext(&context);
    context.uc_stack.ss_sp = reinterpret_cast<void*>(fibres[n_fibres].stack);
    // Tops at different places of the page, or all stacks would share a few lines of the cache.
    context.uc_stack.ss_size = stack_bytes - n_fibres % 61 * 64;
    context.uc_link = nullptr;
    makecontext(&context, fibre_main, 0);
    enter(context);
    ++n_fibres;
}

[[gnu::noipa]] void resume(unsigned thread) {
    Thread& t = threads[thread];
    bool const starts = !t.fibre;
    if (starts) t.fibre = idle[--n_idle];
    now.thread = thread;
    now.stack = t.fibre->stack;
    now.running = true;
    if (__builtin_setjmp(scheduler) == 0) jump(starts ? t.fibre->start : t.fibre->parked);
}

[[gnu::noipa]] void wait() {
    now.running = false;
    if (__builtin_setjmp(threads[now.thread].fibre->parked) == 0) jump(scheduler);
}

// Nothing with a destructor may be alive when a thread is left for good: hence a macro.
#define end_launch(kind, text)       \
    do {                             \
        report(kind, text, nullptr); \
        abandon();                   \
    } while (0)

std::string place(Thread const& f) { return "line " + std::to_string(f.line); }
std::string name(unsigned thread) { return "thread " + std::to_string(thread); }

// ----- barriers: the last to arrive releases the others
void release_block() {
    for (unsigned t = 1; t < now.n_threads; ++t)
        if (threads[t].site != threads[0].site)
            end_launch("divergent barrier", "thread 0 waits at the barrier of " +
                                                place(threads[0]) + ", " + name(t) +
                                                " at that of " + place(threads[t]));
    at_barrier = 0;
    ++now.epoch;
    for (unsigned w = 0; w * warp_size < now.n_threads; ++w) warps[w].ready = warps[w].existing;
}

void release_warp(unsigned w, unsigned mask, Thread const& last) {
    unsigned ballot = 0;
    for (unsigned lanes = mask; lanes; lanes &= lanes - 1) {
        unsigned const lane = static_cast<unsigned>(__builtin_ctz(lanes));
        Thread const& f = threads[w * warp_size + lane];
        if (f.site != last.site || f.mask != mask)
            end_launch("divergent warp", name(now.thread) + " waits at " + place(last) +
                                             " with mask " + std::to_string(mask) + ", " +
                                             name(w * warp_size + lane) + " at " + place(f) +
                                             " with mask " + std::to_string(f.mask));
        if (f.value) ballot |= 1u << lane;
    }
    for (unsigned lanes = mask; lanes; lanes &= lanes - 1) {
        Thread& f = threads[w * warp_size + static_cast<unsigned>(__builtin_ctz(lanes))];
        if (f.kind == Warp::shuffle && !(mask >> f.source % warp_size & 1))
            end_launch("shuffle from a lane outside the mask",
                       "lane " + std::to_string(f.source) + " at " + place(last));
        f.answer = f.kind == Warp::shuffle ? threads[w * warp_size + f.source].value : ballot;
    }
    // Only __syncwarp orders memory accesses; votes and shuffles do not.
    if (last.kind == Warp::sync) ++now.warp_epoch[w];
    warps[w].arrived &= ~mask;
    warps[w].ready |= mask;
}

// ----- the order of threads
// Runs lanes that can go on, and says whether there were any.
bool run_warp(unsigned w) {
    WarpState& warp = warps[w];
    bool progress = false;
    while (warp.ready && !abandoned) {
        progress = true;
        for (unsigned lanes = warp.ready; lanes && !abandoned;) {
            unsigned lane = static_cast<unsigned>(__builtin_ctz(lanes));
            if (order == Order::reverse) lane = 31 - static_cast<unsigned>(__builtin_clz(lanes));
            if (order == Order::random) {
                unsigned const later = lanes & ~0u << random_bits() % warp_size;
                if (later) lane = static_cast<unsigned>(__builtin_ctz(later));
            }
            lanes &= ~(1u << lane);
            warp.ready &= ~(1u << lane);
            resume(w * warp_size + lane);
        }
        if (order == Order::random) break;  // other warps may overtake
    }
    return progress;
}

void stuck() {
    char const* kind = at_barrier + exited == now.n_threads ? "barrier after exit" : "deadlock";
    for (unsigned t = now.n_threads; t-- > 0;) {
        WarpState const& warp = warps[warp_of(t)];
        if (!(warp.exited & lane_bit(t))) now.thread = t;
        if (warp.arrived & lane_bit(t) && threads[t].mask & warp.exited) {
            kind = "mask names exited lanes";
            break;
        }
    }
    report(kind,
           name(now.thread) + " waits at " + place(threads[now.thread]) + "; at a barrier: " +
               std::to_string(at_barrier) + ", exited: " + std::to_string(exited),
           nullptr);
    abandoned = true;
}

std::vector<unsigned> in_order(unsigned n) {
    std::vector<unsigned> all(n);
    std::iota(all.begin(), all.end(), 0u);
    if (order == Order::reverse) std::reverse(all.begin(), all.end());
    if (order == Order::random) shuffle(all);
    return all;
}

void run_block(std::vector<unsigned>& warp_order) {
    at_barrier = exited = 0;
    for (unsigned t = 0; t < now.n_threads; ++t) threads[t].fibre = nullptr;
    for (n_idle = 0; n_idle < n_fibres; ++n_idle) idle[n_idle] = &fibres[n_idle];
    for (unsigned w = 0; w < warp_order.size(); ++w) {
        unsigned const lanes = now.n_threads - w * warp_size;
        unsigned const existing = lanes >= warp_size ? ~0u : (1u << lanes) - 1;
        warps[w] = {existing, existing, 0, 0};
        now.warp_epoch[w] = 0;
    }
    begin_block();
    while (exited < now.n_threads && !abandoned) {
        if (order == Order::random) shuffle(warp_order);
        bool progress = false;
        for (unsigned w : warp_order) {
            if (order == Order::random && progress && random_bits() % 4 == 0) continue;
            progress |= run_warp(w);
            if (abandoned) break;
        }
        if (!progress && !abandoned) stuck();
    }
    now.running = false;
    if (counting) count_block();
}

void choose_schedule() {
    std::string chosen = wanted_schedule;
    if (chosen == "cycle") {
        unsigned const turn = next_of_cycle++ % 7;
        chosen = turn == 0 ? "forward" : turn == 1 ? "reverse" : std::to_string(turn - 1);
    }
    order = chosen == "forward"   ? Order::forward
            : chosen == "reverse" ? Order::reverse
                                  : Order::random;
    seed = order == Order::random ? std::stoull(chosen) : 0;
    random_state = (seed + 1) * 0x9e3779b97f4a7c15ULL | 1;
    now.schedule = order == Order::random ? "random " + chosen : chosen;
}

void check_launch(int64_t blocks, int64_t threads, int64_t shared_bytes) {
    auto const check = [](char const* what, int64_t value, int64_t least, int64_t most) {
        if (value < least || value > most)
            throw std::runtime_error("CUDA emulation: " + now.kernel +
                                     ": invalid launch: " + std::to_string(value) + what + " (" +
                                     std::to_string(least) + " to " + std::to_string(most) + ")");
    };
    check(" blocks", blocks, 1, 0x7fffffff);
    check(" threads per block", threads, 1, most_threads);
    check(" bytes of shared memory", shared_bytes, 0, most_shared_bytes);
}

}  // namespace

void set_schedule(std::string const& schedule) {
    if (schedule != "cycle" && schedule != "forward" && schedule != "reverse")
        std::stoull(schedule);
    wanted_schedule = schedule;
    next_of_cycle = 0;
}

void abandon() {
    now.running = false;
    abandoned = true;
    jump(scheduler);
}

uint3 thread_index() { return {now.thread, 0, 0}; }
uint3 block_index() { return {now.block, 0, 0}; }
uint3 block_size() { return {now.n_threads, 1, 1}; }
uint3 grid_size() { return {n_blocks, 1, 1}; }
void* shared_memory() { return shared_base(); }

void barrier(int site, int line) {
    Thread& me = threads[now.thread];
    me.site = site;
    me.line = line;
    if (++at_barrier == now.n_threads) {
        release_block();
        warps[warp_of(now.thread)].ready &= ~lane_bit(now.thread);  // it is running
    } else {
        wait();
    }
}

Word warp(Warp kind, int site, int line, unsigned mask, Word value, unsigned source) {
    Thread& me = threads[now.thread];
    WarpState& warp = warps[warp_of(now.thread)];
    me.site = site;
    me.line = line;
    me.mask = mask;
    me.kind = kind;
    me.value = value;
    me.source = source;
    unsigned const bit = lane_bit(now.thread);
    if (!(mask & bit)) end_launch("mask without the calling lane", place(me));
    if (mask & ~warp.existing) end_launch("mask names absent lanes", place(me));
    if (mask & warp.exited) end_launch("mask names exited lanes", place(me));
    warp.arrived |= bit;
    if ((warp.arrived & mask) == mask) {
        release_warp(warp_of(now.thread), mask, me);
        warp.ready &= ~bit;
    } else {
        wait();
    }
    return me.answer;
}

namespace {

template <class T>
T apply(Atomic operation, T old, T value, T compare) {
    switch (operation) {
        case Atomic::add: return old + value;
        case Atomic::max:
        case Atomic::max_signed: return old < value ? value : old;
        case Atomic::min:
        case Atomic::min_signed: return value < old ? value : old;
        case Atomic::bit_or: return old | value;
        case Atomic::bit_and: return old & value;
        case Atomic::exchange: return value;
        case Atomic::compare: return old == compare ? value : old;
    }
    __builtin_unreachable();
}

template <class T>
Word modify(Atomic operation, void* address, Word value, Word compare) {
    T* const p = static_cast<T*>(address);
    T const old = *p;
    *p = apply<T>(operation, old, static_cast<T>(value), static_cast<T>(compare));
    return bits(old);
}

}  // namespace

Word atomic(Atomic operation, void* address, int bytes, Word value, Word compare) {
    access(address, static_cast<size_t>(bytes), Access::atomic, __builtin_return_address(0));
    if (order == Order::random && random_bits() % 4 == 0) {
        warps[warp_of(now.thread)].ready |= lane_bit(now.thread);
        wait();
    }
    bool const is_signed = operation == Atomic::max_signed || operation == Atomic::min_signed;
    if (bytes == 4)
        return is_signed ? modify<int32_t>(operation, address, value, compare)
                         : modify<uint32_t>(operation, address, value, compare);
    return is_signed ? modify<int64_t>(operation, address, value, compare)
                     : modify<uint64_t>(operation, address, value, compare);
}

void launch(char const* kernel, int64_t blocks, int64_t threads, int64_t shared_bytes,
            void (*body)(void const*), void const* arguments, size_t argument_bytes) {
    static std::mutex one_at_a_time;
    std::lock_guard const lock(one_at_a_time);
    now.kernel = kernel;
    launched.push_back({kernel, wanted_blocks, threads, shared_bytes});
    check_launch(blocks, threads, shared_bytes);
    choose_schedule();
    kernel_body = body;
    now.arguments = reinterpret_cast<uintptr_t>(arguments);
    now.argument_bytes = argument_bytes;
    now.shared_bytes = static_cast<size_t>(shared_bytes);
    now.n_threads = static_cast<unsigned>(threads);
    n_blocks = static_cast<unsigned>(blocks);
    while (n_fibres < now.n_threads) make_fibre();
    abandoned = false;
    begin_launch();
    std::vector<unsigned> warp_order = in_order((now.n_threads + warp_size - 1) / warp_size);
    for (unsigned block : in_order(n_blocks)) {
        now.block = block;
        run_block(warp_order);
        if (abandoned) break;
    }
    throw_findings();
}

}  // namespace cuda_emulation
