// Makes the answers of the mock provider; see mock-answers.h.
#include "mock-answers.h"

#include "fault.h"

namespace bench {
namespace {

constexpr const char* IDENTITY = R"("id":"chatcmpl-9a8b7c6d5e4f3a2b1c0d",)";
constexpr const char* CREATED = R"("created":1760000000,"model":"gpt-4o-2024-08-06",)";
constexpr const char* USAGE =
    R"("usage":{"prompt_tokens":58,"completion_tokens":52,"total_tokens":110,"prompt_tokens_details":{"cached_tokens":0},)"
    R"("completion_tokens_details":{"reasoning_tokens":0}})";
constexpr const char* TEXT =
    "I am sorry to hear that. Please send us a photo of the damage and of the box, and I will pass this on to my colleagues. "
    "They answer within one working day, and a new case leaves our warehouse on the day of their decision. ";
constexpr size_t EMBEDDING_DIMENSIONS = 256;

// Text of exactly so many bytes.
std::string text_of(size_t bytes) {
  std::string text;
  text.reserve(bytes);
  const std::string_view part(TEXT);
  while (text.size() < bytes) text.append(part.substr(0, std::min(part.size(), bytes - text.size())));
  return text;
}

const char* reason_of(int status) {
  switch (status) {
    case 200: return "OK";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 404: return "Not Found";
    case 429: return "Too Many Requests";
    case 500: return "Internal Server Error";
    case 502: return "Bad Gateway";
    case 503: return "Service Unavailable";
    case 504: return "Gateway Timeout";
    default: return "Mock";
  }
}

std::string whole(int status, const std::string& body, const char* extra = "") {
  return "HTTP/1.1 " + std::to_string(status) + " " + reason_of(status) + "\r\nContent-Type: application/json\r\n" + extra +
         "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

std::string padded(const std::string& before, const std::string& after, size_t bytes, const std::string& option) {
  const size_t least = before.size() + after.size();
  if (bytes < least) fail(option + " must be at least " + std::to_string(least));
  return before + text_of(bytes - least) + after;
}

std::string completion_body(size_t bytes) {
  const std::string before = std::string("{") + IDENTITY + R"("object":"chat.completion",)" + CREATED +
                             R"("choices":[{"index":0,"message":{"role":"assistant","content":")";
  return padded(before, std::string(R"("},"finish_reason":"stop"}],)") + USAGE + "}", bytes, "--answer-bytes");
}

std::string embeddings_body() {
  std::string body = R"({"object":"list","data":[{"object":"embedding","index":0,"embedding":[)";
  for (size_t i = 0; i < EMBEDDING_DIMENSIONS; i++) body += (i == 0 ? "" : ",") + std::string("0.0") + std::to_string(i + 1000);
  return body + R"(]}],"model":"text-embedding-3-small","usage":{"prompt_tokens":8,"total_tokens":8}})";
}

std::string models_body() {
  const std::string head = R"({"object":"list","data":[)";
  const std::string tail = R"(,"object":"model","created":1760000000,"owned_by":"mock"})";
  return head + R"({"id":"gpt-4o")" + tail + R"(,{"id":"text-embedding-3-small")" + tail + "]}";
}

std::string error_body(int status) {
  const char* type = status == 429 ? "rate_limit_error" : status >= 500 ? "server_error" : "invalid_request_error";
  return std::string(R"({"error":{"message":"The mock provider was told to fail.","type":")") + type +
         R"(","param":null,"code":"mock_error"}})";
}

std::string not_found_body() {
  return R"({"error":{"message":"Unknown request URL.","type":"invalid_request_error","param":null,"code":"unknown_url"}})";
}

std::string event_start() {
  return std::string("data: {") + IDENTITY + R"("object":"chat.completion.chunk",)" + CREATED;
}

// As many bytes as asked, all of the event counted; the shortest one when 0 is.
std::string content_event(size_t bytes) {
  const std::string before = event_start() + R"("choices":[{"index":0,"delta":{"content":")";
  const std::string after = "\"},\"finish_reason\":null}]}\n\n";
  return bytes == 0 ? before + " word" + after : padded(before, after, bytes, "--chunk-bytes");
}

std::string closing_events(bool usage) {
  std::string events = event_start() + "\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
  if (usage) events += event_start() + R"("choices":[],)" + USAGE + "}\n\n";
  return events + "data: [DONE]\n\n";
}

std::string chunk(const std::string& bytes) {
  char size[24];
  std::snprintf(size, sizeof size, "%zx\r\n", bytes.size());
  return size + bytes + "\r\n";
}

StreamAnswer stream_of(const MockOptions& options) {
  StreamAnswer stream;
  const std::string head =
      "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nCache-Control: no-cache\r\n"
      "Transfer-Encoding: chunked\r\n\r\n";
  stream.event = chunk(content_event(options.chunk_bytes));
  stream.closing = chunk(closing_events(options.usage)) + "0\r\n\r\n";
  stream.opening = options.chunks == 0 ? head : head + stream.event;
  if (options.chunk_delay_ns > 0) return stream;
  stream.at_once = stream.opening;
  for (uint64_t i = 1; i < options.chunks; i++) stream.at_once += stream.event;
  stream.at_once += stream.closing;
  return stream;
}

}  // namespace

MockAnswers::MockAnswers(const MockOptions& options)
    : completion(whole(200, completion_body(options.answer_bytes))),
      embeddings(whole(200, embeddings_body())),
      models(whole(200, models_body())),
      error(whole(options.error_status, error_body(options.error_status))),
      not_found(whole(404, not_found_body())),
      malformed(whole(400, error_body(400), "Connection: close\r\n")),
      stream(stream_of(options)) {}

}  // namespace bench
