// The scan of a whole body, as a function of JavaScript. Of each file that includes it, like the walk: the machine code of the plain scan
// (scan.cc) is then the same as if there were no other (scan-look.cc).
#pragma once
#include "addon.h"
#include "json-index.h"
#include "json-walk.h"
#include "scan-fields.h"
#include "scan-look.h"

namespace sluice {
namespace {

template <bool LOOKS>
Code scan(const Bytes& body, size_t depth_max, bool portable, int32_t* out) {
  if (body.length == 0) return INVALID;
  const JsonIndex index = index_json(body, portable);
  if (index.code != OK) {
    out[DETAIL] = index.error_at;
    return index.code;
  }
  Walk<false, LOOKS> walk(out, LOOKS ? look_for.get() : nullptr);
  const Code code = walk.run(body, index, depth_max);
  out[TEXT_BYTES] = walk.text_bytes();
  return code;
}

template <bool LOOKS>
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
  napi_create_int32(env, scan<LOOKS>(body, depth_max, portable, scanned), &result);
  return result;
}

}  // namespace
}  // namespace sluice
