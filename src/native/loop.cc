// What cannot be set of Node's event loop. The loop of the calling thread; called by gateway workers only.
//
// Node has libuv measure how long a loop was idle (UV_METRICS_IDLE_TIME, for performance.eventLoopUtilization). For that libuv asks
// epoll twice in a turn: what has happened, without waiting, and if nothing has, again, waiting. Where events come one by one, that is
// a system call for each. It can be switched on and not off, so the flag is cleared where libuv has it: in the first word of what
// `internal_fields` points to. A loop of our own, on which it is switched on, shows whether that is so in this libuv.
#include <uv.h>

#include "addon.h"

namespace sluice {
namespace {

unsigned* flags_of(const uv_loop_t* loop) { return static_cast<unsigned*>(loop->internal_fields); }

// The flag; 0: it is not known where this libuv has it.
unsigned idle_time_flag() {
  uv_loop_t probe;
  if (uv_loop_init(&probe) != 0) return 0;
  const unsigned before = *flags_of(&probe);
  const bool configured = uv_loop_configure(&probe, UV_METRICS_IDLE_TIME) == 0;
  const unsigned flag = *flags_of(&probe) ^ before;
  uv_loop_close(&probe);
  const bool is_one_bit = flag != 0 && (flag & (flag - 1)) == 0;
  return configured && before == 0 && is_one_bit ? flag : 0;
}

// forgoIdleTime(): whether it is off
napi_value forgo_idle_time(napi_env env, napi_callback_info) {
  uv_loop_t* loop = nullptr;
  if (!ok(env, napi_get_uv_event_loop(env, &loop))) return nullptr;
  const unsigned flag = idle_time_flag();
  *flags_of(loop) &= ~flag;
  napi_value result = nullptr;
  napi_get_boolean(env, flag != 0, &result);
  return result;
}

}  // namespace

void register_loop(napi_env env, napi_value exports) { define(env, exports, "forgoIdleTime", forgo_idle_time); }

}  // namespace sluice
