// Memory that is written past the cache: for the objects that are compiled for each instruction
// set.
#pragma once

#include <cstdint>
#if defined(__SSE2__)
#include <immintrin.h>
#endif

#include "fastjag/config.hpp"

namespace fastjag::FASTJAG_ISA {

constexpr int64_t line = 64;  // bytes that memory gives at a time

// Whole lines, both at a line's begin on the way out: written past the cache, so that the memory
// does not have to be read before. streamed() is to be called before another thread reads them.
inline void stream(uint8_t* to, uint8_t const* from, int64_t bytes) {
#if defined(__AVX512F__)
    for (int64_t at = 0; at < bytes; at += line)
        _mm512_stream_si512(reinterpret_cast<__m512i*>(to + at), _mm512_loadu_si512(from + at));
#elif defined(__SSE2__)
    for (int64_t at = 0; at < bytes; at += 16)
        _mm_stream_si128(reinterpret_cast<__m128i*>(to + at),
                         _mm_loadu_si128(reinterpret_cast<__m128i const*>(from + at)));
#else
    __builtin_memcpy(to, from, static_cast<size_t>(bytes));
#endif
}

inline void streamed() {
#if defined(__SSE2__)
    _mm_sfence();
#endif
}

}  // namespace fastjag::FASTJAG_ISA
