// The process's activity and collectives, behind a lock that is held only for reads and writes of them.
#include "src/core/activity.h"

#include <atomic>
#include <chrono>
#include <deque>
#include <mutex>
#include <utility>

#include "src/core/elapsed.h"

namespace lora_dist {

namespace {

std::int64_t now_in_nanoseconds() { return Clock::now().time_since_epoch() / std::chrono::nanoseconds(1); }

double seconds_between(std::int64_t from, std::int64_t to) { return static_cast<double>(to - from) * 1e-9; }

/// One per process: a process has one activity at a time.
struct Notes {
  std::atomic<std::int64_t> last_heartbeat = now_in_nanoseconds();
  std::mutex lock;  // guards all members below
  const char* what = "starting";
  std::int64_t what_since = now_in_nanoseconds();
  std::int64_t step = 0;
  int depth = 0;  // nesting of collectives
  std::int64_t collective_since = 0;
  std::int64_t in_collectives = 0;  // nanoseconds
  std::deque<CollectiveRecord> collectives;
};

Notes& notes() {
  static Notes& the = *new Notes;  // never destroyed: threads may read it until the process ends
  return the;
}

bool is_same(const CollectiveRecord& one, const CollectiveRecord& other) {
  return one.group == other.group && one.number == other.number;
}

const char* set_what(const char* what) {
  Notes& the = notes();
  heartbeat();
  const std::lock_guard<std::mutex> hold(the.lock);
  the.what_since = now_in_nanoseconds();
  return std::exchange(the.what, what);
}

}  // namespace

void heartbeat() noexcept { notes().last_heartbeat.store(now_in_nanoseconds(), std::memory_order_relaxed); }

AtWork::AtWork(const char* what) : before_(set_what(what)) {}
AtWork::~AtWork() { set_what(before_); }

void note_step(std::int64_t step) {
  Notes& the = notes();
  heartbeat();
  const std::lock_guard<std::mutex> hold(the.lock);
  the.step = step;
}

InCollective::InCollective(const CollectiveRecord& record) {
  Notes& the = notes();
  heartbeat();
  const std::lock_guard<std::mutex> hold(the.lock);
  outermost_ = ++the.depth == 1;
  if (!outermost_) {
    return;
  }
  the.collective_since = now_in_nanoseconds();
  if (!the.collectives.empty() && is_same(the.collectives.back(), record)) {  // started earlier, now waited for
    the.collectives.back().ended = 0.0;
    return;
  }
  if (the.collectives.size() == kCollectivesKept) {
    the.collectives.pop_front();
  }
  the.collectives.push_back(record);
  the.collectives.back().step = the.step;
  the.collectives.back().begun = seconds_since_1970();
}

InCollective::~InCollective() {
  Notes& the = notes();
  heartbeat();
  const std::lock_guard<std::mutex> hold(the.lock);
  --the.depth;
  if (outermost_) {
    the.collectives.back().ended = seconds_since_1970();
    the.in_collectives += now_in_nanoseconds() - the.collective_since;
  }
}

Activity activity() {
  Notes& the = notes();
  const std::lock_guard<std::mutex> hold(the.lock);
  const std::int64_t now = now_in_nanoseconds();
  Activity found;
  found.what = the.what;
  found.what_seconds = seconds_between(the.what_since, now);
  found.step = the.step;
  found.idle_seconds = seconds_between(the.last_heartbeat.load(std::memory_order_relaxed), now);
  if (!the.collectives.empty()) {
    found.collective = the.collectives.back();
  }
  return found;
}

std::vector<CollectiveRecord> last_collectives() {
  Notes& the = notes();
  const std::lock_guard<std::mutex> hold(the.lock);
  return {the.collectives.begin(), the.collectives.end()};
}

double seconds_in_collectives() {
  Notes& the = notes();
  const std::lock_guard<std::mutex> hold(the.lock);
  return static_cast<double>(the.in_collectives) * 1e-9;
}

double seconds_since_1970() { return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count(); }

}  // namespace lora_dist
