// The request scan of a whole body that looks for what conditions and capabilities ask as well. Gateway worker, main thread.
#include "scan-look.h"

#include "scan-whole.h"

namespace sluice {

thread_local std::shared_ptr<const Fields> look_for = std::make_shared<const Fields>();

namespace {

// scanLook(body: Uint8Array, depthMax: number): code; the fields are in `scanned`
napi_value scan_look(napi_env env, napi_callback_info info) { return scan_call<true>(env, info, false); }

// The same without what only this CPU can do.
napi_value scan_look_portable(napi_env env, napi_callback_info info) { return scan_call<true>(env, info, true); }

// scanLookFor(fields: string[]): void
napi_value scan_look_for(napi_env env, napi_callback_info info) {
  size_t argc = 1;
  napi_value list = nullptr;
  Fields fields;
  if (!ok(env, napi_get_cb_info(env, info, &argc, &list, nullptr, nullptr)) || !strings_of(env, list, &fields)) return nullptr;
  if (fields.size() > LOOKED_FOR_MAX) {
    napi_throw_range_error(env, "SLUICE_SCAN", "scanLookFor: too many fields");
    return nullptr;
  }
  look_for = std::make_shared<const Fields>(std::move(fields));
  return nullptr;
}

}  // namespace

void register_scan_look(napi_env env, napi_value exports) {
  define(env, exports, "scanLook", scan_look);
  define(env, exports, "scanLookPortable", scan_look_portable);
  define(env, exports, "scanLookFor", scan_look_for);
}

}  // namespace sluice
