// The part of LimitsProgram that knows budgets: their periods, what they admit, what is settled, and who is told.
#include "limits-program.h"

namespace sluice {
namespace {

constexpr int64_t SECOND_NS = 1'000'000'000;

struct Period {
  int64_t start_ns;
  uint32_t length_s;
};

// The period at `now`. Whoever missed the end of the next one as well goes on from there until it is told.
Period period_at(const Limit& limit, int64_t now) {
  const int64_t* const bounds = limit.bounds_s;
  if (bounds[1] < 0) return {bounds[0] * SECOND_NS, ENDLESS_S};
  for (int i = 0; i < 2; i++) {
    if (now < bounds[i + 1] * SECOND_NS) return {bounds[i] * SECOND_NS, static_cast<uint32_t>(bounds[i + 1] - bounds[i])};
  }
  return {bounds[2] * SECOND_NS, static_cast<uint32_t>(bounds[2] - bounds[1])};
}

// Of the period that runs. One that began later than ours is the right one: another worker knows more.
int64_t used_since(const Bucket& bucket, int64_t start_ns) { return bucket.budget.start_ns < start_ns ? 0 : bucket.budget.used; }

void begin_period(Bucket& bucket, const Period& period) {
  if (bucket.budget.start_ns >= period.start_ns && bucket.budget.period_s != 0) return;
  bucket.budget.used = bucket.settled = 0;
  bucket.budget.alerted = 0;
  bucket.touched_ns = 0;
  bucket.budget.period_s = period.length_s;
  __atomic_signal_fence(__ATOMIC_SEQ_CST);
  bucket.budget.start_ns = period.start_ns;
}

}  // namespace

// An observing budget counts on beyond its end. One that is used up admits nothing, not even what seems to cost nothing.
void LimitsProgram::look_at_budget(const Limit& limit, const Bucket& bucket, Check* check, int64_t now) {
  const Period period = period_at(limit, now);
  const int64_t used = used_since(bucket, period.start_ns);
  const int64_t began = bucket.budget.start_ns;
  check->window_start = began > period.start_ns ? began : period.start_ns;
  check->over = used >= limit.limit || check->amount > limit.limit - used;
  check->admits = !check->over || limit.observes;
  check->reset_ns = period.length_s == ENDLESS_S ? INT64_MAX : period.start_ns + period.length_s * SECOND_NS - now;
  if (check->admits) return;
  check->never = check->amount > limit.limit;
  check->retry_ns = check->reset_ns;
}

int64_t LimitsProgram::used_of_budget(const Limit& limit, const Bucket& bucket, int64_t now) {
  return used_since(bucket, period_at(limit, now).start_ns);
}

void LimitsProgram::charge_budget(const Limit& limit, Bucket& bucket, const Check& check) {
  begin_period(bucket, period_at(limit, check.window_start));
  bucket.budget.used += check.amount;
}

// Where the period that runs began, in the count of a budget, which is there afterwards if there is room.
int64_t LimitsProgram::open_period(const Limit& limit, const Tag& tag, int64_t now) {
  const uint32_t place = map_.claim(tag, BucketKind::BUDGET, now);
  if (place == LimitsMap::NONE) return 0;
  begin_period(map_.bucket(place), period_at(limit, now));
  return map_.bucket(place).budget.start_ns;
}

// A budget that refuses is at its end, though what is left of it is not nothing.
void LimitsProgram::tell_of_end(const Check& check, int64_t now) {
  const Limit& limit = limits_[check.limit];
  Bucket& bucket = map_.bucket(check.place);
  begin_period(bucket, period_at(limit, check.window_start));
  for (uint32_t i = 0; i < Limit::THRESHOLDS; i++) {
    if (limit.alerts[i] == limit.limit) tell(check.limit, i, bucket, now);
  }
}

// Of a budget that was raised, what is told begins anew: not so of one that was lowered, because workers of both may run side by side.
void LimitsProgram::tell(uint32_t index, uint32_t threshold, Bucket& bucket, int64_t now) {
  const uint32_t bit = 1u << threshold;
  if (limits_[index].limit > bucket.touched_ns) {
    bucket.touched_ns = limits_[index].limit;
    bucket.budget.alerted = 0;
  }
  if ((bucket.budget.alerted & bit) != 0) return;
  bucket.budget.alerted |= bit;
  alerts_.push_back({index, threshold});
  count(limits_[index], [](Bucket& tally) { return static_cast<uint64_t>(++tally.settled); }, now);
}

// What a request cost belongs to the period in which it was admitted; when that is over, nobody asks for it any more.
void LimitsProgram::settle_budget(const Charge& charge, int64_t used, int64_t now) {
  const uint32_t place = map_.find(charge.tag);
  if (place == LimitsMap::NONE || map_.bucket(place).budget.start_ns != charge.window.start_ns) return;
  Bucket& bucket = map_.bucket(place);
  bucket.budget.used += used - charge.amount;
  bucket.settled += used;
  for (uint32_t index = 0; index < limits_.size(); index++) {
    const Limit& limit = limits_[index];
    if (limit.tag.low != charge.limit) continue;
    for (uint32_t i = 0; i < Limit::THRESHOLDS; i++) {
      if (limit.alerts[i] != 0 && bucket.settled >= limit.alerts[i]) tell(index, i, bucket, now);
    }
  }
}

void LimitsProgram::set_periods(const double* bounds) {
  for (size_t i = 0; i < limits_.size() * BOUNDS; i++) limits_[i / BOUNDS].bounds_s[i % BOUNDS] = static_cast<int64_t>(bounds[i]);
}

// Fills `parts_`; false: there is no such budget, or it counts other parts apart.
bool LimitsProgram::tag_for(uint32_t index, const int32_t* subjects) {
  if (index >= limits_.size() || limits_[index].kind != BucketKind::BUDGET) return false;
  for (uint32_t scope = limits_[index].scope; scope != 0; scope &= scope - 1) {
    const int part = __builtin_ctz(scope);
    if (subjects[part] < 0 || static_cast<size_t>(subjects[part]) >= subjects_.size()) return false;
    parts_[part] = subjects_[subjects[part]].tag;
  }
  return true;
}

bool LimitsProgram::spent(uint32_t index, const int32_t* subjects, int64_t* used, int64_t* settled) {
  *used = *settled = 0;
  if (!tag_for(index, subjects) || !map_.lock()) return false;
  const uint32_t place = map_.find(tag_of(limits_[index]));
  const Period period = period_at(limits_[index], map_.now_ns());
  if (place != LimitsMap::NONE && map_.bucket(place).budget.start_ns >= period.start_ns) {
    *used = map_.bucket(place).budget.used;
    *settled = map_.bucket(place).settled;
  }
  map_.unlock();
  return true;
}

bool LimitsProgram::raise(uint32_t index, const int32_t* subjects, int64_t least) {
  if (!tag_for(index, subjects) || !map_.lock()) return false;
  map_.begin();
  const int64_t now = map_.now_ns();
  const uint32_t place = map_.claim(tag_of(limits_[index]), BucketKind::BUDGET, now);
  if (place != LimitsMap::NONE) {
    Bucket& bucket = map_.bucket(place);
    begin_period(bucket, period_at(limits_[index], now));
    // What is reserved stays so.
    const int64_t more = least - bucket.settled;
    if (more > 0) {
      bucket.budget.used += more;
      bucket.settled += more;
    }
  }
  map_.unlock();
  return place != LimitsMap::NONE;
}

}  // namespace sluice
