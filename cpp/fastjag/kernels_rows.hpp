// The contracts of `take_rows`, `take_lists`, `deal_rows` and `permutation`: rows of tensors and
// lists, picked from where they were read to or put where batches want them; kernels.hpp has the
// conventions. CPU only.
#pragma once
#include <cstdint>

#include "config.hpp"

namespace fastjag {

// ---- take_rows: some of many records -> a tensor for each of their fields --------------------

struct RecordPart {
    int64_t start, bytes;  // in the record
    uint8_t* out;          // (n, bytes)
};

struct TakeRowsArgs {
    const uint8_t* records;  // (n_records, record_bytes)
    int64_t record_bytes;
    const int64_t* rows;  // (n,): each below n_records
    int64_t n;
    const RecordPart* parts;
    int64_t n_parts;
};
void take_rows(TakeRowsArgs const&, Threads);

// ---- take_lists: some of many lists, whose content lies in pieces -> columns --------------------

struct ListColumn {
    const uint8_t* const* pieces;  // of content
    int64_t bytes;                 // of a value
    uint8_t* out;
};

struct TakeListsArgs {
    const int64_t* firsts;   // (n_pieces,): of the values of each piece, counted through all
    const int64_t* pieces;   // (n,): where each list is
    const int64_t* starts;   // (n,): its first value, counted through all pieces
    const int64_t* offsets;  // (n + 1,): where the lists are in `out`
    int64_t n;
    const ListColumn* columns;
    int64_t n_columns;
};
void take_lists(TakeListsArgs const&, Threads);

// ---- deal_rows: rows of tensors -> the rows of blocks
// --------------------------------------------

struct DealtTensor {
    const uint8_t* from;     // (n, bytes)
    int64_t bytes;           // of a row
    uint8_t* const* blocks;  // each (block_rows, bytes)
    bool aligned;            // all of them at 64 bytes
};

struct DealRowsArgs {
    const int64_t* places;  // (n,): row p is row p % block_rows of block p / block_rows
    int64_t n;
    int64_t block_rows;  // below 2**31
    const DealtTensor* tensors;
    int64_t n_tensors;
};
void deal_rows(DealRowsArgs const&, Threads);

// ---- permutation: random words -> 0 .. n - 1 in a random order ----------------------------------

struct PermutationArgs {
    const uint64_t* words;  // (n,)
    int64_t n;
    bool inverse;  // of that order
    int64_t* out;  // (n,)
};
void permutation(PermutationArgs const&);

// Sets `bad` to one that is not in 0 .. n - 1, if there is any.
bool outside(const int64_t* numbers, int64_t count, int64_t n, int64_t& bad);

}  // namespace fastjag
