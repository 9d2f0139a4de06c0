// Makes the watchdog's folder and starts the watchdog.
#include "src/commands/watch_command.h"

#include <unistd.h>

#include <array>
#include <chrono>
#include <filesystem>
#include <string>
#include <system_error>
#include <utility>

#include "src/comm/agree.h"
#include "src/core/error.h"
#include "src/report/console.h"

namespace lora_dist {

namespace {

namespace fs = std::filesystem;

bool on_one_machine(Communicator& world, const ProcessInfo& process) {
  std::array<std::int64_t, 1> least = {process.node_ranks};
  world.all_reduce(least, Reduce::min, WireKind::control);
  return least[0] == world.size();
}

/// A folder for this job, made by rank 0; if that fails, start_watchdog finds it unwritable.
fs::path make_folder(Communicator& world, const ProcessInfo& process) {
  const bool temporary = on_one_machine(world, process);
  std::string name;
  if (world.rank() == 0) {
    std::error_code ignored;
    const fs::path beside = temporary ? fs::temp_directory_path(ignored) : fs::current_path(ignored);
    const auto now = std::chrono::system_clock::now().time_since_epoch().count();
    const fs::path folder = beside / fmt::format("lora_dist_watchdog_{}_{}", ::getpid(), now);
    fs::create_directory(folder, ignored);
    name = folder.string();
  }
  return broadcast_string(world, name, 0);
}

}  // namespace

std::unique_ptr<Watchdog> watch_command(Communicator& world, const ProcessInfo& process, int seconds,
                                        const std::string& named_by) {
  if (seconds == 0 || world.size() == 1) {
    return nullptr;
  }
  WatchdogOptions options;
  options.folder = make_folder(world, process);
  options.seconds = seconds;
  options.named_by = named_by;
  options.advice = "Run the same command again";
  options.end_job = [](const std::string& who) {
    abort_stuck_job("lora_dist: error: " + who + "\n", static_cast<int>(ExitCode::hang));
  };
  StartedWatchdog started = start_watchdog(world, options);
  if (started.watchdog == nullptr) {
    const Console console{world.rank() == 0};
    console.warn(
        fmt::format("the watchdog is off: {}; a job that hangs is not ended. It needs a file system that all ranks "
                    "share: start the program in a folder on one",
                    started.why_not));
  }
  return std::move(started.watchdog);
}

}  // namespace lora_dist
