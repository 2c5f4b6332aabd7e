// What all connections of this thread share: their numbers, the batch of what happened, and its delivery to JavaScript. Gateway worker,
// main thread; one per environment that asks for it, none in others.
//
// Delivery is at the end of a turn of the loop (uv_check): one call for all connections that had something to read, because the call
// costs more than what is told. No record is made while JavaScript runs: what fails then is found in the next turn.
#pragma once
#include <uv.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "../addon.h"
#include "connection-table.h"
#include "event-batch.h"
#include "header-rules.h"
#include "text-buffer.h"
#include "tls-context.h"

namespace sluice::upstream {

class Hub {
 public:
  Hub(napi_env env, uv_loop_t* loop, uint32_t head_bytes_max, size_t connections_max);

  // False, and a pending exception: it cannot be used. `out`: what JavaScript reads.
  bool open(napi_value on_events, napi_value* out);

  // Makes room in the batch, if need be by a call into JavaScript, which may close any connection.
  void make_room() {
    if (!batch.has_room()) deliver();
  }

  // Has Connection::come_due called in the next turn, before it waits for anything.
  void call_later(int32_t connection);

  // One more or less uv handle; it is gone when all of them are.
  void handle_opened() { handles_ += 1; }
  void handle_closed();

  // A static text has a number from now on.
  int32_t number_of(const char* reason);
  const char* reason_at(int32_t number) const;

  napi_env env;
  uv_loop_t* loop;
  HeaderRules rules;
  ConnectionTable table;
  EventBatch batch;
  // What came from a socket and what goes to one, encrypted. Neither is in use between two calls.
  std::vector<uint8_t> sealed;
  TextBuffer wire;
  // By number; null: closed.
  std::vector<std::shared_ptr<TlsContext>> contexts;
  // How long more of an answer may wait, so that it is read in larger pieces.
  uint32_t patience_ms = 0;
  // The head of a request while upstreamSend runs.
  std::string head;

 private:
  static void on_check(uv_check_t* handle);
  static void on_idle(uv_idle_t* handle);
  static void on_closed(uv_handle_t* handle);
  static void on_environment_end(napi_async_cleanup_hook_handle handle, void* data);

  bool take_memory(napi_value* events, napi_value* slab);
  void start_handles();
  void deliver();
  void call_javascript();
  void come_due();

  uv_check_t check_;
  uv_idle_t idle_;
  size_t handles_ = 0;
  std::vector<int32_t> due_;
  std::vector<const char*> reasons_;
  napi_ref on_events_ = nullptr;
  napi_ref events_ = nullptr;
  napi_ref slab_ = nullptr;
  napi_async_context context_ = nullptr;
  napi_async_cleanup_hook_handle hook_ = nullptr;
  bool ending_ = false;
};

// Of this thread; nullptr: upstreamOpen was not called, or the environment ends.
extern thread_local Hub* hub_of_thread;

}  // namespace sluice::upstream
