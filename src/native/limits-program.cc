#include "limits-fine-time.h"

#include <cmath>
#include <cstring>

namespace sluice {
namespace {

// Nobody can know when a request that runs will end.
constexpr int64_t HELD_RETRY_NS = 1'000'000'000;

// Odd, so that none of them maps two tags to one. Tags are secret and as good as random, and so are these sums.
constexpr uint64_t FACTORS[PARTS] = {0x9e3779b97f4a7c15, 0xc2b2ae3d27d4eb4f, 0x165667b19e3779f9, 0xd6e8feb86659fd93,
                                     0xff51afd7ed558ccd, 0xc4ceb9fe1a85ec53, 0x94d049bb133111eb, 0xbf58476d1ce4e5b9};

Wide wide(const Tag& tag) { return static_cast<Wide>(tag.high) << 64 | tag.low; }
Tag narrow(Wide value) { return {static_cast<uint64_t>(value), static_cast<uint64_t>(value >> 64)}; }

// Rounded up: whoever waits for so long has waited enough.
int64_t whole_ns(SignedWide span) { return span <= 0 ? 0 : static_cast<int64_t>((span + (1LL << FRACTION_BITS) - 1) >> FRACTION_BITS); }

// Wrong by 2^-52 at most. The compiler's own is exact, and a call; and numbers without a sign take it a branch.
double rough(SignedWide value) {
  return static_cast<double>(static_cast<int64_t>(value >> 53)) * 0x1p53 +
         static_cast<double>(static_cast<int64_t>(value) & ((int64_t{1} << 53) - 1));
}

bool counts_tokens(Quantity quantity) { return quantity == INPUT_TOKENS || quantity == OUTPUT_TOKENS || quantity == TOKENS; }

constexpr Standing NOWHERE = {-1, 0, 0};

}  // namespace

void LimitsProgram::configure(const std::vector<std::string>& names, const double* figures, int64_t lease_ns) {
  limits_.clear();
  lease_ns_ = lease_ns;
  for (uint64_t& any : any_) any = 0;
  of_targets_ = false;
  const SipHash hash = map_.hash();
  for (size_t i = 0; i < names.size() && i < LIMITS_MAX; i++) {
    const double* figure = figures + i * FIGURES;
    Limit one;
    one.tag = hash.of("limit " + names[i]);
    one.tally = hash.of("tally " + names[i]);
    one.quantity = static_cast<Quantity>(figure[0]);
    one.kind = static_cast<BucketKind>(figure[1]);
    one.observes = figure[2] != 0;
    one.admits_unplaced = figure[3] != 0;
    one.settles = one.kind == BucketKind::HELD || one.kind == BucketKind::BUDGET || counts_tokens(one.quantity);
    one.scope = static_cast<uint8_t>(figure[4]);
    one.wants = static_cast<uint32_t>(figure[5]);
    one.limit = static_cast<int64_t>(figure[6]);
    one.burst = static_cast<int64_t>(figure[7]);
    one.period_ns = static_cast<int64_t>(figure[8]);
    for (uint32_t j = 0; j < Limit::THRESHOLDS; j++) one.alerts[j] = static_cast<int64_t>(figure[9 + j]);
    for (uint32_t j = 0; j < BOUNDS; j++) one.bounds_s[j] = static_cast<int64_t>(figure[9 + Limit::THRESHOLDS + j]);
    one.unit = ((static_cast<Wide>(one.period_ns) << FRACTION_BITS) + one.limit - 1) / one.limit;
    one.most = one.unit * static_cast<Wide>(one.burst);
    one.per_fine = 1 / rough(static_cast<SignedWide>(one.unit));
    limits_.push_back(one);
    of_targets_ = of_targets_ || (one.scope & OF_TARGETS) != 0;
    for (uint32_t part = 0; part < PARTS; part++) {
      if ((one.wants >> part & 1) == 0) any_[part] |= uint64_t{1} << i;
    }
  }
  for (Subject& subject : subjects_) subject.limits = any_[subject.part];
  edition_++;
  make_tallies();
}

// Now, so that they have their places when the table is full.
void LimitsProgram::make_tallies() {
  if (!map_.lock()) return;
  map_.begin();
  const int64_t now = map_.now_ns();
  for (const Limit& limit : limits_) map_.claim(limit.tally, BucketKind::TALLY, now);
  map_.unlock();
}

int32_t LimitsProgram::subject(Part part, std::string_view name, uint64_t limits) {
  std::string text = std::to_string(part) + " ";
  text.append(name);
  const auto [entry, fresh] = numbers_.try_emplace(text, static_cast<int32_t>(subjects_.size()));
  if (fresh) subjects_.push_back({map_.hash().of(text), part, 0});
  subjects_[entry->second].limits = any_[part] | limits;
  edition_++;
  return entry->second;
}

LimitsProgram::Plan& LimitsProgram::plan_for(const Request& request) {
  any_model_ = request.has_texts && !request.texts[MODEL].empty();
  uint32_t hash = 0;
  for (const int32_t subject : request.subjects) hash = hash * 31 + static_cast<uint32_t>(subject);
  Plan& plan = plans_[request.has_texts ? PLANS : hash % PLANS];
  const bool same = std::memcmp(plan.subjects, request.subjects, sizeof plan.subjects) == 0;
  if (request.has_texts || plan.edition != edition_ || !same) make_plan(request, &plan);
  return plan;
}

void LimitsProgram::make_plan(const Request& request, Plan* plan) {
  std::memcpy(plan->subjects, request.subjects, sizeof plan->subjects);
  plan->edition = edition_;
  plan->steps.clear();
  for (uint64_t rest = applying(request); rest != 0; rest &= rest - 1) {
    const uint32_t index = static_cast<uint32_t>(__builtin_ctzll(rest));
    plan->steps.push_back({tag_of(limits_[index]), index, 0});
  }
}

// Which limits apply; fills `parts_`.
uint64_t LimitsProgram::applying(const Request& request) {
  uint64_t limits = limits_.size() == LIMITS_MAX ? ~uint64_t{0} : (uint64_t{1} << limits_.size()) - 1;
  uint32_t present = 0;
  for (uint32_t part = 0; part < PARTS; part++) {
    const int32_t number = request.subjects[part];
    if (number >= 0 && static_cast<size_t>(number) < subjects_.size()) {
      parts_[part] = subjects_[number].tag;
      limits &= subjects_[number].limits;
    } else {
      limits &= any_[part];
      if (request.texts[part].empty()) continue;
      std::string text = std::to_string(part) + " ";
      text.append(request.texts[part]);
      parts_[part] = map_.hash().of(text);
    }
    present |= 1u << part;
  }
  for (uint64_t rest = limits; rest != 0; rest &= rest - 1) {
    const int index = __builtin_ctzll(rest);
    if ((limits_[index].scope & ~present) != 0) limits &= ~(uint64_t{1} << index);
  }
  return limits;
}

int64_t LimitsProgram::amount_of(const Request& request, const Limit& limit) {
  const int64_t amount = request.amounts[limit.quantity];
  const int64_t most = limit.kind == BucketKind::RATE ? limit.burst : limit.limit;
  if (amount <= most || (limit.quantity != TOKENS && limit.quantity != OUTPUT_TOKENS && limit.quantity != COST)) return amount;
  const int64_t certain = amount - (limit.quantity == COST ? request.assumed_cost : request.assumed_tokens);
  return certain > most ? certain : most;
}

// What a provider is paid for counts also where nobody can know before how much it is; below 0 is what a budget cannot count.
bool LimitsProgram::counts(const Limit& limit, const Request& request, int64_t amount) {
  if (limit.kind == BucketKind::BUDGET) return amount >= 0 && request.bills;
  return amount > 0 || (request.bills && counts_tokens(limit.quantity));
}

Tag LimitsProgram::tag_of(const Limit& limit) const {
  Wide sum = wide(limit.tag);
  for (uint32_t scope = limit.scope; scope != 0; scope &= scope - 1) {
    const int part = __builtin_ctz(scope);
    sum += wide(parts_[part]) * FACTORS[part];
  }
  return narrow(sum);
}

void LimitsProgram::admit(const Request& request, Answer* answer) {
  *answer = {Decision::ADMITTED, -1, -1, 0, -1, NOWHERE, NOWHERE};
  alerts_.clear();
  Plan& plan = plan_for(request);
  if (plan.steps.empty()) return;
  if (!map_.lock()) {
    answer->decision = Decision::BUSY;
    return;
  }
  map_.begin();
  const int64_t now = map_.now_ns();
  gather(request, plan);
  for (uint32_t i = 0; i < check_count_; i++) look(&checks_[i], now);
  refuse(answer);
  if (answer->decision == Decision::ADMITTED && !take_leases(now)) answer->decision = Decision::UNPLACED;
  if (answer->decision == Decision::ADMITTED) {
    const uint32_t sides = charge_all();
    if ((sides & OF_REQUEST) != 0) answer->ticket = open_ticket(OF_REQUEST);
    if ((sides & OF_TARGET) != 0) answer->target_ticket = open_ticket(OF_TARGET);
    answer->covered = covered(request);
  }
  stand(answer, answer->decision == Decision::ADMITTED);
  note_refusals(*answer, !request.quiet || answer->decision == Decision::ADMITTED, now);
  map_.unlock();
}

// Which sides have something to settle.
uint32_t LimitsProgram::charge_all() {
  uint32_t sides = 0;
  for (uint32_t i = 0; i < check_count_; i++) {
    const Limit& limit = limits_[checks_[i].limit];
    if (!checks_[i].admits) continue;
    charge(checks_[i]);
    if (limit.settles) sides |= side_of(limit);
  }
  return sides;
}

void LimitsProgram::note_refusals(const Answer& answer, bool counted, int64_t now) {
  // What refuses at any target ends it: whether others had room nobody asked, so that this one had none refused nothing.
  const bool at_target = answer.limit < 0 || (limits_[answer.limit].scope & OF_TARGETS) != 0;
  for (uint32_t i = 0; i < check_count_; i++) {
    const Check& check = checks_[i];
    if (check.admits && !check.over) continue;
    const bool of_target = (limits_[check.limit].scope & OF_TARGETS) != 0;
    if (counted && (at_target || !of_target)) count_refusal(check, now);
    if (check.over && !check.never) tell_of_end(check, now);
  }
}

void LimitsProgram::count_refusal(const Check& check, int64_t now) {
  const Limit& limit = limits_[check.limit];
  if (check.place == LimitsMap::NONE) count(limit, [](Bucket& bucket) { return ++bucket.tally.unplaced; }, now);
  else if (limit.observes) count(limit, [](Bucket& bucket) { return ++bucket.tally.observed; }, now);
  else count(limit, [](Bucket& bucket) { return ++bucket.tally.rejected; }, now);
}

// The counts that the request asks. All are sought before the first is read, so that the cache fetches them at once.
void LimitsProgram::gather(const Request& request, Plan& plan) {
  check_count_ = 0;
  for (Step& step : plan.steps) {
    const Limit& limit = limits_[step.limit];
    const int64_t amount = amount_of(request, limit);
    if (counts(limit, request, amount)) add_check(&step, amount);
  }
}

void LimitsProgram::add_check(Step* step, int64_t amount) {
  map_.fetch(step->place);
  Check& check = checks_[check_count_++];
  check.step = step;
  check.limit = step->limit;
  check.amount = amount;
}

// Clients may make up as many users as they like, and models where any is taken, and have addresses: a quarter of the table is for what the
// configuration names.
uint32_t LimitsProgram::spared_by(const Limit& limit) const {
  const uint32_t chosen = OF_CLIENTS | (any_model_ ? 1u << MODEL | 1u << TARGET : 0);
  return (limit.scope & chosen) != 0 ? LimitsMap::WAYS / 4 : 0;
}

void LimitsProgram::look(Check* check, int64_t now) {
  const Limit& limit = limits_[check->limit];
  check->place = map_.claim(check->step->tag, limit.kind, now, check->step->place, spared_by(limit));
  check->never = check->over = false;
  check->retry_ns = check->reset_ns = check->room = 0;
  if (check->place == LimitsMap::NONE) {
    check->admits = false;
    return;
  }
  check->step->place = check->place;
  look_at(limit, map_.bucket(check->place), check, now);
}

void LimitsProgram::look_at(const Limit& limit, const Bucket& bucket, Check* check, int64_t now) {
  if (limit.kind == BucketKind::RATE) look_at_rate(limit, bucket, check, now);
  else if (limit.kind == BucketKind::WINDOW) look_at_window(limit, bucket, check, now);
  else if (limit.kind == BucketKind::BUDGET) look_at_budget(limit, bucket, check, now);
  else look_at_held(limit, bucket, check);
}

// What was used at another rate is as many units of this one, all of them at most.
SignedWide LimitsProgram::full_again(const Limit& limit, const Bucket& bucket, SignedWide now) {
  const SignedWide full = full_at(bucket);
  const Wide unit = unit_of(bucket);
  if (full <= now || unit == 0 || unit == limit.unit) return full;
  const Wide used = static_cast<Wide>(full - now) / unit;
  if (used >= static_cast<Wide>(limit.burst)) return now + static_cast<SignedWide>(limit.most);
  const double rest = rough(static_cast<SignedWide>(static_cast<Wide>(full - now) % unit)) / rough(static_cast<SignedWide>(unit));
  return now + static_cast<SignedWide>(used * limit.unit) + static_cast<SignedWide>(rest * rough(static_cast<SignedWide>(limit.unit)));
}

void LimitsProgram::look_at_rate(const Limit& limit, const Bucket& bucket, Check* check, int64_t now) {
  const SignedWide start = fine(now);
  const SignedWide full = full_again(limit, bucket, start);
  const SignedWide unit = static_cast<SignedWide>(limit.unit);
  const SignedWide most = start + static_cast<SignedWide>(limit.most);
  check->is_full = full <= start;
  const SignedWide before = check->is_full ? start : full;
  check->window_start = now;
  check->after = before + check->amount * unit;
  check->admits = check->after <= most;
  check->never = check->amount > limit.burst;
  if (!check->admits) check->retry_ns = whole_ns(check->after - most);
  const SignedWide then = check->admits ? check->after : before;
  // For the headers only; a double has 53 bits of what is a whole multiple of the unit.
  check->room = most > then ? static_cast<int64_t>(rough(most - then) * limit.per_fine + 1e-6) : 0;
  check->reset_ns = whole_ns(then - start);
}

void LimitsProgram::look_at_window(const Limit& limit, const Bucket& bucket, Check* check, int64_t now) {
  check->window_start = now - now % limit.period_ns;
  const int64_t used = bucket.window.start_ns == check->window_start ? bucket.window.used : 0;
  check->admits = used + check->amount <= limit.limit;
  check->never = check->amount > limit.limit;
  check->reset_ns = check->window_start + limit.period_ns - now;
  if (!check->admits) check->retry_ns = check->reset_ns;
  const int64_t room = limit.limit - used - (check->admits ? check->amount : 0);
  check->room = room > 0 ? room : 0;
}

void LimitsProgram::look_at_held(const Limit& limit, const Bucket& bucket, Check* check) {
  const int64_t held = bucket.held.amount;
  check->admits = held + check->amount <= limit.limit;
  check->never = check->amount > limit.limit;
  if (!check->admits) check->retry_ns = HELD_RETRY_NS;
}

// The decision, and of those that refuse the one that takes longest.
void LimitsProgram::refuse(Answer* answer) {
  for (uint32_t i = 0; i < check_count_; i++) {
    const Check& check = checks_[i];
    const Limit& limit = limits_[check.limit];
    if (check.admits || limit.observes) continue;
    if (check.place == LimitsMap::NONE && limit.admits_unplaced) continue;
    const Decision decision =
        check.place == LimitsMap::NONE ? Decision::UNPLACED : check.never ? Decision::NEVER : Decision::REFUSED;
    const bool worse = decision == Decision::NEVER && answer->decision != Decision::NEVER;
    if (answer->limit >= 0 && !worse && (check.retry_ns <= answer->retry_ns || answer->decision == Decision::NEVER)) continue;
    answer->decision = decision;
    answer->limit = static_cast<int32_t>(check.limit);
    answer->retry_ns = check.retry_ns;
  }
}

// All that this request needs, or none.
bool LimitsProgram::take_leases(int64_t now) {
  for (uint32_t i = 0; i < check_count_; i++) {
    const Check& check = checks_[i];
    if (!check.admits || limits_[check.limit].kind != BucketKind::HELD) continue;
    const uint32_t lease = map_.take_lease(slot, check.place, check.amount, now + lease_ns_);
    if (lease != LimitsMap::NONE) {
      taken_[i] = {lease, map_.lease_serial(lease)};
      continue;
    }
    while (i-- > 0) {
      if (checks_[i].admits && limits_[checks_[i].limit].kind == BucketKind::HELD)
        map_.return_lease(taken_[i].lease, taken_[i].serial);
    }
    return false;
  }
  return true;
}

void LimitsProgram::charge_rate(const Limit& limit, Bucket& bucket, const Check& check) {
  if (check.is_full) bucket.settled = check.window_start;
  set_unit(bucket, limit.unit);
  set_full_at(bucket, check.after);
}

void LimitsProgram::charge(const Check& check) {
  Bucket& bucket = map_.bucket(check.place);
  if (bucket.kind == BucketKind::RATE) charge_rate(limits_[check.limit], bucket, check);
  if (bucket.kind == BucketKind::BUDGET) charge_budget(limits_[check.limit], bucket, check);
  if (bucket.kind != BucketKind::WINDOW) return;
  if (bucket.window.start_ns != check.window_start) {
    bucket.window.used = 0;
    bucket.window.start_ns = check.window_start;
    bucket.window.period_ns = limits_[check.limit].period_ns;
  }
  bucket.window.used += check.amount;
}

void LimitsProgram::stand(Answer* answer, bool charged) {
  for (uint32_t i = 0; i < check_count_; i++) {
    const Check& check = checks_[i];
    const Limit& limit = limits_[check.limit];
    if (limit.kind == BucketKind::HELD || limit.kind == BucketKind::BUDGET || check.place == LimitsMap::NONE) continue;
    Standing& standing = limit.quantity == REQUESTS ? answer->requests : answer->tokens;
    // What was looked at as charged, and then was not.
    const bool spared = !charged && check.admits;
    const int64_t room = spared ? check.room + check.amount : check.room;
    const bool less = spared && limit.kind == BucketKind::RATE;
    const int64_t reset_ns =
        less ? whole_ns(check.after - check.amount * static_cast<SignedWide>(limit.unit) - fine(check.window_start)) : check.reset_ns;
    const bool nearer = standing.limit < 0 || room < standing.remaining;
    if (nearer || (room == standing.remaining && reset_ns > standing.reset_ns)) standing = {limit.limit, room, reset_ns};
  }
}

void LimitsProgram::count(const Limit& limit, uint64_t (*of)(Bucket&), int64_t now) {
  const uint32_t place = map_.claim(limit.tally, BucketKind::TALLY, now);
  if (place != LimitsMap::NONE) of(map_.bucket(place));
}

double LimitsProgram::learned(std::string_view name) {
  if (!map_.lock()) return -1;
  const uint32_t place = map_.find(map_.hash().of("learned " + std::string(name)));
  const double value = place == LimitsMap::NONE ? -1 : map_.bucket(place).learned.value;
  map_.unlock();
  return value;
}

void LimitsProgram::learn(std::string_view name, double value) {
  if (!map_.lock()) return;
  map_.begin();
  const uint32_t place = map_.claim(map_.hash().of("learned " + std::string(name)), BucketKind::LEARNED, map_.now_ns());
  if (place != LimitsMap::NONE) map_.bucket(place).learned.value = value;
  map_.unlock();
}

void LimitsProgram::tally(uint32_t index, uint64_t* out) {
  out[0] = out[1] = out[2] = out[3] = 0;
  if (index >= limits_.size() || !map_.lock()) return;
  const uint32_t place = map_.find(limits_[index].tally);
  if (place != LimitsMap::NONE) {
    const Bucket& bucket = map_.bucket(place);
    out[0] = bucket.tally.rejected;
    out[1] = bucket.tally.observed;
    out[2] = bucket.tally.unplaced;
    out[3] = static_cast<uint64_t>(bucket.settled);
  }
  map_.unlock();
}

}  // namespace sluice
