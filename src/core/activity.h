// The process's current activity and last collectives: written by the working thread, read by the watchdog's thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace lora_dist {

/// Reports progress, for loops with long iterations. Costs a few nanoseconds; callable from any thread.
void heartbeat() noexcept;

/// Sets the activity to `what` ("reading the model") for its lifetime, then restores the previous one; both count as progress.
/// The text must live as long as the process.
class AtWork {
 public:
  explicit AtWork(const char* what);
  AtWork(const AtWork&) = delete;
  AtWork& operator=(const AtWork&) = delete;
  ~AtWork();

 private:
  const char* before_;
};

/// Sets the current training step, from 1; 0 before the first.
void note_step(std::int64_t step);

/// One collective on this rank.
struct CollectiveRecord {
  std::string_view name;    // "all_reduce"
  std::string_view what;    // its payload: "adapter_gradient"
  std::string ranks;        // members of the group: "0-3, 8"
  int group = 0;            // number of the group in order of creation, the same on every rank
  std::int64_t number = 0;  // number within the group, from 1
  std::int64_t bytes = 0;   // this rank's payload
  std::int64_t step = 0;
  double begun = 0.0;  // seconds since 1970
  double ended = 0.0;  // 0: in progress
};

/// Records a collective as in progress for its lifetime. A nested one records nothing.
class InCollective {
 public:
  explicit InCollective(const CollectiveRecord& record);
  InCollective(const InCollective&) = delete;
  InCollective& operator=(const InCollective&) = delete;
  ~InCollective();

 private:
  bool outermost_ = false;
};

/// A snapshot of the process's activity.
struct Activity {
  std::string what;
  double what_seconds = 0.0;  // time in this activity
  std::int64_t step = 0;
  double idle_seconds = 0.0;    // since the last progress
  CollectiveRecord collective;  // in progress (ended = 0), or the last one; number 0: none yet
};
Activity activity();

/// The last collectives, oldest first, at most kCollectivesKept.
inline constexpr std::size_t kCollectivesKept = 256;
std::vector<CollectiveRecord> last_collectives();

/// Total seconds of this process in collectives.
double seconds_in_collectives();

/// Seconds since 1970 by the system clock, comparable between machines.
double seconds_since_1970();

}  // namespace lora_dist
