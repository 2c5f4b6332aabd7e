// The guard of a restart: keeps the process alive, and its signals, from execve until the next program says that it runs. Main
// thread of the supervisor, before and beside Node: the program before it names the addon in LD_PRELOAD, so that this is there
// whatever is wrong with the files of the next one. What must stay true:
// - No signal is lost. The program before blocks them, they are recorded here from the first moment on, and raised again when
//   the program listens. (To keep them blocked is not enough: Node unblocks all of them when it starts.)
// - A start that fails, crashes or takes too long is tried again, in this same process, as long as workers of the earlier
//   generation live; they serve meanwhile. Told to stop, or without them, the process ends.
// Everything that a signal handler may need is made before; the handlers call what POSIX lets them.
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "guard.h"

namespace sluice {
namespace {

constexpr char VARIABLE[] = "SLUICE_GUARD=";
constexpr int CRASHES[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT};
constexpr int PAUSE_S_MAX = 10;
constexpr int TICK_MS = 100;
constexpr int TICKS_PER_S = 10;
constexpr long long TICKS_MAX = 1'000'000;
// How long a start may take to hear that it is to stop.
constexpr int STOP_S_MAX = 10;
// For workers that did not end by themselves at their deadline.
constexpr int GRACE_S = 5;
// Room for bits of signals, in decimal.
constexpr size_t RECORDED_DIGITS = 10;

struct Plan {
  int attempt = 0;
  // Signals that came to the attempt before, as bits.
  unsigned recorded = 0;
  int start_s = 0;
  int finish_s = 0;
  // Of the program before: descriptors, among them the channels of its workers, the last one this library's own; and workers that
  // are children of ours.
  std::vector<int> descriptors, channels, workers;
};

// Made once before Node runs, and then only read. Never destroyed: it is needed while the process ends.
struct Guard {
  Plan plan;
  pid_t owner = 0;
  std::vector<std::string> arguments, environment;
  std::vector<char*> argument_pointers, environment_pointers;
  // Where the bits of what was recorded stand in the environment of the next attempt.
  size_t recorded_entry = 0, recorded_at = 0;
  std::string notify_socket;
  // Standard error is the stream of the journal: lines begin with their priority (base/journal.ts).
  bool writes_journal = false;
  // Between two feedings of systemd's watchdog; 0: there is none.
  int feeding_ticks = 0;
};

// The constructor below may run before other initializers of this file: these need none.
Guard* guard = nullptr;
std::atomic<bool> armed{false};
std::atomic<bool> retrying{false};
std::atomic<unsigned> recorded{0};
// Node's handler for traps of WebAssembly, which waits for the end of the guard.
struct sigaction nodes_segv = {};
bool has_nodes_segv = false;

using Sigaction = int (*)(int, const struct sigaction*, struct sigaction*);

Sigaction real_sigaction() {
  static const Sigaction real = reinterpret_cast<Sigaction>(dlsym(RTLD_NEXT, "sigaction"));
  return real;
}

// At its start Node takes SIGTERM and SIGINT, to end by them, and SIGSEGV. Listeners of a program are told by SA_RESETHAND, which
// they do not have.
bool is_nodes(int signal, const struct sigaction* action) {
  if (!armed || action == nullptr) return false;
  return signal == SIGSEGV || ((signal == SIGTERM || signal == SIGINT) && (action->sa_flags & SA_RESETHAND) != 0);
}

std::vector<int> numbers_of(const std::string& text) {
  std::vector<int> numbers;
  const char* at = text.c_str();
  for (char* end = nullptr;; at = end) {
    const long number = std::strtol(at, &end, 10);
    if (end == at) return numbers;
    numbers.push_back(static_cast<int>(number));
  }
}

// "attempt recorded start_s finish_s;descriptors;channels;workers"
Plan plan_of(const std::string& text) {
  std::vector<std::vector<int>> fields;
  for (size_t begin = 0, end = 0; end != std::string::npos; begin = end + 1) {
    end = text.find(';', begin);
    fields.push_back(numbers_of(text.substr(begin, end == std::string::npos ? end : end - begin)));
  }
  Plan made;
  if (fields.size() != 4 || fields[0].size() != 4) return made;
  made.attempt = fields[0][0];
  made.recorded = static_cast<unsigned>(fields[0][1]);
  made.start_s = fields[0][2];
  made.finish_s = fields[0][3];
  made.descriptors = fields[1];
  made.channels = fields[2];
  made.workers = fields[3];
  return made;
}

void pause_for(int ms) {
  timespec time = {ms / 1000, (ms % 1000) * 1'000'000L};
  nanosleep(&time, nullptr);
}

// Ended children stay to be reaped by the next program.
bool lives(pid_t pid) {
  siginfo_t info = {};
  return waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == 0;
}

bool any_lives() {
  for (const int pid : guard->plan.workers)
    if (lives(pid)) return true;
  return false;
}

void feed_watchdog() {
  if (guard->feeding_ticks == 0) return;
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (guard->notify_socket.size() >= sizeof(address.sun_path)) return;
  std::memcpy(address.sun_path, guard->notify_socket.data(), guard->notify_socket.size());
  const bool abstract = guard->notify_socket[0] == '@';
  if (abstract) address.sun_path[0] = '\0';
  const size_t length = offsetof(sockaddr_un, sun_path) + guard->notify_socket.size() + (abstract ? 0 : 1);
  const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return;
  constexpr char TEXT[] = "WATCHDOG=1\nSTATUS=the next generation starts; workers of the earlier one serve";
  (void)sendto(fd, TEXT, sizeof(TEXT) - 1, MSG_NOSIGNAL, reinterpret_cast<const sockaddr*>(&address),
               static_cast<socklen_t>(length));
  close(fd);
}

bool is_feeding_time(int tick) { return guard->feeding_ticks > 0 && tick % guard->feeding_ticks == 0; }

bool is_told_to_stop() { return (recorded & (1u << SIGTERM | 1u << SIGINT)) != 0; }

// One line in the form of the log. Not from a signal handler.
void say(const char* level, const char* message) {
  char time_text[32] = {};
  const time_t now = time(nullptr);
  tm utc = {};
  gmtime_r(&now, &utc);
  strftime(time_text, sizeof(time_text), "%Y-%m-%dT%H:%M:%S.000Z", &utc);
  const char* priority = !guard->writes_journal ? "" : std::strcmp(level, "error") == 0 ? "<3>" : "<6>";
  char line[512];
  const int length = std::snprintf(
      line, sizeof(line), "%s{\"level\":\"%s\",\"time\":\"%s\",\"process\":\"supervisor\",\"pid\":%d,\"msg\":\"%s\"}\n",
      priority, level, time_text, static_cast<int>(guard->owner), message);
  if (length > 0) (void)!write(STDERR_FILENO, line, static_cast<size_t>(length));
}

// As long as it may take, one tick after the other; false: it is over before, because `goes_on` says so.
template <typename GoesOn>
bool wait_ticks(int ticks, GoesOn goes_on) {
  for (int tick = 0; tick < ticks; tick += 1) {
    if (!goes_on()) return false;
    if (is_feeding_time(tick)) feed_watchdog();
    pause_for(TICK_MS);
  }
  return true;
}

// What workers have in flight is finished, as long as the configuration lets them: their channels end.
[[noreturn]] void stop_in_order() {
  say("info", "stopping while the next generation did not start: requests that run are finished");
  for (const int channel : guard->plan.channels) close(channel);
  for (const int pid : guard->plan.workers) kill(pid, SIGTERM);
  if (wait_ticks((guard->plan.finish_s + GRACE_S) * TICKS_PER_S, any_lives))
    for (const int pid : guard->plan.workers)
      if (lives(pid)) kill(pid, SIGKILL);
  _exit(0);
}

void write_recorded() {
  char* digits = guard->environment_pointers[guard->recorded_entry] + guard->recorded_at;
  unsigned rest = recorded;
  for (size_t i = RECORDED_DIGITS; i > 0; i -= 1, rest /= 10) digits[i - 1] = static_cast<char>('0' + rest % 10);
}

void keep_descriptors(bool keep) {
  for (const int descriptor : guard->plan.descriptors) {
    const int flags = fcntl(descriptor, F_GETFD);
    if (flags >= 0) fcntl(descriptor, F_SETFD, keep ? flags & ~FD_CLOEXEC : flags | FD_CLOEXEC);
  }
}

// The same command, found on disk anew. Returns if there is nothing to keep alive.
void run_again() {
  const sigset_t held = held_signals();
  pthread_sigmask(SIG_SETMASK, &held, nullptr);
  while (any_lives()) {
    write_recorded();
    keep_descriptors(true);
    execve(guard->argument_pointers[0], guard->argument_pointers.data(), guard->environment_pointers.data());
    feed_watchdog();
    pause_for(1000);
  }
}

// One thread at most.
bool may_retry() {
  if (!armed || getpid() != guard->owner) return false;
  if (retrying.exchange(true))
    for (;;) pause();
  return true;
}

void retry() {
  if (!may_retry()) return;
  hold_signals();
  run_again();
}

void record(int signal) { recorded |= 1u << signal; }

void crash(int signal) {
  if (may_retry()) run_again();
  ::signal(signal, SIG_DFL);
  raise(signal);
}

void handle(int signal, void (*handler)(int), int flags) {
  struct sigaction action = {};
  action.sa_handler = handler;
  action.sa_flags = flags;
  real_sigaction()(signal, &action, nullptr);
}

void* watch(void*) {
  const int seconds = guard->plan.start_s * (guard->plan.attempt + 1);
  int told = 0;
  for (int tick = 0; tick < seconds * TICKS_PER_S; tick += 1) {
    if (!armed) return nullptr;
    if (tick > 0 && is_feeding_time(tick)) feed_watchdog();
    told += is_told_to_stop() ? 1 : 0;
    if (told > STOP_S_MAX * TICKS_PER_S && may_retry()) stop_in_order();
    pause_for(TICK_MS);
  }
  retry();
  return nullptr;
}

// All signals blocked: they are the main thread's.
void start_watch() {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pthread_t thread;
  if (pthread_create(&thread, nullptr, watch, nullptr) == 0) pthread_detach(thread);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

// Between two attempts.
void pause_before_attempt() {
  const int pause_s = guard->plan.attempt < PAUSE_S_MAX ? guard->plan.attempt : PAUSE_S_MAX;
  char message[160];
  std::snprintf(message, sizeof(message),
                "the next generation did not start; it is tried again in %d s, and workers of the earlier one serve",
                pause_s);
  say("error", message);
  wait_ticks(pause_s * TICKS_PER_S, [] { return !is_told_to_stop() && any_lives(); });
  if (is_told_to_stop()) stop_in_order();
  if (any_lives()) return;
  say("error", "the next generation did not start, and no worker of the earlier one is left");
  _exit(1);
}

// Another library that is to be preloaded stays.
void take_from_preload() {
  const char* list = std::getenv("LD_PRELOAD");
  const char* rest = list == nullptr ? nullptr : std::strchr(list, ':');
  if (rest == nullptr)
    unsetenv("LD_PRELOAD");
  else
    setenv("LD_PRELOAD", std::string(rest + 1).c_str(), 1);
}

void remember(int argc, char** argv, char** environ_of) {
  for (int i = 0; i < argc; i += 1) guard->arguments.emplace_back(argv[i]);
  for (char** entry = environ_of; *entry != nullptr; entry += 1) {
    const std::string text = *entry;
    if (text.rfind(VARIABLE, 0) != 0) {
      guard->environment.push_back(text);
      continue;
    }
    const size_t rest = text.find(' ', text.find(' ') + 1);
    const std::string begin = VARIABLE + std::to_string(guard->plan.attempt + 1) + " ";
    guard->recorded_entry = guard->environment.size();
    guard->recorded_at = begin.size();
    guard->environment.push_back(begin + std::string(RECORDED_DIGITS, '0') + text.substr(rest));
  }
  guard->argument_pointers = pointers_to(guard->arguments);
  guard->environment_pointers = pointers_to(guard->environment);
}

// A quarter of its interval, because a start that begins had a part of it.
void find_watchdog() {
  const char* notify = std::getenv("NOTIFY_SOCKET");
  const char* interval_us = std::getenv("WATCHDOG_USEC");
  const char* watched = std::getenv("WATCHDOG_PID");
  if (notify == nullptr || interval_us == nullptr) return;
  if (watched != nullptr && std::atoi(watched) != guard->owner) return;
  guard->notify_socket = notify;
  const long long ticks = std::atoll(interval_us) / 4 / (TICK_MS * 1000);
  guard->feeding_ticks = static_cast<int>(ticks < 1 ? 1 : ticks > TICKS_MAX ? TICKS_MAX : ticks);
}

void find_journal() {
  const char* stream = std::getenv("JOURNAL_STREAM");
  struct stat info = {};
  if (stream == nullptr || fstat(STDERR_FILENO, &info) != 0) return;
  guard->writes_journal = std::to_string(info.st_dev) + ":" + std::to_string(info.st_ino) == stream;
}

// Run by the loader: before Node when the addon is preloaded.
__attribute__((constructor)) void begin(int argc, char** argv, char** environ_of) {
  const char* text = std::getenv("SLUICE_GUARD");
  if (text == nullptr) return;
  guard = new Guard;
  guard->plan = plan_of(text);
  guard->owner = getpid();
  remember(argc, argv, environ_of);
  unsetenv("SLUICE_GUARD");
  take_from_preload();
  if (guard->plan.start_s == 0 || guard->arguments.empty()) return;
  recorded = guard->plan.recorded;
  keep_descriptors(false);
  find_watchdog();
  find_journal();
  for (const int signal : HELD_SIGNALS) handle(signal, record, SA_RESTART);
  const sigset_t held = held_signals();
  pthread_sigmask(SIG_UNBLOCK, &held, nullptr);
  if (guard->plan.attempt > 0) pause_before_attempt();
  armed = true;
  for (const int signal : CRASHES) handle(signal, crash, SA_NODEFER);
  std::atexit(retry);
  start_watch();
}

}  // namespace

// What Node calls, because a preloaded library is asked first: while the guard lasts, it keeps its own handlers.
extern "C" __attribute__((visibility("default"))) int sigaction(int signal, const struct sigaction* action,
                                                              struct sigaction* before) noexcept {
  if (!is_nodes(signal, action)) return real_sigaction()(signal, action, before);
  if (signal == SIGSEGV) {
    nodes_segv = *action;
    has_nodes_segv = true;
  }
  return before == nullptr ? 0 : real_sigaction()(signal, nullptr, before);
}

// Of the instance that was preloaded: found by name, because the program that runs brings another one.
extern "C" __attribute__((visibility("default"))) void sluice_guard_end() {
  if (!armed.exchange(false)) return;
  if (!guard->plan.descriptors.empty()) close(guard->plan.descriptors.back());
  for (const int signal : CRASHES) {
    struct sigaction now = {};
    if (real_sigaction()(signal, nullptr, &now) == 0 && now.sa_handler == crash) handle(signal, SIG_DFL, 0);
  }
  if (has_nodes_segv) real_sigaction()(SIGSEGV, &nodes_segv, nullptr);
  for (const int signal : HELD_SIGNALS)
    if ((recorded & (1u << signal)) != 0) kill(guard->owner, signal);
}

}  // namespace sluice
