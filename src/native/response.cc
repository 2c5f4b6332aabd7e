// The response scan's binding: finds usage, content size, completeness and the event borders in the bytes of an answer as
// they pass, in chunks of any size. Gateway worker, main thread. The work is done in event-scanner.h and json-follower.h.
#include <ctime>
#include <vector>

#include "addon.h"
#include "event-scanner.h"

namespace sluice {
namespace {

// Slots of this thread. A deque-like growth is not needed: the vector grows to what was in flight at once and stays.
struct Slots {
  std::vector<Scanner> all;
  std::vector<uint32_t> free;

  int32_t take(bool events, uint32_t slots_max) {
    if (free.empty()) {
      if (all.size() >= slots_max) return -1;
      free.push_back(static_cast<uint32_t>(all.size()));
      all.emplace_back();
    }
    const uint32_t slot = free.back();
    free.pop_back();
    all[slot].begin(events);
    return static_cast<int32_t>(slot);
  }

  Scanner* at(uint32_t slot) { return slot < all.size() && all[slot].open ? &all[slot] : nullptr; }

  void give_back(uint32_t slot) {
    all[slot].open = false;
    free.push_back(slot);
  }
};

thread_local Slots slots;

napi_value number(napi_env env, int32_t value) {
  napi_value result = nullptr;
  napi_create_int32(env, value, &result);
  return result;
}

Scanner* scanner_of(napi_env env, napi_value value) {
  uint32_t slot = 0;
  if (!ok(env, napi_get_value_uint32(env, value, &slot))) return nullptr;
  Scanner* scanner = slots.at(slot);
  if (scanner == nullptr) napi_throw_range_error(env, "SLUICE_SCANNER", "this response scanner is not open");
  return scanner;
}

void* typed(napi_env env, napi_value value, napi_typedarray_type wanted, size_t length_min) {
  napi_typedarray_type type;
  size_t length = 0;
  void* data = nullptr;
  if (!ok(env, napi_get_typedarray_info(env, value, &type, &length, &data, nullptr, nullptr))) return nullptr;
  if (type == wanted && length >= length_min) return data;
  napi_throw_type_error(env, "SLUICE_SCANNER", "the result array has the wrong type or length");
  return nullptr;
}

// responseOpen(events: boolean, slotsMax: number): slot, or -1 when that many are taken
napi_value response_open(napi_env env, napi_callback_info info) {
  size_t argc = 2;
  napi_value argv[2];
  bool events = false;
  uint32_t slots_max = 0;
  if (!ok(env, napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr))) return nullptr;
  if (!ok(env, napi_get_value_bool(env, argv[0], &events))) return nullptr;
  if (!ok(env, napi_get_value_uint32(env, argv[1], &slots_max))) return nullptr;
  return number(env, slots.take(events, slots_max));
}

// Behind what the scanner writes: when a chunk came that ended an event, nanoseconds of the monotonic clock, lower half
// first. Read here because a call from JavaScript for it alone costs three times as much (39 against 13 ns).
enum ClockOut { CLOCK_LOW = FEED_OUT_LENGTH, CLOCK_HIGH, DELTAS_SO_FAR, CONTENT_SO_FAR, OUT_LENGTH };

// What the model wrote so far, as far as 31 bits go.
void put_content(const double* figures, int32_t* out) {
  constexpr double MOST = INT32_MAX;
  out[DELTAS_SO_FAR] = static_cast<int32_t>(figures[U_DELTAS] < MOST ? figures[U_DELTAS] : MOST);
  out[CONTENT_SO_FAR] = static_cast<int32_t>(figures[U_CONTENT_BYTES] < MOST ? figures[U_CONTENT_BYTES] : MOST);
}

void put_clock(int32_t* out) {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  const uint64_t ns = static_cast<uint64_t>(now.tv_sec) * 1000000000u + static_cast<uint64_t>(now.tv_nsec);
  out[CLOCK_LOW] = static_cast<int32_t>(ns & 0xffffffffu);
  out[CLOCK_HIGH] = static_cast<int32_t>(ns >> 32);
}

// responseFeed(slot, chunk: Uint8Array, out: Int32Array): flags
napi_value response_feed(napi_env env, napi_callback_info info) {
  size_t argc = 3;
  napi_value argv[3];
  Bytes chunk;
  if (!ok(env, napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr))) return nullptr;
  Scanner* scanner = scanner_of(env, argv[0]);
  if (scanner == nullptr || !bytes_of(env, argv[1], &chunk)) return nullptr;
  int32_t* out = static_cast<int32_t*>(typed(env, argv[2], napi_int32_array, OUT_LENGTH));
  if (out == nullptr) return nullptr;
  const int32_t flags = scanner->feed(chunk.data, chunk.length, out);
  if (out[BOUNDARY] >= 0) put_clock(out);
  put_content(scanner->figures(), out);
  return number(env, flags);
}

// responseUsage(slot, out: Float64Array): void
napi_value response_usage(napi_env env, napi_callback_info info) {
  size_t argc = 2;
  napi_value argv[2];
  if (!ok(env, napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr))) return nullptr;
  Scanner* scanner = scanner_of(env, argv[0]);
  if (scanner == nullptr) return nullptr;
  void* out = typed(env, argv[1], napi_float64_array, USAGE_OUT_LENGTH);
  if (out != nullptr) std::memcpy(out, scanner->figures(), sizeof(double) * USAGE_OUT_LENGTH);
  return nullptr;
}

// responseClose(slot): void
napi_value response_close(napi_env env, napi_callback_info info) {
  size_t argc = 1;
  napi_value argv[1];
  if (!ok(env, napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr))) return nullptr;
  uint32_t slot = 0;
  if (scanner_of(env, argv[0]) == nullptr || !ok(env, napi_get_value_uint32(env, argv[0], &slot))) return nullptr;
  slots.give_back(slot);
  return nullptr;
}

// responsesOpen(): how many slots are taken
napi_value responses_open(napi_env env, napi_callback_info) {
  return number(env, static_cast<int32_t>(slots.all.size() - slots.free.size()));
}

}  // namespace

void register_response(napi_env env, napi_value exports) {
  define(env, exports, "responseOpen", response_open);
  define(env, exports, "responseFeed", response_feed);
  define(env, exports, "responseUsage", response_usage);
  define(env, exports, "responseClose", response_close);
  define(env, exports, "responsesOpen", responses_open);
}

}  // namespace sluice
