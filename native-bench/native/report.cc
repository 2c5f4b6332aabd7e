// Prints what a run has found; see report.h.
#include "report.h"

#include <cstdio>

#include "clock.h"

namespace bench {
namespace {

double ms_of(uint64_t ns) { return static_cast<double>(ns) / NS_PER_MS; }

void print_interval(double start_ms, double end_ms, const char* metric, const SparseCounts& counts) {
  std::printf("{\"type\":\"interval\",\"startMs\":%.3f,\"endMs\":%.3f,\"metric\":\"%s\",\"counts\":[", start_ms, end_ms, metric);
  const char* separator = "";
  for (const auto& [index, count] : counts) {
    std::printf("%s[%u,%llu]", separator, index, static_cast<unsigned long long>(count));
    separator = ",";
  }
  std::printf("]}\n");
}

SparseCounts merged(const std::vector<const Tally*>& tallies, size_t interval, size_t metric) {
  if (tallies.size() == 1) return tallies[0]->intervals[interval][metric];
  Histogram sum;
  for (const Tally* tally : tallies) {
    if (interval < tally->intervals.size()) sum.add(tally->intervals[interval][metric]);
  }
  return sum.take();
}

// A metric without a value has no line, but for the total: an interval in which nothing was answered is a finding.
void print_intervals(const Spec& spec, const Window& window, uint64_t wall_start_ns, const std::vector<const Tally*>& tallies) {
  const uint64_t begin_ns = wall_start_ns + (window.begin_ns - window.start_ns);
  const uint64_t end_ns = begin_ns + tallies[0]->window_ns;
  for (size_t interval = 0; interval < tallies[0]->intervals.size(); interval++) {
    const uint64_t from = begin_ns + interval * spec.interval_ns;
    const uint64_t to = std::min(from + spec.interval_ns, end_ns);
    for (size_t metric = 0; metric < spec.metrics.size(); metric++) {
      const SparseCounts counts = merged(tallies, interval, metric);
      if (metric == TOTAL || !counts.empty()) print_interval(ms_of(from), ms_of(to), spec.metrics[metric].c_str(), counts);
    }
  }
}

struct Sum {
  std::array<uint64_t, static_cast<size_t>(Verdict::COUNT)> verdicts{};
  uint64_t aborted = 0;
  uint64_t begun = 0;
  uint64_t unsent = 0;
  uint64_t lag_max_ns = 0;
  uint64_t wrong = 0;
  Flows flows;

  explicit Sum(const std::vector<const Tally*>& tallies) {
    for (const Tally* tally : tallies) {
      for (size_t i = 0; i < verdicts.size(); i++) verdicts[i] += tally->verdicts[i];
      aborted += tally->aborted;
      begun += tally->begun;
      unsent += tally->unsent;
      lag_max_ns = std::max(lag_max_ns, tally->lag_max_ns);
      flows.add(tally->in_window());
    }
    for (size_t i = 1; i < verdicts.size(); i++) wrong += verdicts[i];
  }

  uint64_t right() const { return verdicts[0]; }
};

void print_wrong(const Sum& sum) {
  std::printf("\"wrong\":{");
  for (size_t i = 1; i < sum.verdicts.size(); i++) {
    std::printf("%s\"%s\":%llu", i == 1 ? "" : ",", VERDICT_NAMES[i], static_cast<unsigned long long>(sum.verdicts[i]));
  }
  std::printf("}");
}

void print_count(const char* name, uint64_t value) { std::printf(",\"%s\":%llu", name, static_cast<unsigned long long>(value)); }

void print_summary(const Sum& sum, double seconds) {
  const uint64_t answered = sum.right() + sum.aborted;
  std::printf("{\"type\":\"summary\",\"requests\":%llu,", static_cast<unsigned long long>(answered + sum.wrong));
  print_wrong(sum);
  print_count("right", sum.right());
  print_count("aborted", sum.aborted);
  print_count("events", sum.flows.events);
  print_count("bytesIn", sum.flows.bytes_in);
  print_count("bytesOut", sum.flows.bytes_out);
  std::printf(",\"seconds\":%.6f,\"requestsPerSecond\":%.3f", seconds, seconds > 0 ? static_cast<double>(answered) / seconds : 0);
  print_count("cpuUserUs", sum.flows.cpu_user_us);
  print_count("cpuSystemUs", sum.flows.cpu_system_us);
  print_count("connectionsOpened", sum.flows.connections_opened);
  print_count("unsent", sum.unsent);
  print_count("lagMaxNs", sum.lag_max_ns);
  print_count("begun", sum.begun);
  std::printf("}\n");
}

}  // namespace

void print_report(const Spec& spec, const Window& window, uint64_t wall_start_ns, const std::vector<const Tally*>& tallies) {
  print_intervals(spec, window, wall_start_ns, tallies);
  print_summary(Sum(tallies), static_cast<double>(tallies[0]->window_ns) / NS_PER_S);
  std::fflush(stdout);
}

}  // namespace bench
