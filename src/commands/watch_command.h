// The watchdog of commands without a run folder.
#pragma once

#include <memory>
#include <string>

#include "src/comm/communicator.h"
#include "src/comm/process.h"
#include "src/comm/watchdog.h"
#include "src/config/config.h"

namespace lora_dist {

/// Watches over the ranks from its construction; a hang ends the job with exit code 86. Each rank's file is in a temporary folder
/// if all ranks are on one machine, else in a new folder in the working directory. `seconds`: as parallel.watchdog_seconds; 0:
/// never; `named_by`: its key or option. Also null for a single rank, which waits only for the reader of its output. Collective.
/// Rank 0 warns if not every rank sees the folder.
std::unique_ptr<Watchdog> watch_command(Communicator& world, const ProcessInfo& process,
                                        int seconds = ParallelConfig{}.watchdog_seconds,
                                        const std::string& named_by = "parallel.watchdog_seconds");

}  // namespace lora_dist
