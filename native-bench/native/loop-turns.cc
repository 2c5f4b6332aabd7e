// An addon of Node that watches how long the turns of an event loop are: the CPU time of its thread from one turn to the next, so
// that waiting, and what other programs take, are not in it. Whoever is ready in a turn may wait as long as that.
//
// start() begins; stop() returns [index, count, ...] of the histogram (histogram.h). For the thread that calls them.
#include <node_api.h>
#include <uv.h>

#include <ctime>
#include <memory>

#include "histogram.h"

namespace {

uint64_t thread_cpu_ns() {
  timespec time;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(time.tv_nsec);
}

// Lives as long as its thread.
struct Turns {
  uv_prepare_t hook;
  uint64_t last_ns = 0;
  bench::Histogram histogram;
};

thread_local std::unique_ptr<Turns> turns;

// Once per turn, before the loop waits.
void before_wait(uv_prepare_t*) {
  const uint64_t now = thread_cpu_ns();
  turns->histogram.record(now - turns->last_ns);
  turns->last_ns = now;
}

napi_value start(napi_env env, napi_callback_info) {
  uv_loop_t* loop = nullptr;
  napi_get_uv_event_loop(env, &loop);
  if (turns == nullptr) {
    turns = std::make_unique<Turns>();
    uv_prepare_init(loop, &turns->hook);
    uv_unref(reinterpret_cast<uv_handle_t*>(&turns->hook));
  }
  turns->last_ns = thread_cpu_ns();
  uv_prepare_start(&turns->hook, before_wait);
  return nullptr;
}

napi_value stop(napi_env env, napi_callback_info) {
  napi_value list = nullptr;
  napi_create_array(env, &list);
  if (turns == nullptr) return list;
  uv_prepare_stop(&turns->hook);
  uint32_t place = 0;
  for (const auto& [index, count] : turns->histogram.take()) {
    napi_value number = nullptr;
    napi_create_uint32(env, index, &number);
    napi_set_element(env, list, place++, number);
    napi_create_double(env, static_cast<double>(count), &number);
    napi_set_element(env, list, place++, number);
  }
  return list;
}

void add(napi_env env, napi_value exports, const char* name, napi_callback callback) {
  napi_value function = nullptr;
  napi_create_function(env, name, NAPI_AUTO_LENGTH, callback, nullptr, &function);
  napi_set_named_property(env, exports, name, function);
}

}  // namespace

NAPI_MODULE_INIT() {
  add(env, exports, "start", start);
  add(env, exports, "stop", stop);
  return exports;
}
