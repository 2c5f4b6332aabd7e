// Reads the spec of a run; see spec.h. The bytes of every request are made here, so that a request costs no more than
// handing them to the kernel.
#include "spec.h"

#include <algorithm>
#include <fstream>
#include <sstream>

#include "bounds.h"
#include "clock.h"
#include "http-head.h"
#include "spec-json.h"

namespace bench {
namespace {

std::string read_file(const std::string& path, size_t bytes_max) {
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  if (!file) fail_errno(path);
  const auto size = static_cast<std::streamoff>(file.tellg());
  if (size < 0 || static_cast<size_t>(size) > bytes_max) {
    fail(path + " is larger than " + std::to_string(bytes_max) + " bytes");
  }
  std::string bytes(static_cast<size_t>(size), '\0');
  file.seekg(0);
  if (!file.read(bytes.data(), size)) fail("could not read " + path);
  return bytes;
}

bool is_printable(std::string_view text, char low) {
  for (const char c : text) {
    if (c < low || c > '~') return false;
  }
  return true;
}

bool is_upper_word(std::string_view text) {
  for (const char c : text) {
    if (c < 'A' || c > 'Z') return false;
  }
  return !text.empty();
}

void check_header(const std::string& where, std::string_view name, std::string_view value) {
  if (name.empty() || !is_printable(name, '!') || name.find(':') != std::string_view::npos || !is_printable(value, ' ')) {
    fail(where + " must be pairs of a header's name and value, in printable ASCII");
  }
  for (const std::string_view ours : {"content-length", "transfer-encoding", "connection", "host"}) {
    if (equals(name, ours)) fail(where + ": " + std::string(ours) + " is set by the generator");
  }
}

std::string headers_of(JsonObject& request) {
  Json value;
  std::string lines;
  if (!request.find("headers", &value)) return lines;
  simdjson::dom::array pairs;
  if (value.get(pairs) != simdjson::SUCCESS) fail(request.at("headers") + " must be an array");
  for (const Json pair : pairs) {
    std::string_view name, text;
    const bool is_pair = pair.at(0).get(name) == simdjson::SUCCESS && pair.at(1).get(text) == simdjson::SUCCESS;
    if (!is_pair) fail(request.at("headers") + " must be pairs of two strings");
    check_header(request.at("headers"), name, text);
    lines.append(name).append(": ").append(text).append("\r\n");
  }
  return lines;
}

std::string body_of(JsonObject& request, bool* present) {
  Json value;
  *present = request.find("bodyFile", &value);
  return *present ? read_file(request.text("bodyFile"), BODY_BYTES_MAX) : std::string();
}

// The answer to HEAD has a length and no body, which is no use here.
std::string bytes_of(JsonObject& request, const std::string& host) {
  const std::string method = request.text("method");
  const std::string path = request.text("path");
  if (!is_upper_word(method) || method == "HEAD" || method == "CONNECT") fail(request.at("method") + " is not possible");
  if (path.empty() || path[0] != '/' || !is_printable(path, '!')) fail(request.at("path") + " must begin with /");
  bool has_body = false;
  std::string head = method + " " + path + " HTTP/1.1\r\nHost: " + host + "\r\n" + headers_of(request);
  const std::string body = body_of(request, &has_body);
  if (has_body || method != "GET") head += "Content-Length: " + std::to_string(body.size()) + "\r\n";
  return head + "\r\n" + body;
}

bool is_lower_word(std::string_view text) {
  for (const char c : text) {
    if ((c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-') return false;
  }
  return !text.empty();
}

// Where the latency of such requests alone is kept; requests may share a name.
size_t metric_of(JsonObject& request, std::vector<std::string>* metrics) {
  Json value;
  if (!request.find("name", &value)) return 0;
  const std::string name = request.text("name");
  const bool is_taken = std::find(METRIC_NAMES, METRIC_NAMES + METRICS, name) != METRIC_NAMES + METRICS;
  if (!is_lower_word(name) || is_taken) fail(request.at("name") + " must be a word of a-z, 0-9 and -, and no metric's name");
  const auto place = std::find(metrics->begin(), metrics->end(), name);
  if (place == metrics->end()) metrics->push_back(name);
  return static_cast<size_t>(std::find(metrics->begin(), metrics->end(), name) - metrics->begin());
}

uint32_t crc32_of(JsonObject& expect) {
  const std::string text = expect.text("crc32");
  size_t used = 0;
  const bool is_hex = text.size() == 8 && text.find_first_not_of("0123456789abcdefABCDEF") == std::string::npos;
  if (!is_hex) fail(expect.at("crc32") + " must be 8 hexadecimal digits");
  return static_cast<uint32_t>(std::stoul(text, &used, 16));
}

Expectation expectation_of(JsonObject expect) {
  Expectation result;
  Json value;
  const std::string kind = expect.text("kind");
  if (kind != "whole" && kind != "stream") fail(expect.at("kind") + " must be \"whole\" or \"stream\"");
  result.status = static_cast<int>(expect.whole("status", 200, 599));
  result.stream = kind == "stream";
  result.has_bytes = expect.find("bytes", &value);
  if (result.has_bytes) result.bytes = expect.whole("bytes", 0, UINT64_MAX >> 1);
  result.has_events = expect.find("events", &value);
  if (result.has_events) result.events = expect.whole("events", 0, UINT32_MAX);
  result.has_crc32 = expect.find("crc32", &value);
  if (result.has_crc32) result.crc32 = crc32_of(expect);
  expect.refuse_others();
  return result;
}

void read_requests(JsonObject& root, const std::string& host, Spec* spec) {
  simdjson::dom::array requests;
  if (root.need("requests").get(requests) != simdjson::SUCCESS) fail("spec.requests must be an array");
  if (requests.size() < 1 || requests.size() > REQUESTS_MAX) {
    fail("spec.requests must have 1 to " + std::to_string(REQUESTS_MAX) + " entries");
  }
  spec->metrics.assign(METRIC_NAMES, METRIC_NAMES + METRICS);
  size_t bytes = 0;
  for (const Json value : requests) {
    JsonObject request("spec.requests[" + std::to_string(spec->requests.size()) + "]", value);
    RequestKind kind;
    kind.weight = request.whole_or("weight", 1, WEIGHT_MAX, 1);
    kind.metric = metric_of(request, &spec->metrics);
    kind.bytes = bytes_of(request, host);
    kind.expect = expectation_of(JsonObject(request.at("expect"), request.need("expect")));
    request.refuse_others();
    bytes += kind.bytes.size();
    if (bytes > BODIES_BYTES_MAX) fail("the bodies are larger than " + std::to_string(BODIES_BYTES_MAX) + " bytes together");
    spec->weights += kind.weight;
    spec->requests.push_back(std::move(kind));
  }
}

std::string read_target(JsonObject target, Spec* spec) {
  const std::string host = target.text("host");
  const uint64_t port = target.whole("port", 1, 65'535);
  target.refuse_others();
  spec->target = loopback_address(host, static_cast<uint16_t>(port));
  return (host.find(':') == std::string::npos ? host : "[" + host + "]") + ":" + std::to_string(port);
}

void read_mode(JsonObject mode, Spec* spec) {
  const std::string kind = mode.text("kind");
  if (kind != "closed" && kind != "open") fail(mode.at("kind") + " must be \"closed\" or \"open\"");
  spec->open = kind == "open";
  if (spec->open) spec->rate_per_second = mode.positive("ratePerSecond", RATE_PER_SECOND_MAX);
  spec->connections = mode.whole(spec->open ? "connectionsMax" : "connections", 1, CONNECTIONS_MAX);
  mode.refuse_others();
}

void read_times(JsonObject& root, Spec* spec) {
  spec->warm_up_ns = root.whole_or("warmUpMs", 0, PHASE_MS_MAX, 0) * NS_PER_MS;
  spec->duration_ns = root.whole("durationMs", 1, PHASE_MS_MAX) * NS_PER_MS;
  spec->drain_ns = root.whole_or("drainMs", 0, PHASE_MS_MAX, 10'000) * NS_PER_MS;
  spec->timeout_ns = root.whole_or("timeoutMs", 1, PHASE_MS_MAX, 10'000) * NS_PER_MS;
  spec->hold_ns = root.whole_or("holdMs", 0, PHASE_MS_MAX, 0) * NS_PER_MS;
  spec->interval_ns = root.whole_or("intervalMs", INTERVAL_MS_MIN, PHASE_MS_MAX, 1'000) * NS_PER_MS;
  if (spec->duration_ns / spec->interval_ns >= INTERVALS_MAX) {
    fail("spec.intervalMs is too short: more than " + std::to_string(INTERVALS_MAX) + " intervals");
  }
}

void read_abort(JsonObject& root, Spec* spec) {
  Json value;
  if (!root.find("abort", &value)) return;
  JsonObject abort("spec.abort", value);
  spec->abort_share = abort.positive("share", 1);
  spec->abort_after_events = abort.whole_or("afterEvents", 0, UINT32_MAX, 1);
  abort.refuse_others();
}

void check_descriptors(const Spec& spec) {
  const uint64_t wanted = spec.connections + spec.idle_connections + 8 * spec.threads + 16;
  const uint64_t allowed = raise_descriptor_limit();
  if (wanted <= allowed) return;
  fail("needs " + std::to_string(wanted) + " descriptors, " + std::to_string(allowed) + " are allowed (ulimit -n)");
}

}  // namespace

Spec read_spec(const std::string& path) {
  const std::string text = read_file(path, SPEC_BYTES_MAX);
  simdjson::dom::parser parser;
  Json document;
  const simdjson::error_code error = parser.parse(text).get(document);
  if (error != simdjson::SUCCESS) fail(path + " is not JSON: " + simdjson::error_message(error));
  JsonObject root("spec", document);
  Spec spec;
  const std::string host = read_target(JsonObject("spec.target", root.need("target")), &spec);
  read_requests(root, host, &spec);
  read_mode(JsonObject("spec.mode", root.need("mode")), &spec);
  read_times(root, &spec);
  read_abort(root, &spec);
  spec.requests_per_connection = root.whole_or("requestsPerConnection", 0, UINT32_MAX, 0);
  spec.idle_connections = root.whole_or("idleConnections", 0, CONNECTIONS_MAX, 0);
  spec.threads = root.whole_or("threads", 1, THREADS_MAX, 1);
  root.refuse_others();
  if (spec.threads > spec.connections) fail("spec.threads is larger than the number of connections");
  check_descriptors(spec);
  return spec;
}

}  // namespace bench
