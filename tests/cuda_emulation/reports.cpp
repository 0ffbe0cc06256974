// Findings of a launch, and how its warps use memory.
#include <dlfcn.h>
#include <link.h>
#include <algorithm>
#include <cstdio>
#include <set>
#include <stdexcept>
#include <tuple>

#include "emulation.hpp"

namespace cuda_emulation {

bool counting = false;

namespace {

struct Finding {
    std::string kind, who, text;
    void const* site;
    uint64_t times;
};
constexpr size_t most_findings = 8;
std::vector<Finding> findings;
uint64_t further;

// File and line of a return address, from binutils: only asked for when something is reported. Of
// functions inlined there, the first that is not CUDA's own.
std::string source_line(void const* site) {
    Dl_info module;
    if (!site || !dladdr(site, &module)) return "";
    char text[4200];
    auto const base = reinterpret_cast<uintptr_t>(module.dli_fbase);
    std::snprintf(text, sizeof text, "addr2line -i -s -e '%s' %#zx 2>/dev/null", module.dli_fname,
                  reinterpret_cast<uintptr_t>(site) - 1 - base);
    std::string line = "cuda_runtime.h";
    FILE* const pipe = popen(text, "r");
    if (!pipe) return "";
    while (std::fgets(text, sizeof text, pipe))
        if (line.starts_with("cuda_runtime.h")) line = text;
    pclose(pipe);
    return line.substr(0, line.find_first_of(" \n"));
}

}  // namespace

bool is_constant(uintptr_t address) {
    struct Search {
        uintptr_t address;
        bool found;
    } search{address, false};
    dl_iterate_phdr(
        [](dl_phdr_info* module, size_t, void* data) {
            auto& s = *static_cast<Search*>(data);
            for (int i = 0; i < module->dlpi_phnum; ++i) {
                auto const& h = module->dlpi_phdr[i];
                bool const constant =
                    (h.p_type == PT_LOAD && !(h.p_flags & PF_W)) || h.p_type == PT_GNU_RELRO;
                s.found |= constant && s.address - (module->dlpi_addr + h.p_vaddr) < h.p_memsz;
            }
            return int{s.found};
        },
        &search);
    return search.found;
}

void report(char const* kind, std::string const& text, void const* site) {
    for (Finding& f : findings)
        if (f.site == site && f.kind == kind) {
            ++f.times;
            return;
        }
    if (findings.size() == most_findings) {
        ++further;
        return;
    }
    findings.push_back(
        {kind, " by block " + std::to_string(now.block) + " thread " + std::to_string(now.thread),
         text, site, 1});
}

void throw_findings() {
    if (findings.empty()) return;
    std::string message = "CUDA emulation: " + now.kernel + " (schedule " + now.schedule + ")";
    for (Finding const& f : findings) {
        std::string const line = source_line(f.site);
        message += "\n  " + f.kind + f.who + (line.empty() ? "" : " at " + line) + ": " + f.text;
        if (f.times > 1) message += " (" + std::to_string(f.times) + " times)";
    }
    if (further) message += "\n  and " + std::to_string(further) + " more";
    findings.clear();
    further = 0;
    throw std::runtime_error(message);
}

// ----- traffic
namespace {

struct Record {
    uintptr_t address, site;
    uint32_t turn;  // how many times this thread had been here before
    uint16_t thread;
    uint8_t bytes, kind;
};
struct Count {
    uint64_t accesses = 0, sectors = 0, ideal_sectors = 0, worst_conflict = 0;
};
std::vector<Record> records;  // of the running block
using Key = std::pair<std::string, std::pair<uintptr_t, uint8_t>>;
std::vector<std::pair<Key, Count>> totals;

Count& total(Record const& r) {
    Key const key{now.kernel, {r.site, r.kind}};
    for (auto& [k, c] : totals)
        if (k == key) return c;
    return totals.emplace_back(key, Count{}).second;
}

constexpr uintptr_t sector = 32, word = 4, banks = 32;

// 32-byte sectors of global memory that one access of a warp touches, and how few could do.
void count_sectors(Record const* first, Record const* last, Count& c) {
    std::set<uintptr_t> sectors, bytes;
    for (; first != last; ++first)
        for (uintptr_t a = first->address; a < first->address + first->bytes; ++a) {
            sectors.insert(a / sector);
            bytes.insert(a);
        }
    c.sectors += sectors.size();
    c.ideal_sectors += (bytes.size() + sector - 1) / sector;
}

// The most words that one bank has to deliver. Accesses of 8 and 16 bytes go by half and quarter
// warps.
void count_conflicts(Record const* first, Record const* last, Count& c) {
    unsigned const lanes = warp_size * word / std::max<unsigned>(first->bytes, word);
    for (unsigned part = 0; part < warp_size; part += lanes) {
        std::set<uintptr_t> words;
        for (Record const* r = first; r != last; ++r)
            if (r->thread % warp_size / lanes == part / lanes)
                for (uintptr_t a = r->address; a < r->address + r->bytes; a += word)
                    words.insert(a / word);
        uint64_t in_bank[banks] = {};
        for (uintptr_t w : words)
            c.worst_conflict = std::max(c.worst_conflict, ++in_bank[w % banks]);
    }
}

}  // namespace

void count_accesses(bool wanted) { counting = wanted; }

void count(void const* address, size_t bytes, Access kind, void const* site) {
    if (bytes > 16) return;  // a struct copied piecemeal
    records.push_back({reinterpret_cast<uintptr_t>(address), reinterpret_cast<uintptr_t>(site), 0,
                       static_cast<uint16_t>(now.thread), static_cast<uint8_t>(bytes),
                       static_cast<uint8_t>(kind)});
}

void count_block() {
    auto const sort = [](auto key) {
        std::stable_sort(records.begin(), records.end(),
                         [&](Record const& a, Record const& b) { return key(a) < key(b); });
    };
    sort([](Record const& r) { return std::tuple(r.site, r.kind, r.thread); });
    for (size_t i = 1; i < records.size(); ++i) {
        Record const& before = records[i - 1];
        Record& r = records[i];
        if (r.site == before.site && r.kind == before.kind && r.thread == before.thread)
            r.turn = before.turn + 1;
    }
    auto const warp_access = [](Record const& r) {
        return std::tuple(r.site, r.kind, r.thread / warp_size, r.turn, is_shared(r.address));
    };
    sort(warp_access);
    Record const* const end = records.data() + records.size();
    for (Record const* first = records.data(); first != end;) {
        Record const* last = first;
        while (last != end && warp_access(*last) == warp_access(*first)) ++last;
        Record tagged = *first;
        tagged.kind = static_cast<uint8_t>(tagged.kind + (is_shared(first->address) ? 3 : 0));
        Count& c = total(tagged);
        ++c.accesses;
        if (is_shared(first->address))
            count_conflicts(first, last, c);
        else
            count_sectors(first, last, c);
        first = last;
    }
    records.clear();
}

std::vector<Traffic> statistics() {
    static char const* const kinds[] = {"global read", "global write", "global atomic",
                                        "shared read", "shared write", "shared atomic"};
    std::vector<Traffic> all;
    for (auto const& [key, c] : totals)
        all.push_back({key.first, kinds[key.second.second],
                       source_line(reinterpret_cast<void const*>(key.second.first)), c.accesses,
                       c.sectors, c.ideal_sectors, c.worst_conflict});
    return all;
}

void forget_statistics() {
    totals.clear();
    records.clear();
}

}  // namespace cuda_emulation
