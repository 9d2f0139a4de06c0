// What this process is at: noted by the thread that works, read by the one that watches over it while the first may be stuck.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace lora_dist {

/// A sign of progress, for loops whose turns take long. Costs a few nanoseconds; from any thread.
void heartbeat() noexcept;

/// From its making to its end the process is at `what` ("reading the model"); then again at what it was before. The text must
/// live as long as the process. Both are signs of progress.
class AtWork {
 public:
  explicit AtWork(const char* what);
  AtWork(const AtWork&) = delete;
  AtWork& operator=(const AtWork&) = delete;
  ~AtWork();

 private:
  const char* before_;
};

/// The step that is worked on, from 1; 0 before the first.
void note_step(std::int64_t step);

/// One collective, as a rank met it.
struct CollectiveRecord {
  std::string_view name;    // "all_reduce"
  std::string_view what;    // what it carried: "adapter_gradient"
  std::string ranks;        // who takes part: "0-3, 8"
  int group = 0;            // in the order in which the groups were made, the same on every rank
  std::int64_t number = 0;  // of this group's collectives, from 1
  std::int64_t bytes = 0;   // that this rank gave
  std::int64_t step = 0;
  double begun = 0.0;  // seconds since 1970
  double ended = 0.0;  // 0: under way
};

/// Marks a collective as under way until it is destroyed. Within another one it notes nothing: that one stands for both.
class InCollective {
 public:
  explicit InCollective(const CollectiveRecord& record);
  InCollective(const InCollective&) = delete;
  InCollective& operator=(const InCollective&) = delete;
  ~InCollective();

 private:
  bool outermost_;
};

/// What the process was at when it was asked.
struct Activity {
  std::string what;
  double what_seconds = 0.0;  // for how long
  std::int64_t step = 0;
  double idle_seconds = 0.0;    // since the last sign of progress
  CollectiveRecord collective;  // under way (ended = 0), or the last one; number 0: there was none
};
Activity activity();

/// The last collectives, oldest first, at most kCollectivesKept.
inline constexpr std::size_t kCollectivesKept = 256;
std::vector<CollectiveRecord> last_collectives();

/// Seconds that this process has spent in collectives so far.
double seconds_in_collectives();

/// Seconds since 1970, as machines agree on them.
double seconds_since_1970();

}  // namespace lora_dist
