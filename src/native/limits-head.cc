// Binding of write_standing(): a head and its lines about limits, in the buffer in which heads are made (http/frames.ts). Gateway worker. One per
// thread.
#include "addon.h"
#include "limits-headers.h"

namespace sluice {
namespace {

constexpr size_t TOLD = 6;
constexpr int64_t MS_NS = 1'000'000;

struct Target {
  char* bytes = nullptr;
  size_t length = 0;
  double* told = nullptr;
};

thread_local Target target;

Standing standing_of(const double* told) {
  return {static_cast<int64_t>(told[0]), static_cast<int64_t>(told[1]), static_cast<int64_t>(told[2]) * MS_NS};
}

// Held as long as the environment lives.
bool hold(napi_env env, napi_value value) {
  napi_ref held = nullptr;
  return ok(env, napi_create_reference(env, value, 1, &held));
}

// limitsHeadInto(bytes: Uint8Array): the Float64Array of what limitsHead() says: limit, left and reset in milliseconds, of requests and of tokens.
napi_value head_into(napi_env env, napi_callback_info info) {
  size_t argc = 1;
  napi_value argv[1];
  Bytes bytes;
  if (!ok(env, napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr)) || !bytes_of(env, argv[0], &bytes)) return nullptr;
  void* told = nullptr;
  napi_value buffer = nullptr, array = nullptr;
  if (!ok(env, napi_create_arraybuffer(env, TOLD * sizeof(double), &told, &buffer))) return nullptr;
  if (!ok(env, napi_create_typedarray(env, napi_float64_array, TOLD, buffer, 0, &array))) return nullptr;
  if (!hold(env, argv[0]) || !hold(env, buffer)) return nullptr;
  target = {reinterpret_cast<char*>(bytes.data), bytes.length, static_cast<double*>(told)};
  return array;
}

// limitsHead(text, at): where the lines end that stand behind the text, which is written there as latin1.
napi_value head(napi_env env, napi_callback_info info) {
  size_t argc = 2;
  napi_value argv[2];
  uint32_t at = 0;
  if (!ok(env, napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr)) || !ok(env, napi_get_value_uint32(env, argv[1], &at))) return nullptr;
  const size_t room = target.length > at + STANDING_BYTES_MAX ? target.length - at - STANDING_BYTES_MAX : 0;
  size_t length = 0;
  if (room > 0 && !ok(env, napi_get_value_string_latin1(env, argv[0], target.bytes + at, room, &length))) return nullptr;
  // A longer text is cut, and a zero stands behind it.
  if (length + 1 >= room) {
    napi_throw_range_error(env, "SLUICE_LIMITS", "limitsHead: no room");
    return nullptr;
  }
  const size_t end = at + length;
  const size_t lines = write_standing(target.bytes + end, standing_of(target.told), standing_of(target.told + TOLD / 2));
  napi_value result = nullptr;
  ok(env, napi_create_uint32(env, static_cast<uint32_t>(end + lines), &result));
  return result;
}

}  // namespace

void register_limits_head(napi_env env, napi_value exports) {
  define(env, exports, "limitsHeadInto", head_into);
  define(env, exports, "limitsHead", head);
}

}  // namespace sluice
