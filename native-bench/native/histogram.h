// Latency histograms in the geometry of src/base/hdr-geometry.ts: 3 significant digits from 1 ns to 1 h. The arithmetic is
// the same, so that an index means the same value on both sides.
#pragma once
#include <cstdint>
#include <utility>
#include <vector>

namespace bench {

constexpr uint64_t HDR_MAX_NS = 3'600'000'000'000;
constexpr uint64_t HDR_SUB_BUCKETS = 2'048;
constexpr size_t HDR_COUNTS = 33 * 1'024;

inline size_t hdr_index_of(uint64_t value_ns) {
  const uint64_t value = value_ns < HDR_MAX_NS ? value_ns : HDR_MAX_NS;
  const int shift = 64 - __builtin_clzll(value | (HDR_SUB_BUCKETS - 1)) - 11;
  return (static_cast<size_t>(shift) << 10) + static_cast<size_t>(value >> shift);
}

using SparseCounts = std::vector<std::pair<uint32_t, uint64_t>>;

class Histogram {
 public:
  Histogram() : counts_(HDR_COUNTS) {}

  void record(uint64_t value_ns, uint64_t times = 1) { counts_[hdr_index_of(value_ns)] += times; }
  void add(const SparseCounts& counts) {
    for (const auto& [index, count] : counts) counts_[index] += count;
  }

  // What was counted, and zero from here on.
  SparseCounts take() {
    SparseCounts taken;
    for (size_t index = 0; index < counts_.size(); index++) {
      if (counts_[index] == 0) continue;
      taken.emplace_back(static_cast<uint32_t>(index), counts_[index]);
      counts_[index] = 0;
    }
    return taken;
  }

 private:
  std::vector<uint64_t> counts_;
};

}  // namespace bench
