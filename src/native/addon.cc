// Entry point of the addon. Loaded by every Sluice process and by pool threads: no state outside of what parts own.
#include "addon.h"

#include "guard.h"

NAPI_MODULE_INIT() {
  sluice::register_map(env, exports);
  sluice::register_scan(env, exports);
  sluice::register_scan_look(env, exports);
  sluice::register_scan_parts(env, exports);
  sluice::register_response(env, exports);
  sluice::register_listen(env, exports);
  sluice::register_process(env, exports);
  sluice::register_loop(env, exports);
  sluice::register_upstream(env, exports);
  sluice::register_hold(env, exports);
  sluice::register_request(env, exports);
  sluice::register_limits(env, exports);
  sluice::register_limits_head(env, exports);
  sluice::register_uws_response(env, exports);
  sluice::register_shed(env, exports);
  sluice::register_turns(env, exports);
  return exports;
}
