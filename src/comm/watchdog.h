// Ends a job in which no rank makes progress, and reports which ranks wait for which.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "src/comm/communicator.h"

namespace lora_dist {

struct WatchdogOptions {
  std::filesystem::path folder;                             // visible to all ranks; each has a file in it
  double seconds = 600.0;                                   // without progress of any rank
  std::string named_by = "parallel.watchdog_seconds";       // the key or option of `seconds`, for the message
  std::function<void(const std::string& message)> end_job;  // prints the message and ends the job; called by a separate thread
  std::string advice = "Run the same command again to go on from the last checkpoint";  // ends the message
};

/// A thread per rank that runs while the rank is stuck in MPI, NCCL or a disk access. It writes the rank's activity
/// (src/core/activity.h) to the rank's file; after half the time without progress it reads the other ranks' files. The lowest
/// live rank decides: once no rank has made progress for the whole time, it lets every live rank write its flight record, and
/// calls end_job. A second thread does the same without files if the file system is stuck. A process that was stopped and
/// continued (a suspended job) restarts its count.
class Watchdog {
 public:
  Watchdog(int rank, int ranks, WatchdogOptions options);
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;
  /// Removes the rank's file.
  ~Watchdog();

  class Threads;

 private:
  std::unique_ptr<Threads> threads_;
};

/// Starts a watchdog on every rank. Collective. `why_not`: a rank cannot write its file or see another rank's; then there is no
/// watchdog. Rank 0 must have made the folder.
struct StartedWatchdog {
  std::unique_ptr<Watchdog> watchdog;
  std::string why_not;
};
StartedWatchdog start_watchdog(Communicator& world, const WatchdogOptions& options);

}  // namespace lora_dist
