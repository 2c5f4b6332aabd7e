// Binding of LimitsMap and LimitsProgram. Gateway worker, and the supervisor for what it makes, gives back and counts. One per thread.
#include <cerrno>
#include <cstring>
#include <new>
#include <memory>
#include <string>
#include <vector>

#include "addon.h"
#include "limits-headers.h"
#include "limits-program.h"

namespace sluice {
namespace {

// Slots of `limitFields`: the request, which JavaScript writes, and the answer.
enum Field : uint32_t {
  SUBJECTS = 0,                     // a number for each Part; -1: absent
  AMOUNTS = SUBJECTS + PARTS,       // for each Quantity
  ASSUMED = AMOUNTS + QUANTITIES,   // output tokens of these that nobody asked for
  ASSUMED_COST,                     // and what they cost
  BILLS,                            // 0: budgets do not count it
  DECISION,
  TICKET,
  LIMIT,
  RETRY_MS,
  REQUESTS_STANDING,                // limit, remaining, reset in milliseconds, rounded up
  TOKENS_STANDING = REQUESTS_STANDING + 3,
  ALERTS = TOKENS_STANDING + 3,     // how many there are of limitsAlert()
  QUIET,                            // 1: a refusal is not counted, because it will be asked again
  COVERED,                          // output tokens that the reservation covers; -1: nothing counts them
  TARGET_TICKET,                    // of what limits of targets have
  FIELDS
};

constexpr double NS_PER_MS = 1e6;
constexpr size_t PATH_BYTES_MAX = 4096;

struct Limits {
  LimitsMap map;
  LimitsProgram program{map};
  double* fields = nullptr;
  std::string texts[PARTS];
  bool has_texts = false;
};

// On the heap: what the addon has per thread has to fit into the 32 KB stack of the thread with which Node begins, when a restart
// loads the addon before Node (guard.cc). Where it does not, SIGUSR1 stays blocked.
Limits& limits() {
  thread_local const std::unique_ptr<Limits> instance = std::make_unique<Limits>();
  return *instance;
}

napi_value number(napi_env env, double value) {
  napi_value result = nullptr;
  ok(env, napi_create_double(env, value, &result));
  return result;
}

template <size_t N>
bool arguments(napi_env env, napi_callback_info info, napi_value (&argv)[N]) {
  size_t argc = N;
  return ok(env, napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr));
}

bool uint_of(napi_env env, napi_value value, uint32_t* out) { return ok(env, napi_get_value_uint32(env, value, out)); }

napi_value open(napi_env env, napi_callback_info info, bool (LimitsMap::*how)(const char*, LimitsMap::Opened*)) {
  napi_value argv[1];
  std::string path;
  if (!arguments(env, info, argv) || !text_of(env, argv[0], &path)) return nullptr;
  // Tickets and subjects belong to the map before.
  Limits& own = limits();
  double* const fields = own.fields;
  own.~Limits();
  new (&own) Limits();
  own.fields = fields;
  LimitsMap::Opened opened = LimitsMap::Opened::FOREIGN;
  if (path.size() < PATH_BYTES_MAX && (own.map.*how)(path.c_str(), &opened)) return number(env, static_cast<double>(opened));
  const std::string message = "cannot use " + path + ": " + std::strerror(errno);
  napi_throw_error(env, "SLUICE_MAP", message.c_str());
  return nullptr;
}

// limitsPrepare(path): 0 taken as it is, 1 made, 2 of another layout.
napi_value prepare(napi_env env, napi_callback_info info) { return open(env, info, &LimitsMap::prepare); }

// limitsAttach(path): 0, or 2 if limitsPrepare() did not make it.
napi_value attach(napi_env env, napi_callback_info info) { return open(env, info, &LimitsMap::attach); }

bool is_open(napi_env env) {
  if (limits().map.is_open()) return true;
  napi_throw_error(env, "SLUICE_NATIVE", "the map of limits is not open");
  return false;
}

// limitsTakeSlot(slot, pid)
napi_value take_slot(napi_env env, napi_callback_info info) {
  napi_value argv[2];
  uint32_t slot = 0, pid = 0;
  if (!is_open(env) || !arguments(env, info, argv) || !uint_of(env, argv[0], &slot) || !uint_of(env, argv[1], &pid)) return nullptr;
  Limits& own = limits();
  if (slot >= LimitsMap::SLOTS || !own.map.lock_patiently()) {
    napi_throw_error(env, "SLUICE_LIMITS", "the map of limits is locked");
    return nullptr;
  }
  own.map.take_slot(slot, pid);
  own.map.unlock();
  own.program.slot = slot;
  return nullptr;
}

// limitsLeaveSlot(slot, pid)
napi_value leave_slot(napi_env env, napi_callback_info info) {
  napi_value argv[2];
  uint32_t slot = 0, pid = 0;
  if (!is_open(env) || !arguments(env, info, argv) || !uint_of(env, argv[0], &slot) || !uint_of(env, argv[1], &pid)) return nullptr;
  LimitsMap& map = limits().map;
  if (slot >= LimitsMap::SLOTS || !map.lock_patiently()) return nullptr;
  map.leave_slot(slot, pid);
  map.unlock();
  return nullptr;
}

// limitsConfigure(names, figures: Float64Array, leaseMs)
napi_value configure(napi_env env, napi_callback_info info) {
  napi_value argv[3];
  if (!is_open(env) || !arguments(env, info, argv)) return nullptr;
  uint32_t count = 0;
  if (!ok(env, napi_get_array_length(env, argv[0], &count))) return nullptr;
  std::vector<std::string> names(count);
  for (uint32_t i = 0; i < count; i++) {
    napi_value element = nullptr;
    if (!ok(env, napi_get_element(env, argv[0], i, &element)) || !text_of(env, element, &names[i])) return nullptr;
  }
  napi_typedarray_type type;
  size_t length = 0;
  void* figures = nullptr;
  double lease_ms = 0;
  if (!ok(env, napi_get_typedarray_info(env, argv[1], &type, &length, &figures, nullptr, nullptr))) return nullptr;
  if (!ok(env, napi_get_value_double(env, argv[2], &lease_ms))) return nullptr;
  if (type != napi_float64_array || length != count * LimitsProgram::FIGURES || count > LimitsProgram::LIMITS_MAX) {
    napi_throw_range_error(env, "SLUICE_LIMITS", "limitsConfigure: figures do not fit the names");
    return nullptr;
  }
  limits().program.configure(names, static_cast<const double*>(figures), static_cast<int64_t>(lease_ms * NS_PER_MS));
  return nullptr;
}

// limitsSubject(part, name, low, high): number; `low` and `high`: bits of the limits that want it.
napi_value subject(napi_env env, napi_callback_info info) {
  napi_value argv[4];
  uint32_t part = 0, low = 0, high = 0;
  std::string name;
  if (!is_open(env) || !arguments(env, info, argv) || !uint_of(env, argv[0], &part) || !text_of(env, argv[1], &name)) return nullptr;
  if (!uint_of(env, argv[2], &low) || !uint_of(env, argv[3], &high)) return nullptr;
  if (part >= PARTS) {
    napi_throw_range_error(env, "SLUICE_LIMITS", "limitsSubject: there is no such part");
    return nullptr;
  }
  return number(env, limits().program.subject(static_cast<Part>(part), name, uint64_t{high} << 32 | low));
}

// limitsText(part, text): of the next request, where it has no number.
napi_value text(napi_env env, napi_callback_info info) {
  napi_value argv[2];
  uint32_t part = 0;
  if (!arguments(env, info, argv) || !uint_of(env, argv[0], &part) || part >= PARTS) return nullptr;
  Limits& own = limits();
  own.has_texts = text_of(env, argv[1], &own.texts[part]) || own.has_texts;
  return nullptr;
}

void put_standing(double* out, const Standing& standing) {
  out[0] = static_cast<double>(standing.limit);
  out[1] = static_cast<double>(standing.remaining);
  out[2] = static_cast<double>(whole_ms(standing.reset_ns));
}

// More than any limit has, and little enough to be multiplied by a day in 2^-32 ns.
constexpr double AMOUNT_MAX = 0x1p40;

// A cost is only added, and its sums have 63 bits.
constexpr double COST_MAX = 0x1p52;

int64_t amount_of(double value, double most = AMOUNT_MAX) { return static_cast<int64_t>(value < most ? value : most); }

bool doubles_of(napi_env env, napi_value value, size_t least, double** out) {
  napi_typedarray_type type;
  size_t length = 0;
  void* data = nullptr;
  if (!ok(env, napi_get_typedarray_info(env, value, &type, &length, &data, nullptr, nullptr))) return false;
  if (type != napi_float64_array || length < least) {
    napi_throw_range_error(env, "SLUICE_LIMITS", "a longer Float64Array is expected");
    return false;
  }
  *out = static_cast<double*>(data);
  return true;
}

// What limitFields and limitsText() say.
Request request_of(const Limits& own) {
  Request request;
  for (uint32_t part = 0; part < PARTS; part++) {
    request.subjects[part] = static_cast<int32_t>(own.fields[SUBJECTS + part]);
    if (own.has_texts) request.texts[part] = own.texts[part];
  }
  request.has_texts = own.has_texts;
  for (uint32_t i = 0; i < QUANTITIES; i++) request.amounts[i] = amount_of(own.fields[AMOUNTS + i], i == COST ? COST_MAX : AMOUNT_MAX);
  request.assumed_cost = amount_of(own.fields[ASSUMED_COST], COST_MAX);
  request.bills = own.fields[BILLS] != 0;
  request.quiet = own.fields[QUIET] == 1;
  request.assumed_tokens = amount_of(own.fields[ASSUMED]);
  return request;
}

void forget_texts(Limits& own) {
  if (!own.has_texts) return;
  for (std::string& one : own.texts) one.clear();
  own.has_texts = false;
}

void put_answer(Limits& own, const Answer& answer) {
  forget_texts(own);
  own.fields[DECISION] = static_cast<double>(answer.decision);
  own.fields[TICKET] = answer.ticket;
  own.fields[TARGET_TICKET] = answer.target_ticket;
  own.fields[LIMIT] = answer.limit;
  own.fields[RETRY_MS] = static_cast<double>(answer.retry_ns) / NS_PER_MS;
  put_standing(own.fields + REQUESTS_STANDING, answer.requests);
  put_standing(own.fields + TOKENS_STANDING, answer.tokens);
}

// limitsAdmit(): the answer is in `limitFields`.
napi_value admit(napi_env env, napi_callback_info) {
  if (!is_open(env)) return nullptr;
  Limits& own = limits();
  const Request request = request_of(own);
  Answer answer;
  own.program.admit(request, &answer);
  put_answer(own, answer);
  own.fields[ALERTS] = static_cast<double>(own.program.alerts().size());
  own.fields[COVERED] = static_cast<double>(answer.covered);
  return nullptr;
}

// limitsMove(parts): decision; `parts`: bits of those that are others now. The ticket is in `limitFields`, before and after.
napi_value move(napi_env env, napi_callback_info info) {
  napi_value argv[1];
  uint32_t changed = 0;
  if (!is_open(env) || !arguments(env, info, argv) || !uint_of(env, argv[0], &changed)) return nullptr;
  Limits& own = limits();
  Answer answer;
  own.program.move(static_cast<int32_t>(own.fields[TICKET]), changed, request_of(own), &answer);
  put_answer(own, answer);
  own.fields[ALERTS] = static_cast<double>(own.program.alerts().size());
  own.fields[COVERED] = static_cast<double>(answer.covered);
  return number(env, static_cast<double>(answer.decision));
}

// limitsPeek(out: Float64Array, PEEKED numbers for each of LIMITS_MAX limits): decision; behind the last one is a -1.
napi_value peek(napi_env env, napi_callback_info info) {
  constexpr size_t PEEKED = 5, MOST = LimitsProgram::LIMITS_MAX;
  napi_value argv[1];
  double* out = nullptr;
  if (!is_open(env) || !arguments(env, info, argv) || !doubles_of(env, argv[0], PEEKED * MOST + 1, &out)) return nullptr;
  Limits& own = limits();
  const Request request = request_of(own);
  Answer answer;
  Peeked peeked[MOST];
  const uint32_t count = own.program.peek(request, &answer, peeked);
  put_answer(own, answer);
  for (uint32_t i = 0; i < count; i++) {
    const Peeked& one = peeked[i];
    const double numbers[PEEKED] = {static_cast<double>(one.limit), one.admits ? 1.0 : 0.0, static_cast<double>(one.amount),
                                    static_cast<double>(one.left), static_cast<double>(one.reset_ns) / NS_PER_MS};
    for (size_t j = 0; j < PEEKED; j++) out[i * PEEKED + j] = numbers[j];
  }
  out[count * PEEKED] = -1;
  napi_value result = nullptr;
  napi_create_int32(env, static_cast<int32_t>(answer.decision), &result);
  return result;
}

// The ticket, and the amounts of tokens and cost, are in `limitFields`: arguments would cost as much as the work.
Used used_of(const Limits& own) {
  const double* const amounts = own.fields + AMOUNTS;
  return {amount_of(amounts[INPUT_TOKENS]), amount_of(amounts[OUTPUT_TOKENS]), amount_of(amounts[COST], COST_MAX)};
}

// limitsSettle(): both tickets of `limitFields`.
napi_value settle(napi_env env, napi_callback_info) {
  if (!is_open(env)) return nullptr;
  Limits& own = limits();
  own.program.settle(static_cast<int32_t>(own.fields[TICKET]), static_cast<int32_t>(own.fields[TARGET_TICKET]), used_of(own));
  own.fields[ALERTS] = static_cast<double>(own.program.alerts().size());
  return nullptr;
}

// limitsBook(): beside what is reserved, by an attempt at the target that `limitFields` and texts say.
napi_value book(napi_env env, napi_callback_info) {
  if (!is_open(env)) return nullptr;
  Limits& own = limits();
  own.program.book(static_cast<int32_t>(own.fields[TICKET]), used_of(own), request_of(own));
  forget_texts(own);
  own.fields[ALERTS] = static_cast<double>(own.program.alerts().size());
  return nullptr;
}

// limitsExtend(ticket, targetTicket, needed, wanted, cost): how many output tokens more are reserved; 0: none.
napi_value extend(napi_env env, napi_callback_info info) {
  napi_value argv[5];
  int32_t ticket = -1, target_ticket = -1;
  int64_t needed = 0, wanted = 0, cost = 0;
  if (!is_open(env) || !arguments(env, info, argv) || !ok(env, napi_get_value_int32(env, argv[0], &ticket))) return nullptr;
  if (!ok(env, napi_get_value_int32(env, argv[1], &target_ticket)) || !ok(env, napi_get_value_int64(env, argv[2], &needed))) return nullptr;
  if (!ok(env, napi_get_value_int64(env, argv[3], &wanted)) || !ok(env, napi_get_value_int64(env, argv[4], &cost))) return nullptr;
  LimitsProgram& program = limits().program;
  const double granted = wanted < 1 ? 0 : static_cast<double>(program.extend(ticket, target_ticket, needed, wanted, cost));
  limits().fields[ALERTS] = static_cast<double>(program.alerts().size());
  return number(env, granted);
}

// limitsAlert(number): of the last admission or settlement: 4 * limit + threshold; -1: there is none.
napi_value alert(napi_env env, napi_callback_info info) {
  napi_value argv[1];
  uint32_t index = 0;
  if (!arguments(env, info, argv) || !uint_of(env, argv[0], &index)) return nullptr;
  const std::vector<Alert>& alerts = limits().program.alerts();
  if (index >= alerts.size()) return number(env, -1);
  return number(env, alerts[index].limit * Limit::THRESHOLDS + alerts[index].threshold);
}

// limitsPeriods(bounds: Float64Array, three for each limit)
napi_value periods(napi_env env, napi_callback_info info) {
  napi_value argv[1];
  double* bounds = nullptr;
  LimitsProgram& program = limits().program;
  if (!is_open(env) || !arguments(env, info, argv)) return nullptr;
  if (doubles_of(env, argv[0], program.limit_count() * LimitsProgram::BOUNDS, &bounds)) program.set_periods(bounds);
  return nullptr;
}

// What limitFields says whom it is about.
void subjects_of(const Limits& own, int32_t (&subjects)[PARTS]) {
  for (uint32_t part = 0; part < PARTS; part++) subjects[part] = static_cast<int32_t>(own.fields[SUBJECTS + part]);
}

// limitsSpent(index, out: Float64Array of 2): of the subjects in limitFields: used, and settled of it. False: no budget of these.
napi_value spent(napi_env env, napi_callback_info info) {
  napi_value argv[2];
  uint32_t index = 0;
  double* out = nullptr;
  if (!is_open(env) || !arguments(env, info, argv) || !uint_of(env, argv[0], &index) || !doubles_of(env, argv[1], 2, &out))
    return nullptr;
  int32_t subjects[PARTS];
  subjects_of(limits(), subjects);
  int64_t used = 0, settled = 0;
  napi_value result = nullptr;
  napi_get_boolean(env, limits().program.spent(index, subjects, &used, &settled), &result);
  out[0] = static_cast<double>(used);
  out[1] = static_cast<double>(settled);
  return result;
}

// limitsRaise(index, least): the count of the subjects in limitFields is at least this. False: no budget of these, or no room.
napi_value raise(napi_env env, napi_callback_info info) {
  napi_value argv[2];
  uint32_t index = 0;
  int64_t least = 0;
  if (!is_open(env) || !arguments(env, info, argv) || !uint_of(env, argv[0], &index)) return nullptr;
  if (!ok(env, napi_get_value_int64(env, argv[1], &least))) return nullptr;
  int32_t subjects[PARTS];
  subjects_of(limits(), subjects);
  napi_value result = nullptr;
  napi_get_boolean(env, limits().program.raise(index, subjects, least), &result);
  return result;
}

// limitsNow(): milliseconds since 1970, of limits' own time.
napi_value now(napi_env env, napi_callback_info) {
  if (!is_open(env)) return nullptr;
  return number(env, static_cast<double>(limits().map.now_ns()) / NS_PER_MS);
}

napi_value tick(napi_env env, napi_callback_info) {
  if (!is_open(env)) return nullptr;
  LimitsMap& map = limits().map;
  if (!map.lock()) return nullptr;
  map.tick();
  map.unlock();
  return nullptr;
}

// limitsLearned(name): -1: nothing is known.
napi_value learned(napi_env env, napi_callback_info info) {
  napi_value argv[1];
  std::string name;
  if (!is_open(env) || !arguments(env, info, argv) || !text_of(env, argv[0], &name)) return nullptr;
  return number(env, limits().program.learned(name));
}

// limitsLearn(name, value)
napi_value learn(napi_env env, napi_callback_info info) {
  napi_value argv[2];
  std::string name;
  double value = 0;
  if (!is_open(env) || !arguments(env, info, argv) || !text_of(env, argv[0], &name)) return nullptr;
  if (ok(env, napi_get_value_double(env, argv[1], &value))) limits().program.learn(name, value);
  return nullptr;
}

// limitsTally(index, out: Float64Array of 4)
napi_value tally(napi_env env, napi_callback_info info) {
  napi_value argv[2];
  uint32_t index = 0;
  double* out = nullptr;
  if (!is_open(env) || !arguments(env, info, argv) || !uint_of(env, argv[0], &index)) return nullptr;
  if (!doubles_of(env, argv[1], 4, &out)) return nullptr;
  uint64_t counts[4];
  limits().program.tally(index, counts);
  for (int i = 0; i < 4; i++) out[i] = static_cast<double>(counts[i]);
  return nullptr;
}

// limitsState(out: Float64Array of 4): locks recovered, buckets reclaimed, claims without a place, leases expired.
napi_value state(napi_env env, napi_callback_info info) {
  napi_value argv[1];
  double* out = nullptr;
  if (!is_open(env) || !arguments(env, info, argv) || !doubles_of(env, argv[0], 4, &out)) return nullptr;
  const LimitsMap::Header& header = limits().map.header();
  const uint64_t counts[4] = {header.recoveries, header.reclaimed, header.unplaced, header.expired};
  for (int i = 0; i < 4; i++) out[i] = static_cast<double>(counts[i]);
  return nullptr;
}

// limitsHoldTime(ms since 1970, or below 0: time runs). For tests.
napi_value hold_time(napi_env env, napi_callback_info info) {
  napi_value argv[1];
  double ms = -1;
  if (!arguments(env, info, argv) || !ok(env, napi_get_value_double(env, argv[0], &ms))) return nullptr;
  limits().map.hold_time(ms < 0 ? -1 : static_cast<int64_t>(ms) * static_cast<int64_t>(NS_PER_MS));
  return nullptr;
}

// Takes the lock and keeps it, so that a test can end this process with it.
napi_value hold_lock(napi_env env, napi_callback_info) {
  if (is_open(env)) limits().map.lock();
  return nullptr;
}

// Makes exports.limitFields, and holds it as long as the environment lives.
void define_fields(napi_env env, napi_value exports) {
  void* data = nullptr;
  napi_value buffer = nullptr;
  napi_value array = nullptr;
  napi_ref held = nullptr;
  if (!ok(env, napi_create_arraybuffer(env, FIELDS * sizeof(double), &data, &buffer))) return;
  if (!ok(env, napi_create_typedarray(env, napi_float64_array, FIELDS, buffer, 0, &array))) return;
  if (!ok(env, napi_create_reference(env, buffer, 1, &held))) return;
  if (ok(env, napi_set_named_property(env, exports, "limitFields", array))) limits().fields = static_cast<double*>(data);
}

}  // namespace

void register_limits(napi_env env, napi_value exports) {
  define(env, exports, "limitsPrepare", prepare);
  define(env, exports, "limitsAttach", attach);
  define(env, exports, "limitsTakeSlot", take_slot);
  define(env, exports, "limitsLeaveSlot", leave_slot);
  define(env, exports, "limitsConfigure", configure);
  define(env, exports, "limitsSubject", subject);
  define(env, exports, "limitsText", text);
  define(env, exports, "limitsAdmit", admit);
  define(env, exports, "limitsPeek", peek);
  define(env, exports, "limitsMove", move);
  define(env, exports, "limitsSettle", settle);
  define(env, exports, "limitsBook", book);
  define(env, exports, "limitsExtend", extend);
  define(env, exports, "limitsAlert", alert);
  define(env, exports, "limitsPeriods", periods);
  define(env, exports, "limitsSpent", spent);
  define(env, exports, "limitsRaise", raise);
  define(env, exports, "limitsNow", now);
  define(env, exports, "limitsTick", tick);
  define(env, exports, "limitsLearned", learned);
  define(env, exports, "limitsLearn", learn);
  define(env, exports, "limitsTally", tally);
  define(env, exports, "limitsState", state);
  define(env, exports, "limitsHoldTime", hold_time);
  define(env, exports, "limitsHoldLock", hold_lock);
  define_fields(env, exports);
}

}  // namespace sluice
