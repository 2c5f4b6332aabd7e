// The part of LimitsProgram that explains: how a request would fare, decided by the same checks as one that is admitted, with nothing
// charged, claimed or counted.
#include "limits-program.h"

namespace sluice {

uint32_t LimitsProgram::peek(const Request& request, Answer* answer, Peeked* out) {
  constexpr Standing NOWHERE = {-1, 0, 0};
  *answer = {Decision::ADMITTED, -1, -1, 0, -1, NOWHERE, NOWHERE};
  const uint64_t limits = applying(request);
  if (limits == 0) return 0;
  if (!map_.lock()) {
    answer->decision = Decision::BUSY;
    return 0;
  }
  const int64_t now = map_.now_ns();
  check_count_ = 0;
  for (uint64_t rest = limits; rest != 0; rest &= rest - 1) {
    const uint32_t index = static_cast<uint32_t>(__builtin_ctzll(rest));
    const int64_t amount = amount_of(request, limits_[index]);
    if (!counts(limits_[index], request, amount)) continue;
    Check& check = checks_[check_count_];
    check.limit = index;
    check.amount = amount;
    peek_at(&check, &out[check_count_], now);
    check_count_++;
  }
  refuse(answer);
  map_.unlock();
  return check_count_;
}

// What has no count yet has used nothing. Whether there is room for one more is not asked.
void LimitsProgram::peek_at(Check* check, Peeked* out, int64_t now) {
  static const Bucket UNUSED = {};
  const Limit& limit = limits_[check->limit];
  check->never = check->over = false;
  check->retry_ns = check->reset_ns = check->room = 0;
  const uint32_t place = map_.find(tag_of(limit));
  const Bucket& bucket = place == LimitsMap::NONE ? UNUSED : map_.bucket(place);
  look_at(limit, bucket, check, now);
  // Any place: no decision may say that there is none.
  check->place = 0;
  *out = {check->limit, check->admits && !check->over, check->amount, left_of(limit, bucket, *check, now), check->reset_ns};
}

// Before this request.
int64_t LimitsProgram::left_of(const Limit& limit, const Bucket& bucket, const Check& check, int64_t now) {
  if (limit.kind == BucketKind::HELD) return limit.limit - bucket.held.amount;
  if (limit.kind == BucketKind::BUDGET) return limit.limit - used_of_budget(limit, bucket, now);
  return check.admits ? check.room + check.amount : check.room;
}

}  // namespace sluice
