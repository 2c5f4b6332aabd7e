// Takes the framing of an answer from uWebSockets.js: what `tryEnd` is given goes out as it is, head and all. Gateway worker.
//
// The package ends a chunk in front of the next one, cannot send a head alone, and does not tell how much a chunked `write` left behind.
// A `tryEnd` knows all that, but writes a head of its own in front of its first bytes, with a length. That it has done so is two bits of the
// response, which no call of its interface sets without writing. The rest of its rules stay: offset, end, timeouts, one request at a time.
#include <cstring>

#include "addon.h"
#include "uws-memory.h"
#include "uws-object.h"

namespace sluice {
namespace {

// False: it is not a response that was not begun, so nothing is changed.
bool take(uint8_t* response, bool closes) {
  uint64_t offset;
  uint32_t state;
  std::memcpy(&offset, response + UWS_OFFSET_AT, sizeof offset);
  std::memcpy(&state, response + UWS_STATE_AT, sizeof state);
  if (offset != 0 || (state & ~UWS_CONNECTION_CLOSE) != UWS_RESPONSE_PENDING) return false;
  state |= UWS_STATUS_CALLED | UWS_END_CALLED | (closes ? UWS_CONNECTION_CLOSE : 0);
  std::memcpy(response + UWS_STATE_AT, &state, sizeof state);
  return true;
}

// takeFraming(response, closes)
napi_value take_framing(napi_env env, napi_callback_info info) {
  size_t argc = 2;
  napi_value argv[2];
  bool closes = false;
  if (!ok(env, napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr))) return nullptr;
  if (!ok(env, napi_get_value_bool(env, argv[1], &closes))) return nullptr;
  uint8_t* response = static_cast<uint8_t*>(uws_object(argv[0]));
  if (response != nullptr && take(response, closes)) return nullptr;
  napi_throw_type_error(env, "SLUICE_NATIVE", "takeFraming: not a response that waits for its beginning");
  return nullptr;
}

}  // namespace

void register_uws_response(napi_env env, napi_value exports) { define(env, exports, "takeFraming", take_framing); }

}  // namespace sluice
