// The command line of the mock provider, checked against its bounds.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>

namespace bench {

struct MockOptions {
  uint16_t port = 0;
  uint16_t tls_port = 0;  // 0: none; the same provider, with TLS
  std::string cert_file;  // PEM
  std::string key_file;
  uint64_t latency_ns = 0;
  uint64_t jitter_ns = 0;  // an answer is late by the latency, give or take as much as this, uniformly
  uint64_t chunks = 20;    // content events of a stream
  uint64_t chunk_delay_ns = 0;
  size_t chunk_bytes = 0;  // of a content event, all of it; 0: as long as one word needs
  bool usage = true;
  size_t answer_bytes = 600;
  double error_share = 0;
  int error_status = 500;
  double stall_share = 0;
  double reset_share = 0;
  uint64_t seed = 1;
};

// The options alone, without the name of the program. Throws a Fault that says what is wrong.
MockOptions read_mock_options(int argc, char** argv);

}  // namespace bench
