// The part of LimitsProgram that deals with what a request that runs has reserved: how far it goes, and more of it.
#include "limits-fine-time.h"

#include <algorithm>

namespace sluice {
namespace {

constexpr int64_t BOUNDLESS = INT64_MAX;
constexpr int64_t SECOND_NS = 1'000'000'000;

int64_t share(int64_t amount, int64_t of, int64_t whole) {
  return static_cast<int64_t>(static_cast<Wide>(amount) * static_cast<Wide>(of) / static_cast<Wide>(whole));
}

bool counts_output(uint32_t quantity) { return quantity == OUTPUT_TOKENS || quantity == TOKENS || quantity == COST; }

// Of what is reserved beside the prompt. A cost is of the dearest target; where it is a guess, what goes beyond the limit was left out.
int64_t covered_by(const Request& request, Quantity quantity, int64_t amount) {
  const int64_t output = request.amounts[OUTPUT_TOKENS];
  if (quantity == OUTPUT_TOKENS) return amount;
  if (quantity == TOKENS) return amount - request.amounts[INPUT_TOKENS];
  const int64_t certain = request.amounts[COST] - request.assumed_cost;
  if (amount >= request.amounts[COST] || request.assumed_cost <= 0) return output;
  return amount <= certain ? 0 : share(output, amount - certain, request.assumed_cost);
}

}  // namespace

LimitsProgram::Ticket* LimitsProgram::ticket_at(int32_t number) {
  return number < 0 || static_cast<size_t>(number) >= tickets_.size() ? nullptr : &tickets_[number];
}

int64_t LimitsProgram::used_of(const Used& used, const Charge& charge) {
  if (charge.quantity == COST) return used.cost;
  if (charge.quantity == INPUT_TOKENS) return used.input_tokens;
  return charge.quantity == OUTPUT_TOKENS ? used.output_tokens : used.input_tokens + used.output_tokens;
}

// The newest of this name; null: there is none any more.
const Limit* LimitsProgram::limit_of(const Charge& charge) const {
  for (const Limit& limit : limits_) {
    if (limit.tag.low == charge.limit) return &limit;
  }
  return nullptr;
}

int64_t LimitsProgram::covered(const Request& request) const {
  int64_t least = BOUNDLESS;
  for (uint32_t i = 0; i < check_count_; i++) {
    const Limit& limit = limits_[checks_[i].limit];
    if (!checks_[i].admits || limit.observes || !counts_output(limit.quantity)) continue;
    const int64_t tokens = covered_by(request, limit.quantity, checks_[i].amount);
    if (tokens < least) least = tokens > 0 ? tokens : 0;
  }
  return least == BOUNDLESS ? -1 : least;
}

int64_t LimitsProgram::extend(int32_t ticket, int32_t target_ticket, int64_t needed, int64_t wanted, int64_t cost) {
  alerts_.clear();
  Ticket* const both[] = {ticket_at(ticket), ticket_at(target_ticket)};
  if (!map_.lock()) return 0;
  map_.begin();
  const int64_t now = map_.now_ns();
  int64_t granted = wanted;
  for (const Ticket* one : both) {
    if (one != nullptr) granted = std::min(granted, room_in(one, needed, wanted, cost, now));
  }
  if (granted < needed) granted = 0;
  for (Ticket* one : both) {
    for (size_t i = 0; granted > 0 && one != nullptr && i < one->charges.size(); i++) {
      Charge& charge = one->charges[i];
      if (counts_output(charge.quantity)) take_more(&charge, charge.quantity == COST ? share(cost, granted, wanted) : granted, now);
    }
  }
  map_.unlock();
  return granted;
}

// How many output tokens all limits of a ticket take, up to `wanted`.
int64_t LimitsProgram::room_in(const Ticket* ticket, int64_t needed, int64_t wanted, int64_t cost, int64_t now) {
  int64_t least = wanted;
  for (const Charge& charge : ticket->charges) {
    const Limit* const limit = limit_of(charge);
    if (limit == nullptr || limit->observes || !counts_output(charge.quantity)) continue;
    int64_t room = room_of(charge, *limit, now);
    if (charge.quantity == COST) room = room < cost ? share(room, wanted, cost) : wanted;
    if (room < needed && kind_of(charge) == BucketKind::BUDGET) tell_of_end(charge, *limit, now);
    least = std::min(least, room);
  }
  return least;
}

int64_t LimitsProgram::room_of(const Charge& charge, const Limit& limit, int64_t now) {
  if (kind_of(charge) == BucketKind::BUDGET) {
    const uint32_t place = map_.find(charge.tag);
    if (place == LimitsMap::NONE) return BOUNDLESS;
    const auto& budget = map_.bucket(place).budget;
    const bool ends = budget.period_s != ENDLESS_S;
    // Nobody asks any more what a period that is over had.
    if (budget.start_ns != charge.window.start_ns || (ends && budget.start_ns + budget.period_s * SECOND_NS <= now)) return BOUNDLESS;
    const int64_t used = budget.used;
    return used < limit.limit ? limit.limit - used : 0;
  }
  Check check;
  check.place = map_.claim(charge.tag, kind_of(charge), now);
  if (check.place == LimitsMap::NONE) return limit.admits_unplaced ? BOUNDLESS : 0;
  check.amount = 0;
  look_at(limit, map_.bucket(check.place), &check, now);
  return check.room;
}

void LimitsProgram::take_more(Charge* charge, int64_t more, int64_t now) {
  if (kind_of(*charge) == BucketKind::RATE) {
    const uint32_t place = map_.find(charge->tag, charge->place);
    const bool began = place == LimitsMap::NONE || full_at(map_.bucket(place)) < fine(now) || map_.bucket(place).settled > charge->rate.at_ns;
    if (began) {
      charge->before += charge->amount;
      charge->amount = 0;
      charge->rate.at_ns = now;
    }
  }
  if (kind_of(*charge) == BucketKind::WINDOW && charge->window.start_ns != now - now % charge->window.period_ns) {
    charge->before += charge->amount;
    charge->amount = 0;
    charge->window.start_ns = now - now % charge->window.period_ns;
  }
  if (kind_of(*charge) != BucketKind::BUDGET) {
    Charge beside = *charge;
    beside.amount = 0;
    correct(beside, more, Now(map_, now));
    charge->amount += more;
    return;
  }
  const uint32_t place = map_.find(charge->tag);
  if (place == LimitsMap::NONE || map_.bucket(place).budget.start_ns != charge->window.start_ns) return;
  map_.bucket(place).budget.used += more;
  charge->amount += more;
}

void LimitsProgram::tell_of_end(const Charge& charge, const Limit& limit, int64_t now) {
  Check check;
  check.limit = static_cast<uint32_t>(&limit - limits_.data());
  check.place = map_.find(charge.tag);
  check.window_start = charge.window.start_ns;
  if (check.place != LimitsMap::NONE) tell_of_end(check, now);
}

}  // namespace sluice
