// The watchdog of commands without a run folder.
#pragma once

#include <memory>

#include "src/comm/communicator.h"
#include "src/comm/process.h"
#include "src/comm/watchdog.h"
#include "src/config/config.h"

namespace lora_dist {

/// Starts a watchdog; a hang ends the job with exit code 86. The ranks' files are in a temporary folder if all ranks are on one
/// machine, else in a folder below the working directory. `seconds`: as parallel.watchdog_seconds; 0: none. Returns null for a
/// single rank, which waits for no other rank. Collective. Warns on rank 0 if not every rank sees the folder.
std::unique_ptr<Watchdog> watch_command(Communicator& world, const ProcessInfo& process,
                                        int seconds = ParallelConfig{}.watchdog_seconds);

}  // namespace lora_dist
