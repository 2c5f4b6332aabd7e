// The part of LimitsProgram that knows that a request may have several attempts, at targets that limits count apart: what it reserved
// goes along to the next one, and what an attempt used that did not bring the answer is counted where it was made.
#include "limits-program.h"

namespace sluice {

// Its limit, as it is now, counts one of these parts apart.
bool LimitsProgram::is_of(const Charge& charge, uint32_t parts) const {
  const Limit* const limit = limit_of(charge);
  return limit != nullptr && (limit->scope & parts) != 0;
}

void LimitsProgram::move(int32_t ticket, uint32_t changed, const Request& request, Answer* answer) {
  constexpr Standing NOWHERE = {-1, 0, 0};
  *answer = {Decision::ADMITTED, ticket, -1, 0, -1, NOWHERE, NOWHERE};
  alerts_.clear();
  Plan& plan = plan_for(request);
  if (!map_.lock()) {
    answer->decision = Decision::BUSY;
    return;
  }
  map_.begin();
  const int64_t now = map_.now_ns();
  check_count_ = 0;
  for (Step& step : plan.steps) {
    const Limit& limit = limits_[step.limit];
    const int64_t amount = amount_of(request, limit);
    if ((limit.scope & changed) != 0 && counts(limit, request, amount)) add_check(&step, amount);
  }
  for (uint32_t i = 0; i < check_count_; i++) look(&checks_[i], now);
  refuse(answer);
  if (answer->decision == Decision::ADMITTED && !take_leases(now)) answer->decision = Decision::UNPLACED;
  if (answer->decision == Decision::ADMITTED) {
    Ticket* const one = ticket_at(ticket);
    if (one != nullptr) release(one, changed, Now(map_, now));
    const uint32_t sides = charge_all();
    if (one != nullptr) keep_charges(&one->charges, OF_TARGET);
    else if (sides != 0) answer->ticket = open_ticket(OF_TARGET);
    answer->covered = covered(request);
  }
  // It is no request's refusal that it does not go there: its answer is the one before, or another target's.
  note_refusals(*answer, answer->decision == Decision::ADMITTED, now);
  map_.unlock();
}

// What it has at the target before. A request that was sent there stays counted as one.
void LimitsProgram::release(Ticket* ticket, uint32_t changed, const Now& now) {
  std::vector<Charge> kept;
  for (const Charge& charge : ticket->charges) {
    if (!is_of(charge, changed)) kept.push_back(charge);
    else if (kind_of(charge) == BucketKind::HELD) map_.return_lease(charge.held.lease, charge.held.serial);
    else correct(charge, 0, now);
  }
  ticket->charges.swap(kept);
}

void LimitsProgram::book(int32_t ticket, const Used& used, const Request& request) {
  alerts_.clear();
  Ticket* const one = ticket_at(ticket);
  if ((one == nullptr && !of_targets_) || !map_.lock()) return;
  map_.begin();
  const Now now(map_);
  for (size_t i = 0; one != nullptr && i < one->charges.size(); i++) {
    Charge beside = one->charges[i];
    if (kind_of(beside) == BucketKind::HELD) continue;
    beside.amount = 0;
    correct(beside, used_of(used, beside), now);
  }
  if (of_targets_) book_at_target(used, request, now);
  map_.unlock();
}

void LimitsProgram::book_at_target(const Used& used, const Request& request, const Now& now) {
  for (Step& step : plan_for(request).steps) {
    const Limit& limit = limits_[step.limit];
    if ((limit.scope & OF_TARGETS) == 0 || !limit.settles || limit.kind == BucketKind::HELD) continue;
    Check check;
    check.place = step.place;
    check.amount = 0;
    check.window_start = limit.kind == BucketKind::BUDGET ? open_period(limit, step.tag, now.ns()) : 0;
    if (limit.kind == BucketKind::WINDOW) check.window_start = now.ns() - now.ns() % limit.period_ns;
    Charge charge;
    note(limit, step.tag, check, {LimitsMap::NONE, 0}, &charge);
    correct(charge, used_of(used, charge), now);
  }
}

}  // namespace sluice
