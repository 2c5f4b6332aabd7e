// Reads the command line of the mock provider; see mock-options.h.
#include "mock-options.h"

#include <cstdlib>
#include <string>
#include <string_view>

#include "bounds.h"
#include "clock.h"
#include "fault.h"

namespace bench {
namespace {

double number_in(const std::string& name, const char* text, double low, double high) {
  char* end = nullptr;
  const double value = std::strtod(text, &end);
  if (end == text || *end != '\0' || !(value >= low && value <= high)) {
    fail(name + " must be a number from " + std::to_string(low) + " to " + std::to_string(high));
  }
  return value;
}

uint64_t whole_in(const std::string& name, const char* text, uint64_t low, uint64_t high) {
  const double value = number_in(name, text, static_cast<double>(low), static_cast<double>(high));
  const auto whole = static_cast<uint64_t>(value);
  if (static_cast<double>(whole) != value) fail(name + " must be a whole number");
  return whole;
}

uint64_t ns_in(const std::string& name, const char* text) {
  return static_cast<uint64_t>(number_in(name, text, 0, PHASE_MS_MAX) * NS_PER_MS);
}

bool is_on(const std::string& name, std::string_view text) {
  if (text != "on" && text != "off") fail(name + " must be on or off");
  return text == "on";
}

void read_share(MockOptions* options, const std::string& name, const char* value) {
  if (name == "--error-share") options->error_share = number_in(name, value, 0, 1);
  else if (name == "--stall-share") options->stall_share = number_in(name, value, 0, 1);
  else if (name == "--reset-share") options->reset_share = number_in(name, value, 0, 1);
  else fail(name + " is not known");
}

void read_option(MockOptions* options, const std::string& name, const char* value) {
  if (name == "--port") options->port = static_cast<uint16_t>(whole_in(name, value, 0, 65'535));
  else if (name == "--tls-port") options->tls_port = static_cast<uint16_t>(whole_in(name, value, 1, 65'535));
  else if (name == "--cert-file") options->cert_file = value;
  else if (name == "--key-file") options->key_file = value;
  else if (name == "--latency-ms") options->latency_ns = ns_in(name, value);
  else if (name == "--jitter-ms") options->jitter_ns = ns_in(name, value);
  else if (name == "--chunks") options->chunks = whole_in(name, value, 0, CHUNKS_MAX);
  else if (name == "--chunk-delay-ms") options->chunk_delay_ns = ns_in(name, value);
  else if (name == "--chunk-bytes") options->chunk_bytes = whole_in(name, value, 0, ANSWER_BYTES_MAX);
  else if (name == "--usage") options->usage = is_on(name, value);
  else if (name == "--answer-bytes") options->answer_bytes = whole_in(name, value, 0, ANSWER_BYTES_MAX);
  else if (name == "--error-status") options->error_status = static_cast<int>(whole_in(name, value, 400, 599));
  else if (name == "--seed") options->seed = whole_in(name, value, 0, 1ULL << 53);
  else read_share(options, name, value);
}

}  // namespace

MockOptions read_mock_options(int argc, char** argv) {
  MockOptions options;
  for (int i = 0; i < argc; i += 2) {
    if (i + 1 == argc) fail(std::string(argv[i]) + " needs a value");
    read_option(&options, argv[i], argv[i + 1]);
  }
  if (options.error_share + options.stall_share + options.reset_share > 1) fail("the shares are more than 1 together");
  if (options.chunks * options.chunk_bytes > ANSWER_BYTES_MAX) {
    fail("a stream of more than " + std::to_string(ANSWER_BYTES_MAX) + " bytes");
  }
  if (options.tls_port != 0 && (options.cert_file.empty() || options.key_file.empty())) {
    fail("--tls-port needs --cert-file and --key-file");
  }
  return options;
}

}  // namespace bench
