// The watchdog of commands without a run folder.
#pragma once

#include <memory>
#include <string>

#include "src/comm/communicator.h"
#include "src/comm/process.h"
#include "src/comm/watchdog.h"
#include "src/config/config.h"

namespace lora_dist {

/// Watches over the ranks from its making on; a hang ends the job with exit code 86. Each rank's file lies in a temporary folder
/// where all ranks are on one machine, else in a folder made in the one that the program was started in. `seconds`: as
/// parallel.watchdog_seconds; 0 for never; `named_by`: the key or option that says so. Null for a single rank too: it waits for
/// nobody but whoever reads what it prints. Collective. A folder that not every rank sees is a warning on rank 0.
std::unique_ptr<Watchdog> watch_command(Communicator& world, const ProcessInfo& process,
                                        int seconds = ParallelConfig{}.watchdog_seconds,
                                        const std::string& named_by = "parallel.watchdog_seconds");

}  // namespace lora_dist
