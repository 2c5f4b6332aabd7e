// Shared by the addon's parts. One registration function per part; addon.cc calls them all.
#pragma once
#define NAPI_VERSION 9
#include <node_api.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace sluice {

// Throws a JavaScript Error and returns false when a call failed; used as `if (!ok(env, napi_...)) return nullptr;`.
inline bool ok(napi_env env, napi_status status) {
  if (status == napi_ok) return true;
  bool pending = false;
  napi_is_exception_pending(env, &pending);
  if (!pending) napi_throw_error(env, "SLUICE_NATIVE", "bad argument to a native function");
  return false;
}

// Registers `callback` as exports[name].
inline void define(napi_env env, napi_value exports, const char* name, napi_callback callback) {
  napi_value function = nullptr;
  if (!ok(env, napi_create_function(env, name, NAPI_AUTO_LENGTH, callback, nullptr, &function))) return;
  ok(env, napi_set_named_property(env, exports, name, function));
}

// A view on the bytes of a Uint8Array (or Buffer); false and a pending exception for anything else.
struct Bytes {
  uint8_t* data = nullptr;
  size_t length = 0;
};

inline bool bytes_of(napi_env env, napi_value value, Bytes* out) {
  napi_typedarray_type type;
  void* data = nullptr;
  if (!ok(env, napi_get_typedarray_info(env, value, &type, &out->length, &data, nullptr, nullptr))) return false;
  if (type != napi_uint8_array) {
    napi_throw_type_error(env, "SLUICE_NATIVE", "a Uint8Array is expected");
    return false;
  }
  out->data = static_cast<uint8_t*>(data);
  return true;
}

// The UTF-8 of a string; false and a pending exception for anything else.
inline bool text_of(napi_env env, napi_value value, std::string* out) {
  size_t length = 0;
  if (!ok(env, napi_get_value_string_utf8(env, value, nullptr, 0, &length))) return false;
  out->resize(length + 1);
  if (!ok(env, napi_get_value_string_utf8(env, value, out->data(), length + 1, &length))) return false;
  out->resize(length);
  return true;
}

// The same of each string of an array.
inline bool strings_of(napi_env env, napi_value array, std::vector<std::string>* out) {
  uint32_t length = 0;
  if (!ok(env, napi_get_array_length(env, array, &length))) return false;
  out->clear();
  for (uint32_t i = 0; i < length; i++) {
    napi_value element = nullptr;
    if (!ok(env, napi_get_element(env, array, i, &element)) || !text_of(env, element, &out->emplace_back())) return false;
  }
  return true;
}

void register_map(napi_env env, napi_value exports);
void register_scan(napi_env env, napi_value exports);
void register_scan_look(napi_env env, napi_value exports);
void register_scan_parts(napi_env env, napi_value exports);
void register_response(napi_env env, napi_value exports);
void register_listen(napi_env env, napi_value exports);
void register_process(napi_env env, napi_value exports);
void register_loop(napi_env env, napi_value exports);
void register_upstream(napi_env env, napi_value exports);
void register_request(napi_env env, napi_value exports);
void register_limits(napi_env env, napi_value exports);
void register_limits_head(napi_env env, napi_value exports);
void register_uws_response(napi_env env, napi_value exports);
void register_shed(napi_env env, napi_value exports);
void register_turns(napi_env env, napi_value exports);

}  // namespace sluice
