// What a run of the load generator is: read once from a JSON file, checked against every bound, constant from then on.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "socket.h"

namespace bench {

// What is measured of every run; behind them come the names of requests.
enum Metric : size_t { TOTAL, TTFT, GAP, METRICS };
constexpr const char* METRIC_NAMES[METRICS] = {"total", "ttft", "gap"};

// What an answer must be like; where something is absent, it is not looked at.
struct Expectation {
  int status = 200;
  bool stream = false;
  bool has_bytes = false;
  bool has_crc32 = false;
  bool has_events = false;
  uint64_t bytes = 0;
  uint64_t events = 0;  // the terminal one included
  uint32_t crc32 = 0;
};

struct RequestKind {
  uint64_t weight = 1;
  std::string bytes;  // head and body, as they are sent
  size_t metric = 0;  // that its name has, for its latency alone; 0: none
  Expectation expect;
};

struct Spec {
  Address target;
  std::vector<RequestKind> requests;
  std::vector<std::string> metrics;  // all names, in the order of the histograms
  uint64_t weights = 0;  // sum over the requests
  bool open = false;
  double rate_per_second = 0;    // open loop
  uint64_t connections = 0;      // closed loop: users; open loop: at most
  uint64_t warm_up_ns = 0;
  uint64_t duration_ns = 0;
  uint64_t drain_ns = 0;
  uint64_t timeout_ns = 0;
  uint64_t interval_ns = 0;
  uint64_t requests_per_connection = 0;  // 0: as many as the server takes
  double abort_share = 0;
  uint64_t abort_after_events = 0;
  uint64_t idle_connections = 0;
  uint64_t hold_ns = 0;
  uint64_t threads = 1;
};

// Throws a Fault that says what is wrong.
Spec read_spec(const std::string& path);

}  // namespace bench
