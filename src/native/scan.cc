// The request scan: checks all of a JSON body and finds the few fields the gateway needs, as offsets into the client's bytes.
// Gateway worker, main thread.
//
// Stage 1 (json-index.h) finds the structural positions; the walk (json-walk.h) checks the grammar over them. Accepts exactly what
// JSON.parse accepts in valid UTF-8 (fuzzed against it), up to a depth. Duplicate routing fields are refused, so that
// nobody can disagree about which one counts.
#include "scan-whole.h"

namespace sluice {

thread_local int32_t* scanned = nullptr;

namespace {

// scanRequest(body: Uint8Array, depthMax: number): code; the fields are in `scanned`
napi_value scan_request(napi_env env, napi_callback_info info) { return scan_call<false>(env, info, false); }

// The same without what only this CPU can do.
napi_value scan_request_portable(napi_env env, napi_callback_info info) { return scan_call<false>(env, info, true); }

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
