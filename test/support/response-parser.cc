// The response parser for tests and benchmarks, as an addon of its own: `make -C src/native build/parser.node`. Each piece is parsed in an
// allocation of its exact size, so that AddressSanitizer sees a byte that is read outside of it.
#include <algorithm>
#include <ctime>
#include <memory>
#include <string>
#include <vector>

#include "addon.h"
#include "upstream/response-parser.h"

namespace sluice {
namespace {

using upstream::HeaderRules;
using upstream::ResponseParser;
using Event = ResponseParser::Event;

// Both stay where they are: the parser points to the rules.
struct Subject {
  explicit Subject(uint32_t head_bytes_max) : rules(head_bytes_max), parser(&rules) {}
  HeaderRules rules;
  ResponseParser parser;
};

void set(napi_env env, napi_value object, const char* name, napi_value value) {
  ok(env, napi_set_named_property(env, object, name, value));
}

napi_value text(napi_env env, const char* data, size_t length) {
  napi_value value = nullptr;
  ok(env, napi_create_string_latin1(env, length == 0 ? "" : data, length, &value));
  return value;
}

napi_value text(napi_env env, const char* data) { return text(env, data, NAPI_AUTO_LENGTH); }

napi_value flag(napi_env env, bool value) {
  napi_value result = nullptr;
  ok(env, napi_get_boolean(env, value, &result));
  return result;
}

napi_value number(napi_env env, double value) {
  napi_value result = nullptr;
  ok(env, napi_create_double(env, value, &result));
  return result;
}

napi_value range(napi_env env, const ResponseParser& parser, ResponseParser::Range where) {
  napi_value none = nullptr;
  ok(env, napi_get_null(env, &none));
  return where.start < 0 ? none : text(env, parser.text() + where.start, static_cast<size_t>(where.end - where.start));
}

napi_value event_object(napi_env env, const char* kind) {
  napi_value event = nullptr;
  ok(env, napi_create_object(env, &event));
  set(env, event, "kind", text(env, kind));
  return event;
}

napi_value head_event(napi_env env, const ResponseParser& parser) {
  napi_value event = event_object(env, "head");
  set(env, event, "status", number(env, parser.status));
  set(env, event, "reusable", flag(env, parser.reusable));
  set(env, event, "chunked", flag(env, parser.chunked));
  set(env, event, "closeDelimited", flag(env, parser.close_delimited));
  set(env, event, "contentLength", number(env, static_cast<double>(parser.content_length)));
  set(env, event, "lines", text(env, parser.text(), parser.lines_length));
  set(env, event, "contentType", range(env, parser, parser.content_type));
  set(env, event, "contentEncoding", range(env, parser, parser.content_encoding));
  set(env, event, "requestId", range(env, parser, parser.request_id));
  set(env, event, "textLength", number(env, static_cast<double>(parser.text_length)));
  return event;
}

napi_value body_event(napi_env env, const ResponseParser& parser) {
  napi_value event = event_object(env, "body");
  napi_value bytes = nullptr;
  ok(env, napi_create_buffer_copy(env, parser.body_length, parser.body, nullptr, &bytes));
  set(env, event, "bytes", bytes);
  return event;
}

// `left`: bytes of the piece behind the event.
napi_value event_of(napi_env env, const ResponseParser& parser, Event kind, size_t left) {
  if (kind == Event::kHead) return head_event(env, parser);
  if (kind == Event::kBody) return body_event(env, parser);
  napi_value event = event_object(env, kind == Event::kEnd ? "end" : "error");
  if (kind == Event::kEnd) set(env, event, "left", number(env, static_cast<double>(left)));
  else set(env, event, "reason", text(env, parser.reason));
  return event;
}

Subject* subject_of(napi_env env, napi_value value) {
  void* subject = nullptr;
  return ok(env, napi_get_value_external(env, value, &subject)) ? static_cast<Subject*>(subject) : nullptr;
}

bool drop_names(napi_env env, napi_value names, HeaderRules* rules) {
  uint32_t count = 0;
  if (!ok(env, napi_get_array_length(env, names, &count))) return false;
  for (uint32_t i = 0; i < count; i++) {
    napi_value name = nullptr;
    char bytes[64];
    size_t length = 0;
    if (!ok(env, napi_get_element(env, names, i, &name))) return false;
    if (!ok(env, napi_get_value_string_latin1(env, name, bytes, sizeof(bytes), &length))) return false;
    if (!rules->drop(bytes, length)) return ok(env, napi_invalid_arg);
  }
  return true;
}

// open(dropped: string[], headBytesMax: number): a parser
napi_value open(napi_env env, napi_callback_info info) {
  size_t argc = 2;
  napi_value argv[2];
  uint32_t head_bytes_max = 0;
  if (!ok(env, napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr))) return nullptr;
  if (!ok(env, napi_get_value_uint32(env, argv[1], &head_bytes_max))) return nullptr;
  auto subject = std::make_unique<Subject>(head_bytes_max);
  if (!drop_names(env, argv[0], &subject->rules)) return nullptr;
  napi_value handle = nullptr;
  const auto finalize = [](napi_env, void* data, void*) { delete static_cast<Subject*>(data); };
  if (ok(env, napi_create_external(env, subject.get(), finalize, nullptr, &handle))) static_cast<void>(subject.release());
  return handle;
}

// begin(parser, headRequest: boolean): void
napi_value begin(napi_env env, napi_callback_info info) {
  size_t argc = 2;
  napi_value argv[2];
  bool head_request = false;
  if (!ok(env, napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr))) return nullptr;
  if (!ok(env, napi_get_value_bool(env, argv[1], &head_request))) return nullptr;
  Subject* subject = subject_of(env, argv[0]);
  if (subject != nullptr) subject->parser.begin(head_request);
  return nullptr;
}

// feed(parser, piece: Uint8Array): events
napi_value feed(napi_env env, napi_callback_info info) {
  size_t argc = 2;
  napi_value argv[2];
  Bytes piece;
  napi_value events = nullptr;
  if (!ok(env, napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr))) return nullptr;
  Subject* subject = subject_of(env, argv[0]);
  if (subject == nullptr || !bytes_of(env, argv[1], &piece) || !ok(env, napi_create_array(env, &events))) return nullptr;
  const auto data = std::make_unique<uint8_t[]>(piece.length);
  std::copy_n(piece.data, piece.length, data.get());
  ResponseParser& parser = subject->parser;
  size_t at = 0;
  for (uint32_t count = 0;; count++) {
    size_t used = 0;
    const Event event = parser.next(data.get() + at, piece.length - at, &used);
    at += used;
    if (event == Event::kMore && at != piece.length) napi_throw_error(env, "SLUICE_NATIVE", "more, and bytes were left");
    if (event == Event::kMore) return events;
    ok(env, napi_set_element(env, events, count, event_of(env, parser, event, piece.length - at)));
    if (event == Event::kEnd || event == Event::kError) return events;
  }
}

// closed(parser): events
napi_value closed(napi_env env, napi_callback_info info) {
  size_t argc = 1;
  napi_value argv[1];
  napi_value events = nullptr;
  if (!ok(env, napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr))) return nullptr;
  Subject* subject = subject_of(env, argv[0]);
  if (subject == nullptr || !ok(env, napi_create_array(env, &events))) return nullptr;
  const Event event = subject->parser.closed();
  if (event != Event::kMore) ok(env, napi_set_element(env, events, 0, event_of(env, subject->parser, event, 0)));
  return events;
}

// time(parser, response: Uint8Array, rounds: number): nanoseconds of CPU that one response takes
napi_value time(napi_env env, napi_callback_info info) {
  size_t argc = 3;
  napi_value argv[3];
  Bytes response;
  uint32_t rounds = 0;
  if (!ok(env, napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr))) return nullptr;
  Subject* subject = subject_of(env, argv[0]);
  if (subject == nullptr || !bytes_of(env, argv[1], &response)) return nullptr;
  if (!ok(env, napi_get_value_uint32(env, argv[2], &rounds))) return nullptr;
  // Pieces of chunked bodies are moved, so each round has its own bytes.
  std::vector<uint8_t> data(response.length);
  timespec before, after;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
  for (uint32_t round = 0; round < rounds; round++) {
    std::copy_n(response.data, response.length, data.data());
    subject->parser.begin(false);
    Event event = Event::kHead;
    size_t used = 0;
    for (size_t at = 0; event == Event::kHead || event == Event::kBody; at += used) {
      event = subject->parser.next(data.data() + at, response.length - at, &used);
    }
  }
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
  const double ns = static_cast<double>(after.tv_sec - before.tv_sec) * 1e9 + static_cast<double>(after.tv_nsec - before.tv_nsec);
  return number(env, ns / rounds);
}

napi_value init(napi_env env, napi_value exports) {
  define(env, exports, "open", open);
  define(env, exports, "begin", begin);
  define(env, exports, "feed", feed);
  define(env, exports, "closed", closed);
  define(env, exports, "time", time);
  return exports;
}

}  // namespace
}  // namespace sluice

NAPI_MODULE(NODE_GYP_MODULE_NAME, sluice::init)
