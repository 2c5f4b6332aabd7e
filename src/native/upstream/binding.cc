// The functions of native/upstream.ts. Gateway worker, main thread.
#include <openssl/err.h>
#include <openssl/x509_vfy.h>
#include <uv.h>

#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "../addon.h"
#include "connection.h"
#include "hub.h"
#include "tls-context.h"

namespace sluice {
namespace {

using upstream::Cause;
using upstream::Connection;
using upstream::Hub;
using upstream::hub_of_thread;
using upstream::TlsContext;
using upstream::TlsStream;

// A DNS name has 253 characters, an address at most 45.
constexpr size_t NAME_BYTES_MAX = 256;
constexpr size_t HEAD_BYTES_FIRST = 16384;

napi_value fail(napi_env env, const char* why) {
  napi_throw_error(env, "SLUICE_UPSTREAM", why);
  return nullptr;
}

// The arguments of a call, and the hub of this thread; false and a pending exception when there is none.
bool arguments(napi_env env, napi_callback_info info, size_t count, napi_value* argv) {
  if (!ok(env, napi_get_cb_info(env, info, &count, argv, nullptr, nullptr))) return false;
  if (hub_of_thread != nullptr) return true;
  fail(env, "upstreamOpen was not called");
  return false;
}

napi_value number(napi_env env, int32_t value) {
  napi_value result = nullptr;
  napi_create_int32(env, value, &result);
  return result;
}

bool short_text_of(napi_env env, napi_value value, char* out) {
  size_t length = 0;
  if (!ok(env, napi_get_value_string_utf8(env, value, out, NAME_BYTES_MAX, &length))) return false;
  if (length < NAME_BYTES_MAX - 1 && std::strlen(out) == length) return true;
  fail(env, "this is no name or address");
  return false;
}

bool drop_names(napi_env env, napi_value names, Hub* made) {
  uint32_t count = 0;
  if (!ok(env, napi_get_array_length(env, names, &count))) return false;
  for (uint32_t i = 0; i < count; i += 1) {
    napi_value item;
    std::string name;
    if (!ok(env, napi_get_element(env, names, i, &item)) || !text_of(env, item, &name)) return false;
    if (made->rules.drop(name.data(), name.size())) continue;
    fail(env, "a header name is too long, or there are too many");
    return false;
  }
  return true;
}

// upstreamOpen(onEvents, droppedNames, headerBytesMax, connectionsMax)
napi_value upstream_open(napi_env env, napi_callback_info info) {
  size_t argc = 4;
  napi_value argv[4];
  uint32_t head_bytes = 0, connections = 0;
  uv_loop_t* loop = nullptr;
  if (!ok(env, napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr))) return nullptr;
  if (hub_of_thread != nullptr) return fail(env, "upstreamOpen was called before");
  if (!ok(env, napi_get_value_uint32(env, argv[2], &head_bytes)) || !ok(env, napi_get_value_uint32(env, argv[3], &connections)))
    return nullptr;
  if (head_bytes > upstream::HEAD_BYTES_MAX || connections > upstream::ConnectionTable::SLOTS_MAX) return fail(env, "a bound is too large");
  if (!ok(env, napi_get_uv_event_loop(env, &loop))) return nullptr;
  auto made = std::make_unique<Hub>(env, loop, head_bytes, connections);
  napi_value result = nullptr;
  if (!drop_names(env, argv[1], made.get())) return nullptr;
  if (!made->open(argv[0], &result)) return nullptr;
  hub_of_thread = made.release();
  return result;
}

// upstreamTls(caPem, certificatePem, keyPem, ciphers)
napi_value upstream_tls(napi_env env, napi_callback_info info) {
  napi_value argv[4];
  TlsContext::Settings settings;
  if (!arguments(env, info, 4, argv)) return nullptr;
  if (!text_of(env, argv[0], &settings.authorities) || !text_of(env, argv[1], &settings.certificate)) return nullptr;
  if (!text_of(env, argv[2], &settings.key) || !text_of(env, argv[3], &settings.ciphers)) return nullptr;
  const char* problem = nullptr;
  std::shared_ptr<TlsContext> context = TlsContext::make(settings, &problem);
  if (context == nullptr) return fail(env, problem);
  auto& contexts = hub_of_thread->contexts;
  size_t at = 0;
  while (at < contexts.size() && contexts[at] != nullptr) at += 1;
  if (at == contexts.size()) contexts.emplace_back();
  contexts[at] = std::move(context);
  return number(env, static_cast<int32_t>(at));
}

// upstreamTlsClose(context)
napi_value upstream_tls_close(napi_env env, napi_callback_info info) {
  napi_value argv[1];
  uint32_t at = 0;
  if (!arguments(env, info, 1, argv) || !ok(env, napi_get_value_uint32(env, argv[0], &at))) return nullptr;
  if (at < hub_of_thread->contexts.size()) hub_of_thread->contexts[at] = nullptr;
  return nullptr;
}

// upstreamConnect(address, port, context, serverName)
napi_value upstream_connect(napi_env env, napi_callback_info info) {
  napi_value argv[4];
  char address[NAME_BYTES_MAX], server_name[NAME_BYTES_MAX];
  uint32_t port = 0;
  int32_t context = -1;
  if (!arguments(env, info, 4, argv)) return nullptr;
  if (!short_text_of(env, argv[0], address) || !short_text_of(env, argv[3], server_name)) return nullptr;
  if (!ok(env, napi_get_value_uint32(env, argv[1], &port)) || !ok(env, napi_get_value_int32(env, argv[2], &context))) return nullptr;
  if (port > 65535) return fail(env, "a port has 16 bits");
  std::unique_ptr<TlsStream> tls;
  if (context >= 0) {
    const auto at = static_cast<size_t>(context);
    const auto& contexts = hub_of_thread->contexts;
    if (at >= contexts.size() || contexts[at] == nullptr) return fail(env, "this TLS context is not open");
    tls = std::make_unique<TlsStream>(contexts[at], server_name, &hub_of_thread->wire);
  }
  return number(env, Connection::open(hub_of_thread, address, static_cast<uint16_t>(port), std::move(tls)));
}

// The head, in memory that stays: its length is not asked for, because that costs as much as reading it.
bool head_of(napi_env env, napi_value value, Bytes* out) {
  std::string& head = hub_of_thread->head;
  if (head.empty()) head.resize(HEAD_BYTES_FIRST);
  size_t length = 0;
  if (!ok(env, napi_get_value_string_latin1(env, value, head.data(), head.size(), &length))) return false;
  if (length == head.size() - 1) {
    if (!ok(env, napi_get_value_string_latin1(env, value, nullptr, 0, &length))) return false;
    if (length >= head.size()) head.resize(2 * length);
    if (!ok(env, napi_get_value_string_latin1(env, value, head.data(), head.size(), &length))) return false;
  }
  out->data = reinterpret_cast<uint8_t*>(head.data());
  out->length = length;
  return true;
}

bool body_of(napi_env env, napi_value value, Bytes* out) {
  napi_valuetype type;
  if (!ok(env, napi_typeof(env, value, &type))) return false;
  return type == napi_null || bytes_of(env, value, out);
}

bool id_of(napi_env env, napi_value value, int32_t* out) { return ok(env, napi_get_value_int32(env, value, out)); }

// upstreamSend(connection, head, body, bodyReady, headRequest)
napi_value upstream_send(napi_env env, napi_callback_info info) {
  napi_value argv[5];
  uint32_t ready = 0;
  int32_t id = -1;
  Bytes head, body;
  bool head_request = false;
  if (!arguments(env, info, 5, argv) || !id_of(env, argv[0], &id)) return nullptr;
  if (!head_of(env, argv[1], &head) || !body_of(env, argv[2], &body)) return nullptr;
  if (!ok(env, napi_get_value_uint32(env, argv[3], &ready)) || !ok(env, napi_get_value_bool(env, argv[4], &head_request))) return nullptr;
  Connection* connection = hub_of_thread->table.at(id);
  if (connection != nullptr && !connection->takes_request()) return fail(env, "a request is on this connection");
  const bool sent = connection != nullptr && connection->send(head, body, argv[2], ready, head_request);
  napi_value result = nullptr;
  napi_get_boolean(env, sent, &result);
  return result;
}

// upstreamRelease(connection, bodyReady)
napi_value upstream_release(napi_env env, napi_callback_info info) {
  napi_value argv[2];
  int32_t id = -1;
  uint32_t ready = 0;
  if (!arguments(env, info, 2, argv) || !id_of(env, argv[0], &id) || !ok(env, napi_get_value_uint32(env, argv[1], &ready)))
    return nullptr;
  if (Connection* connection = hub_of_thread->table.at(id)) connection->release(ready);
  return nullptr;
}

// upstreamPause(connection, paused)
napi_value upstream_pause(napi_env env, napi_callback_info info) {
  napi_value argv[2];
  int32_t id = -1;
  bool paused = false;
  if (!arguments(env, info, 2, argv) || !id_of(env, argv[0], &id) || !ok(env, napi_get_value_bool(env, argv[1], &paused)))
    return nullptr;
  if (Connection* connection = hub_of_thread->table.at(id)) connection->pause(paused);
  return nullptr;
}

// upstreamClose(connection)
napi_value upstream_close(napi_env env, napi_callback_info info) {
  napi_value argv[1];
  int32_t id = -1;
  if (!arguments(env, info, 1, argv) || !id_of(env, argv[0], &id)) return nullptr;
  if (Connection* connection = hub_of_thread->table.at(id)) connection->close();
  return nullptr;
}

// upstreamConnections()
napi_value upstream_connections(napi_env env, napi_callback_info) {
  return number(env, hub_of_thread == nullptr ? 0 : static_cast<int32_t>(hub_of_thread->table.count()));
}

const char* reason_of(int32_t cause, int32_t detail) {
  const char* text = nullptr;
  switch (static_cast<Cause>(cause)) {
    case Cause::SYSTEM: return std::strerror(detail);
    case Cause::PEER: return detail == 0 ? "the peer closed the connection" : std::strerror(detail);
    case Cause::PROTOCOL: return hub_of_thread->reason_at(detail);
    case Cause::TLS: text = ERR_reason_error_string(static_cast<uint32_t>(detail)); break;
    case Cause::CERTIFICATE: text = X509_verify_cert_error_string(detail); break;
  }
  return text == nullptr ? "unknown" : text;
}

// upstreamReason(cause, detail)
napi_value upstream_reason(napi_env env, napi_callback_info info) {
  napi_value argv[2];
  int32_t cause = 0, detail = 0;
  if (!arguments(env, info, 2, argv) || !id_of(env, argv[0], &cause) || !id_of(env, argv[1], &detail)) return nullptr;
  napi_value result = nullptr;
  napi_create_string_utf8(env, reason_of(cause, detail), NAPI_AUTO_LENGTH, &result);
  return result;
}

// upstreamPatience(ms)
napi_value upstream_patience(napi_env env, napi_callback_info info) {
  napi_value argv[1];
  uint32_t ms = 0;
  if (!arguments(env, info, 1, argv) || !ok(env, napi_get_value_uint32(env, argv[0], &ms))) return nullptr;
  if (hub_of_thread != nullptr) hub_of_thread->patience_ms = ms;
  return nullptr;
}

}  // namespace

void register_upstream(napi_env env, napi_value exports) {
  define(env, exports, "upstreamOpen", upstream_open);
  define(env, exports, "upstreamTls", upstream_tls);
  define(env, exports, "upstreamTlsClose", upstream_tls_close);
  define(env, exports, "upstreamConnect", upstream_connect);
  define(env, exports, "upstreamSend", upstream_send);
  define(env, exports, "upstreamRelease", upstream_release);
  define(env, exports, "upstreamPause", upstream_pause);
  define(env, exports, "upstreamPatience", upstream_patience);
  define(env, exports, "upstreamClose", upstream_close);
  define(env, exports, "upstreamConnections", upstream_connections);
  define(env, exports, "upstreamReason", upstream_reason);
}

}  // namespace sluice
