// Ends a job in which no rank makes progress any more, and says who waits for whom.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "src/comm/communicator.h"

namespace lora_dist {

struct WatchdogOptions {
  std::filesystem::path folder;                             // that all ranks see; each keeps a file of its own in it
  double seconds = 600.0;                                   // without progress of any rank
  std::function<void(const std::string& message)> end_job;  // says it and ends the job; called by a thread of its own
  std::string advice = "Run the same command again to go on from the last checkpoint";  // ends the message
};

/// A thread per rank that works while the rank itself is stuck, in MPI, in NCCL or on a disk. It writes what the rank is at
/// (src/core/pulse.h) into the rank's file; once the rank has made no progress for half the time it looks at the others' files.
/// The lowest rank that still lives judges: it waits until nobody has made progress for the whole time, lets every living rank
/// write its flight record, and calls end_job. A second thread does the same without any file where the file system itself is
/// stuck. A process that was stopped and goes on (a suspended job) starts counting anew.
class Watchdog {
 public:
  Watchdog(int rank, int ranks, WatchdogOptions options);
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;
  /// Takes the rank's file away.
  ~Watchdog();

  class Threads;

 private:
  std::unique_ptr<Threads> threads_;
};

/// Starts one on every rank. Collective. `why_not`: rank 0 cannot see another rank's file; there is no watchdog then. Rank 0 must
/// have made the folder.
struct StartedWatchdog {
  std::unique_ptr<Watchdog> watchdog;
  std::string why_not;
};
StartedWatchdog start_watchdog(Communicator& world, const WatchdogOptions& options);

}  // namespace lora_dist
