// Measures the time of gathers.
#include "src/base/timed_gather.h"

#include <utility>

#include "src/core/elapsed.h"

namespace lora_dist {

void TimedGather::start(Communicator& shards, std::span<const std::byte> mine, std::span<std::byte> all, GatherTimes& times) {
  started_ = Clock::now();
  pending_ = shards.start_all_gather(mine, all, WireKind::base_gather);
  times.waited += seconds_since(started_);
}

bool TimedGather::move(GatherTimes& times) {
  const Clock::time_point start = Clock::now();
  const bool ended = pending_->progress();
  times.waited += seconds_since(start);
  return ended;
}

void TimedGather::wait(GatherTimes& times) {
  const Clock::time_point start = Clock::now();
  const std::unique_ptr<PendingCollective> pending = std::move(pending_);  // one that fails is not waited for again
  pending->wait();
  times.waited += seconds_since(start);
  times.under_way += seconds_since(started_);
}

}  // namespace lora_dist
