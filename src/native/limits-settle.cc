// The part of LimitsProgram that ends what it began: tickets of what was charged, and what was used in the place of what was reserved.
#include "limits-fine-time.h"

namespace sluice {

// For what was charged just now.
int32_t LimitsProgram::open_ticket(uint32_t side) {
  int32_t number = free_ticket_;
  if (number < 0) {
    number = static_cast<int32_t>(tickets_.size());
    tickets_.push_back({{}, -1});
  } else {
    free_ticket_ = tickets_[number].next_free;
  }
  tickets_[number].charges.clear();
  keep_charges(&tickets_[number].charges, side);
  return number;
}

void LimitsProgram::keep_charges(std::vector<Charge>* charges, uint32_t side) {
  for (uint32_t i = 0; i < check_count_; i++) {
    const Limit& limit = limits_[checks_[i].limit];
    // In its place: put together elsewhere it would be read before it is written.
    if (checks_[i].admits && limit.settles && side_of(limit) == side) note(limit, checks_[i].step->tag, checks_[i], taken_[i], &charges->emplace_back());
  }
}

void LimitsProgram::note(const Limit& limit, const Tag& tag, const Check& check, const Taken& taken, Charge* charge) {
  charge->tag = tag;
  charge->limit = limit.tag.low;
  charge->amount = check.amount;
  charge->before = 0;
  charge->place = check.place;
  charge->kind = static_cast<uint8_t>(limit.kind);
  charge->quantity = static_cast<uint8_t>(limit.quantity);
  charge->unit_high = static_cast<uint16_t>(limit.unit >> 64);
  if (limit.kind == BucketKind::RATE) charge->rate = {static_cast<uint64_t>(limit.unit), check.window_start};
  else if (limit.kind == BucketKind::HELD) charge->held = {taken.lease, taken.serial};
  else charge->window = {check.window_start, limit.period_ns};
}

void LimitsProgram::settle(int32_t ticket, int32_t target_ticket, const Used& used) {
  alerts_.clear();
  const Ticket* const one = ticket_at(ticket);
  const Ticket* const of_target = ticket_at(target_ticket);
  if (one == nullptr && of_target == nullptr) return;
  // Without the lock leases come back by their deadlines, and reservations stay as they are.
  if (map_.lock()) {
    map_.begin();
    const Now now(map_);
    if (one != nullptr) settle_charges(*one, used, now);
    if (of_target != nullptr) settle_charges(*of_target, used, now);
    map_.unlock();
  }
  if (one != nullptr) close_ticket(ticket);
  if (of_target != nullptr) close_ticket(target_ticket);
}

void LimitsProgram::settle_charges(const Ticket& ticket, const Used& used, const Now& now) {
  for (const Charge& charge : ticket.charges) {
    if (kind_of(charge) == BucketKind::HELD) map_.return_lease(charge.held.lease, charge.held.serial);
    else correct(charge, used_of(used, charge) - charge.before, now);
  }
}

void LimitsProgram::close_ticket(int32_t number) {
  tickets_[number].charges.clear();
  tickets_[number].next_free = free_ticket_;
  free_ticket_ = number;
}

// A rate that was full since has all that was reserved of it already: what it gets back then would be what others have used.
void LimitsProgram::correct_rate(const Charge& charge, Bucket& bucket, int64_t more, int64_t now) {
  if (more < 0 && bucket.settled > charge.rate.at_ns) return;
  SignedWide start = full_at(bucket);
  if (more > 0 && start < fine(now)) {
    start = fine(now);
    bucket.settled = now;
  }
  if (unit_of(bucket) == 0) set_unit(bucket, static_cast<Wide>(charge.unit_high) << 64 | charge.rate.unit_low);
  set_full_at(bucket, start + static_cast<SignedWide>(unit_of(bucket)) * more);
}

void LimitsProgram::correct(const Charge& charge, int64_t used, const Now& clock) {
  if (kind_of(charge) == BucketKind::BUDGET) return settle_budget(charge, used, clock.ns());
  // What it took of a window before this one, or of a rate that was full in between, is over.
  const int64_t more = used > 0 ? used - charge.amount : -charge.amount;
  if (more == 0) return;
  // What a rate gets back is the same at any time.
  const int64_t now = kind_of(charge) == BucketKind::RATE && more < 0 ? 0 : clock.ns();
  // A bucket that is gone was full again: there is nothing to give back.
  const uint32_t place = more > 0 ? map_.claim(charge.tag, kind_of(charge), now) : map_.find(charge.tag, charge.place);
  if (place == LimitsMap::NONE) return;
  Bucket& bucket = map_.bucket(place);
  if (kind_of(charge) == BucketKind::RATE) return correct_rate(charge, bucket, more, now);
  const int64_t start = now - now % charge.window.period_ns;
  if (bucket.window.start_ns == charge.window.start_ns && (more < 0 || start == charge.window.start_ns)) {
    bucket.window.used += more;
  } else if (more > 0) {
    // Its window is over: what goes beyond the reservation counts in the one that runs.
    if (bucket.window.start_ns != start) bucket.window.used = 0;
    bucket.window.start_ns = start;
    bucket.window.period_ns = charge.window.period_ns;
    bucket.window.used += more;
  }
}

}  // namespace sluice
