// The request scan: checks all of a JSON body and finds the few fields the gateway needs, as offsets into the client's bytes.
// Gateway worker, main thread.
//
// Stage 1 (json-index.h) finds the structural positions; the walk (json-walk.h) checks the grammar over them. Accepts exactly what
// JSON.parse accepts in valid UTF-8 (fuzzed against it), up to a depth. Duplicate routing fields are refused, so that
// nobody can disagree about which one counts.
#include "addon.h"
#include "json-index.h"
#include "json-walk.h"
#include "scan-fields.h"

namespace sluice {

thread_local int32_t* scanned = nullptr;

namespace {

Code scan(const Bytes& body, size_t depth_max, bool portable, int32_t* out) {
  if (body.length == 0) return INVALID;
  const JsonIndex index = index_json(body, portable);
  if (index.code != OK) {
    out[DETAIL] = index.error_at;
    return index.code;
  }
  Walk<false> walk(out);
  const Code code = walk.run(body, index, depth_max);
  out[TEXT_BYTES] = walk.text_bytes();
  return code;
}

napi_value scan_call(napi_env env, napi_callback_info info, bool portable) {
  size_t argc = 2;
  napi_value argv[2];
  Bytes body;
  uint32_t depth_max = 0;
  if (!ok(env, napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr)) || !bytes_of(env, argv[0], &body)) return nullptr;
  if (!ok(env, napi_get_value_uint32(env, argv[1], &depth_max))) return nullptr;
  if (depth_max > DEPTH_MAX || body.length > INT32_MAX) {
    napi_throw_range_error(env, "SLUICE_SCAN", "scanRequest: depth or body out of range");
    return nullptr;
  }
  clear_fields(scanned);
  napi_value result = nullptr;
  napi_create_int32(env, scan(body, depth_max, portable, scanned), &result);
  return result;
}

// scanRequest(body: Uint8Array, depthMax: number): code; the fields are in `scanned`
napi_value scan_request(napi_env env, napi_callback_info info) { return scan_call(env, info, false); }

// The same without what only this CPU can do.
napi_value scan_request_portable(napi_env env, napi_callback_info info) { return scan_call(env, info, true); }

// Makes exports.scanned, and holds it as long as the environment lives.
void define_scanned(napi_env env, napi_value exports) {
  void* data = nullptr;
  napi_value buffer = nullptr;
  napi_value array = nullptr;
  napi_ref held = nullptr;
  if (!ok(env, napi_create_arraybuffer(env, OUT_LENGTH * sizeof(int32_t), &data, &buffer))) return;
  if (!ok(env, napi_create_typedarray(env, napi_int32_array, OUT_LENGTH, buffer, 0, &array))) return;
  if (!ok(env, napi_create_reference(env, buffer, 1, &held))) return;
  if (ok(env, napi_set_named_property(env, exports, "scanned", array))) scanned = static_cast<int32_t*>(data);
}

void define_wide(napi_env env, napi_value exports) {
  napi_value wide = nullptr;
  if (ok(env, napi_get_boolean(env, has_wide_index(), &wide))) ok(env, napi_set_named_property(env, exports, "scanIsWide", wide));
}

}  // namespace

void register_scan(napi_env env, napi_value exports) {
  define(env, exports, "scanRequest", scan_request);
  define(env, exports, "scanRequestPortable", scan_request_portable);
  define_scanned(env, exports);
  define_wide(env, exports);
}

}  // namespace sluice
