// What memory allows on one thread [GB/s]: copy, read, fill with non-temporal stores, fill fresh.
#include <emmintrin.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <sys/mman.h>

constexpr long n = 256L << 20;  // bytes, much more than caches hold

template <class Work>
void measure(char const* name, double bytes, Work work) {
    double best = 1e9;
    for (int round = 0; round < 6; ++round) {
        auto const start = std::chrono::steady_clock::now();
        work();
        std::chrono::duration<double> const seconds = std::chrono::steady_clock::now() - start;
        best = std::min(best, seconds.count());
    }
    std::printf("%s %.2f\n", name, bytes / best * 1e-9);
}

int main() {
    auto* a = static_cast<char*>(std::aligned_alloc(64, n));
    auto* b = static_cast<char*>(std::aligned_alloc(64, n));
    std::memset(a, 1, n);
    std::memset(b, 2, n);
    measure("memcpy", 2.0 * n, [&] { std::memcpy(a, b, n); });
    long volatile sink;
    measure("read", n, [&] {
        auto const* x = reinterpret_cast<long const*>(b);
        long sums[8] = {};
        for (long i = 0; i < n / 8; i += 8) {
            for (int k = 0; k < 8; ++k) sums[k] += x[i + k];
        }
        long sum = 0;
        for (long s : sums) sum += s;
        sink = sum;
    });
    measure("fill", n, [&] {
        auto* x = reinterpret_cast<__m128i*>(a);
        for (long i = 0; i < n / 16; ++i) _mm_stream_si128(x + i, _mm_set1_epi32(int(i >> 20)));
        _mm_sfence();
    });
    measure("fresh", n, [&] {
        void* fresh = mmap(nullptr, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (fresh == MAP_FAILED) std::exit(1);
        std::memset(fresh, 1, n);
        munmap(fresh, n);
    });
    std::free(a);
    std::free(b);
}
