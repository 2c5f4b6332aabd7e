// What the limits of a configuration say, compiled, and the decision about one request over all of them together. One per
// thread; what it decides over stands in the map, which all processes share.
//
// A decision reads first and writes only if every limit admits, so a refused request takes nothing of any of them. Rates are
// GCRA: a bucket says when it will be full again, which one unit moves by period / limit; that is rounded up to 2^-32 ns, and
// all sums are whole multiples of it, so `burst` units fit exactly. A limit that was changed has what was used in its own units. Windows begin at whole multiples of their period since 1970.
// Budgets are counts too; when their periods begin and end is told from outside, for the one that runs and the next one.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "limits-map.h"

namespace sluice {

__extension__ typedef unsigned __int128 Wide;
__extension__ typedef __int128 SignedWide;

enum Quantity : uint8_t { REQUESTS = 0, INPUT_TOKENS, OUTPUT_TOKENS, TOKENS, CONCURRENCY, BYTES, COST, QUANTITIES };

// What a limit may count apart: its scope is a set of these.
enum Part : uint32_t { KEY = 0, TEAM, USER, ADDRESS, MODEL, ROUTE, TARGET, PROVIDER, PARTS };

// Parts that another target of a request changes.
constexpr uint32_t OF_TARGETS = 1u << TARGET | 1u << PROVIDER;
// Parts of which clients say what they are.
constexpr uint32_t OF_CLIENTS = 1u << USER | 1u << ADDRESS;

// What every request asks of it stands first, in one line of the cache.
struct alignas(64) Limit {
  Wide unit;
  // RATE: what the burst is in fine time.
  Wide most;
  // How many units are in one of the fine time, roughly.
  double per_fine;
  int64_t limit;
  int64_t burst;
  BucketKind kind;
  Quantity quantity;
  // Bits of Part.
  uint8_t scope;
  bool observes : 1;
  bool admits_unplaced : 1;
  // Something of it is corrected, or given back, at the end of a request.
  bool settles : 1;
  int64_t period_ns;
  Tag tag;
  Tag tally;
  // Parts of which it wants certain subjects only.
  uint32_t wants;
  static constexpr uint32_t THRESHOLDS = 4;
  // BUDGET: at how much of it somebody is told; 0: none.
  int64_t alerts[THRESHOLDS];
  // BUDGET, seconds since 1970: when its period began, ends, and the next one ends. Below 0: never.
  int64_t bounds_s[3];
};
static_assert(offsetof(Limit, period_ns) == 64);

struct Request {
  static constexpr int32_t ABSENT = -1;
  // Numbers of subjects.
  int32_t subjects[PARTS];
  // Subjects that have no number; empty: absent.
  std::string_view texts[PARTS];
  bool has_texts;
  int64_t amounts[QUANTITIES];
  // Output tokens among them that are a guess: it makes no request larger than a limit.
  int64_t assumed_tokens;
  // The same of its cost.
  int64_t assumed_cost;
  // A provider is paid for it, whatever the amounts: budgets count it.
  bool bills;
  // When it is refused, nothing is counted: it will be asked again.
  bool quiet;
};

// What a request really used.
struct Used {
  int64_t input_tokens;
  int64_t output_tokens;
  int64_t cost;
};

struct Alert {
  uint32_t limit;
  uint32_t threshold;
};

enum class Decision : int32_t { ADMITTED = 0, REFUSED = 1, NEVER = 2, UNPLACED = 3, BUSY = 4 };

// Of the limit that is nearest to its end; limit < 0: there is none.
struct Standing {
  int64_t limit;
  int64_t remaining;
  int64_t reset_ns;
};

struct Answer {
  Decision decision;
  // To settle; -1: there is nothing to settle.
  int32_t ticket;
  // Which limit refused, and after how long it would not have.
  int32_t limit;
  int64_t retry_ns;
  // Output tokens that what is reserved covers, by those limits that refuse; -1: none of them counts these.
  int64_t covered;
  Standing requests;
  Standing tokens;
  // The same as `ticket` of what limits of targets have of it; -1: these have nothing.
  int32_t target_ticket = -1;
};

// One limit as peek() found it.
struct Peeked {
  uint32_t limit;
  bool admits;
  // What the request takes, and what there is before it does.
  int64_t amount;
  int64_t left;
  // Until all of it is there again; 0: it is, or nobody knows.
  int64_t reset_ns;
};

class LimitsProgram {
 public:
  static constexpr uint32_t LIMITS_MAX = 64;
  // Numbers of a limit in `figures` of configure().
  static constexpr uint32_t FIGURES = 16;
  // Numbers of a limit in `bounds` of set_periods().
  static constexpr uint32_t BOUNDS = 3;

  explicit LimitsProgram(LimitsMap& map) : map_(map) {}

  // From now on these limits are in force, and no subject is wanted by any of them yet. Tickets stay good.
  void configure(const std::vector<std::string>& names, const double* figures, int64_t lease_ns);
  // The number of a subject, for as long as this process lives; `limits`: those that want it, bits by their number.
  int32_t subject(Part part, std::string_view name, uint64_t limits);

  uint32_t slot = 0;

  void admit(const Request& request, Answer* answer);
  // What admit() would decide now, and how each limit that applies stands, without a trace in the map. `out` has LIMITS_MAX places; how
  // many of them were filled.
  uint32_t peek(const Request& request, Answer* answer, Peeked* out);
  // What limits have of one request, and those of its target; -1: nothing. Each ticket once.
  void settle(int32_t ticket, int32_t target_ticket, const Used& used);
  // Used beside what is reserved, before that is settled: by an attempt at the target of `request`, which may be another one.
  void book(int32_t ticket, const Used& used, const Request& request);
  // An attempt goes to another target, that of `request`: what limits of the parts `changed` (bits) have of it goes along, or nothing changes.
  // `ticket` is a target ticket, and so is the answer's; -1: it was nowhere before.
  void move(int32_t ticket, uint32_t changed, const Request& request, Answer* answer);
  // Reserves more output tokens: `wanted`, or as many as there are, if these are `needed` at least. 0: not so many, and nothing is taken.
  // `cost`: of those that are wanted.
  int64_t extend(int32_t ticket, int32_t target_ticket, int64_t needed, int64_t wanted, int64_t cost);
  // Thresholds of budgets that the last admit() or settle() was the first to reach.
  const std::vector<Alert>& alerts() const { return alerts_; }
  // The periods of budgets, BOUNDS numbers for each limit.
  void set_periods(const double* bounds);
  // The count of a budget for these subjects (by Part; the others are ABSENT), in the period that runs.
  bool spent(uint32_t index, const int32_t* subjects, int64_t* used, int64_t* settled);
  // Raises what is settled of it to `least`, where it is below.
  bool raise(uint32_t index, const int32_t* subjects, int64_t least);
  // Refused, observed, unplaced and alerts of limit `index`.
  void tally(uint32_t index, uint64_t* out);
  // What was learned under a name, by any worker at any time; below 0: nothing.
  double learned(std::string_view name);
  void learn(std::string_view name, double value);
  size_t limit_count() const { return limits_.size(); }

 private:
  struct Subject {
    Tag tag;
    Part part;
    uint64_t limits;
  };

  // A limit that applies to requests of certain subjects, and where their count was when it was last asked for.
  struct Step {
    Tag tag;
    uint32_t limit;
    uint32_t place;
  };

  // What is to be asked for requests of these subjects, all of which have numbers. Kept, because it is the same for the next one: what is
  // read of it is one after the other in memory, and nothing is multiplied.
  struct Plan {
    int32_t subjects[PARTS];
    // Of the subjects and limits that it was made for.
    uint64_t edition = 0;
    std::vector<Step> steps;
  };

  // One limit's view of the request that is being decided.
  struct Check {
    Step* step;
    uint32_t limit;
    uint32_t place;
    int64_t amount;
    bool admits;
    bool never;
    // More than there is, whether it is admitted or not.
    bool over;
    // RATE: it is full now.
    bool is_full;
    // RATE, in 2^-32 ns: when it is full again with this request.
    SignedWide after;
    // RATE: now.
    int64_t window_start;
    int64_t room;
    int64_t reset_ns;
    int64_t retry_ns;
  };

  // What is to be corrected when the request is over; says all that it takes, whatever limits are in force then. Small, because
  // it leaves the cache between the two.
  struct Charge {
    Tag tag;
    // Of its limit's tag, the half.
    uint64_t limit;
    int64_t amount;
    // Of windows that are over: what they had of this request.
    int64_t before;
    // Where its count was.
    uint32_t place;
    uint8_t kind;
    uint8_t quantity;
    // Of a rate.
    uint16_t unit_high;
    union {
      struct {
        uint64_t unit_low;
        int64_t at_ns;
      } rate;
      // Of windows and budgets.
      struct {
        int64_t start_ns;
        int64_t period_ns;
      } window;
      struct {
        uint32_t lease;
        uint32_t serial;
      } held;
    };
  };
  static_assert(sizeof(Charge) == 64);
  static BucketKind kind_of(const Charge& charge) { return static_cast<BucketKind>(charge.kind); }

  // The time, asked for when it is needed, and once: a question takes as long as a count.
  class Now {
   public:
    explicit Now(const LimitsMap& map) : map_(map) {}
    Now(const LimitsMap& map, int64_t ns) : map_(map), ns_(ns) {}
    int64_t ns() const { return ns_ < 0 ? ns_ = map_.now_ns() : ns_; }

   private:
    const LimitsMap& map_;
    mutable int64_t ns_ = -1;
  };

  struct Taken {
    uint32_t lease;
    uint32_t serial;
  };

  struct Ticket {
    std::vector<Charge> charges;
    int32_t next_free;
  };

  void make_tallies();
  Plan& plan_for(const Request& request);
  void make_plan(const Request& request, Plan* plan);
  uint64_t applying(const Request& request);
  static int64_t amount_of(const Request& request, const Limit& limit);
  Tag tag_of(const Limit& limit) const;
  void gather(const Request& request, Plan& plan);
  void add_check(Step* step, int64_t amount);
  uint32_t charge_all();
  // Of the checks that do not admit; not `counted`: only budgets that come to their end are told of.
  void note_refusals(const Answer& answer, bool counted, int64_t now);
  void count_refusal(const Check& check, int64_t now);
  void keep_charges(std::vector<Charge>* charges, uint32_t side);
  void release(Ticket* ticket, uint32_t changed, const Now& now);
  bool is_of(const Charge& charge, uint32_t parts) const;
  void book_at_target(const Used& used, const Request& request, const Now& now);
  int64_t open_period(const Limit& limit, const Tag& tag, int64_t now);
  uint32_t spared_by(const Limit& limit) const;
  void look(Check* check, int64_t now);
  void look_at(const Limit& limit, const Bucket& bucket, Check* check, int64_t now);
  static SignedWide full_again(const Limit& limit, const Bucket& bucket, SignedWide now);
  void look_at_rate(const Limit& limit, const Bucket& bucket, Check* check, int64_t now);
  void look_at_window(const Limit& limit, const Bucket& bucket, Check* check, int64_t now);
  void look_at_held(const Limit& limit, const Bucket& bucket, Check* check);
  void look_at_budget(const Limit& limit, const Bucket& bucket, Check* check, int64_t now);
  void peek_at(Check* check, Peeked* out, int64_t now);
  static bool counts(const Limit& limit, const Request& request, int64_t amount);
  static int64_t left_of(const Limit& limit, const Bucket& bucket, const Check& check, int64_t now);
  static int64_t used_of_budget(const Limit& limit, const Bucket& bucket, int64_t now);
  bool take_leases(int64_t now);
  void charge(const Check& check);
  static void charge_rate(const Limit& limit, Bucket& bucket, const Check& check);
  void charge_budget(const Limit& limit, Bucket& bucket, const Check& check);
  void refuse(Answer* answer);
  void stand(Answer* answer, bool charged);
  void count(const Limit& limit, uint64_t (*of)(Bucket&), int64_t now);
  // What there is to settle: of limits that know nothing of targets, and of those that do.
  static constexpr uint32_t OF_REQUEST = 1, OF_TARGET = 2;
  static uint32_t side_of(const Limit& limit) { return (limit.scope & OF_TARGETS) != 0 ? OF_TARGET : OF_REQUEST; }
  int32_t open_ticket(uint32_t side);
  int64_t room_in(const Ticket* ticket, int64_t needed, int64_t wanted, int64_t cost, int64_t now);
  Ticket* ticket_at(int32_t number);
  static int64_t used_of(const Used& used, const Charge& charge);
  const Limit* limit_of(const Charge& charge) const;
  int64_t covered(const Request& request) const;
  int64_t room_of(const Charge& charge, const Limit& limit, int64_t now);
  void take_more(Charge* charge, int64_t more, int64_t now);
  void tell_of_end(const Charge& charge, const Limit& limit, int64_t now);
  void note(const Limit& limit, const Tag& tag, const Check& check, const Taken& taken, Charge* charge);
  void settle_charges(const Ticket& ticket, const Used& used, const Now& now);
  void close_ticket(int32_t number);
  void correct(const Charge& charge, int64_t used, const Now& clock);
  static void correct_rate(const Charge& charge, Bucket& bucket, int64_t more, int64_t now);
  void settle_budget(const Charge& charge, int64_t used, int64_t now);
  void tell_of_end(const Check& check, int64_t now);
  void tell(uint32_t index, uint32_t threshold, Bucket& bucket, int64_t now);
  bool tag_for(uint32_t index, const int32_t* subjects);

  LimitsMap& map_;
  std::vector<Limit> limits_;
  std::vector<Subject> subjects_;
  std::unordered_map<std::string, int32_t> numbers_;
  // Limits that take any subject of a part, or none.
  uint64_t any_[PARTS] = {};
  // Some limit's scope has a part of OF_TARGETS.
  bool of_targets_ = false;
  int64_t lease_ns_ = 0;
  static constexpr uint32_t PLANS = 256;
  // By a hash of their subjects; the last one is of requests that have texts.
  Plan plans_[PLANS + 1];
  uint64_t edition_ = 1;
  // Of the request that is being decided.
  Tag parts_[PARTS];
  // Its model is what its client calls it, and not one of the configuration's.
  bool any_model_ = false;
  Check checks_[LIMITS_MAX];
  uint32_t check_count_ = 0;
  Taken taken_[LIMITS_MAX];
  std::vector<Ticket> tickets_;
  int32_t free_ticket_ = -1;
  std::vector<Alert> alerts_;
};

}  // namespace sluice
