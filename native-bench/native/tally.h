// What one thread of the load generator counted. Two kinds: figures of requests belong to the measured window when the request
// began (was intended) in it, wherever it ended; flows (bytes, events, connections, CPU time) when they happened in it.
#pragma once
#include <sys/resource.h>

#include <array>
#include <vector>

#include "exchange.h"
#include "histogram.h"

namespace bench {

struct Flows {
  uint64_t events = 0;
  uint64_t bytes_in = 0;
  uint64_t bytes_out = 0;
  uint64_t connections_opened = 0;
  uint64_t cpu_user_us = 0;
  uint64_t cpu_system_us = 0;

  void read_cpu() {
    rusage usage{};
    getrusage(RUSAGE_THREAD, &usage);
    cpu_user_us = static_cast<uint64_t>(usage.ru_utime.tv_sec) * 1'000'000 + static_cast<uint64_t>(usage.ru_utime.tv_usec);
    cpu_system_us = static_cast<uint64_t>(usage.ru_stime.tv_sec) * 1'000'000 + static_cast<uint64_t>(usage.ru_stime.tv_usec);
  }

  void add(const Flows& other) {
    events += other.events;
    bytes_in += other.bytes_in;
    bytes_out += other.bytes_out;
    connections_opened += other.connections_opened;
    cpu_user_us += other.cpu_user_us;
    cpu_system_us += other.cpu_system_us;
  }

  Flows since(const Flows& start) const {
    Flows result;
    result.events = events - start.events;
    result.bytes_in = bytes_in - start.bytes_in;
    result.bytes_out = bytes_out - start.bytes_out;
    result.connections_opened = connections_opened - start.connections_opened;
    result.cpu_user_us = cpu_user_us - start.cpu_user_us;
    result.cpu_system_us = cpu_system_us - start.cpu_system_us;
    return result;
  }
};

using IntervalCounts = std::vector<SparseCounts>;

class Tally {
 public:
  explicit Tally(size_t metrics) : current_(metrics) {}

  std::array<uint64_t, static_cast<size_t>(Verdict::COUNT)> verdicts{};
  uint64_t aborted = 0;
  uint64_t begun = 0;    // in the whole run
  uint64_t unsent = 0;
  uint64_t lag_max_ns = 0;
  uint64_t window_ns = 0;  // how long it was; less than planned when a signal ended it
  Flows flows;             // of the thread's whole life
  std::vector<IntervalCounts> intervals;

  void record(size_t metric, uint64_t value_ns, uint64_t times = 1) { current_[metric].record(value_ns, times); }

  void begin_window() {
    flows.read_cpu();
    before_ = flows;
    lag_max_ns = 0;
  }

  void end_window(uint64_t length_ns) {
    flows.read_cpu();
    window_ns = length_ns;
    in_window_ = flows.since(before_);
  }

  // Closes the current interval.
  void end_interval() {
    IntervalCounts counts;
    for (Histogram& histogram : current_) counts.push_back(histogram.take());
    intervals.push_back(std::move(counts));
  }

  const Flows& in_window() const { return in_window_; }

 private:
  std::vector<Histogram> current_;
  Flows before_;
  Flows in_window_;
};

}  // namespace bench
