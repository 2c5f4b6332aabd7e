// The request scan of bodies that come in pieces: what scan.cc does with a whole body, as it arrives. Gateway worker, main thread.
//
// The state between two pieces is in a slot. Nothing of the body is kept, and nothing of it is looked at twice: each call gets
// all that has come, which may have moved in memory.
#include <deque>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

#include "addon.h"
#include "json-index.h"
#include "json-steps.h"
#include "json-walk.h"
#include "scan-fields.h"
#include "scan-look.h"

namespace sluice {
namespace {

class PartScan {
 public:
  PartScan(bool portable, bool looks) : portable_(portable), fields_(look_for) {
    clear_fields(out_);
    if (looks) walk_.emplace<Walk<true, true>>(out_, fields_.get());
  }

  // `body`: all that has come. The first code that is not OK stays.
  Code more(const Bytes& body, size_t depth_max, bool last) {
    if (code_ == OK && !ended_) code_ = look(body, depth_max, last);
    ended_ = ended_ || last;
    return code_;
  }

  void tell() const { std::memcpy(scanned, out_, sizeof out_); }

  size_t indexed() const { return place_.indexed; }

  // What stands behind the model's value now stands `delta` bytes further on. False: it has not come, or would have no room.
  bool shift(int32_t delta) {
    const int32_t from = out_[MODEL_END];
    if (from < 0 || int64_t{from} + delta <= out_[MODEL_START]) return false;
    if (static_cast<int64_t>(place_.indexed) + delta > INT32_MAX) return false;
    place_.shift(static_cast<size_t>(from), delta);
    std::visit([&](auto& walk) { walk.shift(static_cast<size_t>(from), delta); }, walk_);
    for (int i = FOUND; walk_.index() == 1 && i < OUT_LENGTH; i++) {
      if (out_[i] >= from) out_[i] += delta;
    }
    for (const Out offset : {MODEL_END, OPTIONS_START, OPTIONS_END, USAGE_START, USAGE_END, USER_START, USER_END, CHECKED}) {
      if (out_[offset] >= from) out_[offset] += delta;
    }
    return true;
  }

 private:
  Code look(const Bytes& body, size_t depth_max, bool last) {
    if (!last && body.length - place_.indexed < STEP) return OK;
    if (body.length == 0) return INVALID;
    const JsonIndex index = index_piece(place_, body, last, portable_);
    if (index.code != OK) {
      out_[DETAIL] = index.error_at;
      return index.code;
    }
    return std::visit([&](auto& walk) {
      const Code code = walk.go_on(body, index, place_, depth_max, last);
      out_[TEXT_BYTES] = walk.text_bytes();
      return code;
    }, walk_);
  }

  const bool portable_;
  const std::shared_ptr<const Fields> fields_;
  bool ended_ = false;
  Code code_ = OK;
  IndexPlace place_;
  int32_t out_[OUT_LENGTH] = {};
  std::variant<Walk<true, false>, Walk<true, true>> walk_{std::in_place_index<0>, out_};
};

// Slots of this thread: as many as were taken at once, in memory that does not move.
struct Slots {
  std::deque<std::optional<PartScan>> all;
  std::vector<uint32_t> free;

  int32_t take(bool portable, bool looks, uint32_t slots_max) {
    if (free.empty()) {
      if (all.size() >= slots_max) return -1;
      free.push_back(static_cast<uint32_t>(all.size()));
      all.emplace_back();
    }
    const uint32_t slot = free.back();
    free.pop_back();
    all[slot].emplace(portable, looks);
    return static_cast<int32_t>(slot);
  }

  PartScan* at(uint32_t slot) { return slot < all.size() && all[slot] ? &*all[slot] : nullptr; }

  void give_back(uint32_t slot) {
    all[slot].reset();
    free.push_back(slot);
  }
};

thread_local Slots slots;

napi_value number(napi_env env, int32_t value) {
  napi_value result = nullptr;
  napi_create_int32(env, value, &result);
  return result;
}

napi_value refused(napi_env env, const char* reason) {
  napi_throw_range_error(env, "SLUICE_SCAN", reason);
  return nullptr;
}

PartScan* scan_of(napi_env env, napi_value value) {
  uint32_t slot = 0;
  if (!ok(env, napi_get_value_uint32(env, value, &slot))) return nullptr;
  PartScan* scan = slots.at(slot);
  if (scan == nullptr) refused(env, "this request scan is not open");
  return scan;
}

// scanOpen(portable: boolean, slotsMax: number, looks: boolean): slot, or -1 when that many are taken
napi_value scan_open(napi_env env, napi_callback_info info) {
  size_t argc = 3;
  napi_value argv[3];
  bool portable = false;
  bool looks = false;
  uint32_t slots_max = 0;
  if (!ok(env, napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr))) return nullptr;
  if (!ok(env, napi_get_value_bool(env, argv[0], &portable))) return nullptr;
  if (!ok(env, napi_get_value_uint32(env, argv[1], &slots_max))) return nullptr;
  if (!ok(env, napi_get_value_bool(env, argv[2], &looks))) return nullptr;
  return number(env, slots.take(portable, looks, slots_max));
}

// scanMore(slot, body: Uint8Array, depthMax, last: boolean): code; the fields are in `scanned`
napi_value scan_more(napi_env env, napi_callback_info info) {
  size_t argc = 4;
  napi_value argv[4];
  Bytes body;
  uint32_t depth_max = 0;
  bool last = false;
  if (!ok(env, napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr))) return nullptr;
  PartScan* scan = scan_of(env, argv[0]);
  if (scan == nullptr || !bytes_of(env, argv[1], &body)) return nullptr;
  if (!ok(env, napi_get_value_uint32(env, argv[2], &depth_max))) return nullptr;
  if (!ok(env, napi_get_value_bool(env, argv[3], &last))) return nullptr;
  if (depth_max > DEPTH_MAX || body.length > INT32_MAX) return refused(env, "scanMore: depth or body out of range");
  if (body.length < scan->indexed()) return refused(env, "scanMore: the body has become shorter");
  const Code code = scan->more(body, depth_max, last);
  scan->tell();
  return number(env, code);
}

// scanShift(slot, delta): void
napi_value scan_shift(napi_env env, napi_callback_info info) {
  size_t argc = 2;
  napi_value argv[2];
  int32_t delta = 0;
  if (!ok(env, napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr))) return nullptr;
  PartScan* scan = scan_of(env, argv[0]);
  if (scan == nullptr || !ok(env, napi_get_value_int32(env, argv[1], &delta))) return nullptr;
  if (!scan->shift(delta)) return refused(env, "scanShift: there is no model, or no room for it");
  scan->tell();
  return nullptr;
}

// scanClose(slot): void
napi_value scan_close(napi_env env, napi_callback_info info) {
  size_t argc = 1;
  napi_value argv[1];
  if (!ok(env, napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr))) return nullptr;
  uint32_t slot = 0;
  if (scan_of(env, argv[0]) == nullptr || !ok(env, napi_get_value_uint32(env, argv[0], &slot))) return nullptr;
  slots.give_back(slot);
  return nullptr;
}

// scansOpen(): how many slots are taken
napi_value scans_open(napi_env env, napi_callback_info) {
  return number(env, static_cast<int32_t>(slots.all.size() - slots.free.size()));
}

}  // namespace

void register_scan_parts(napi_env env, napi_value exports) {
  define(env, exports, "scanOpen", scan_open);
  define(env, exports, "scanMore", scan_more);
  define(env, exports, "scanShift", scan_shift);
  define(env, exports, "scanClose", scan_close);
  define(env, exports, "scansOpen", scans_open);
}

}  // namespace sluice
