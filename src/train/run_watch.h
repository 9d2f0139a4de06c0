// What looks after a training job from outside its loops: the folder's lock, requests to stop, the watchdog.
#pragma once

#include <chrono>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "src/comm/communicator.h"
#include "src/comm/watchdog.h"
#include "src/config/config.h"
#include "src/core/stop_request.h"
#include "src/io/directory_lock.h"
#include "src/report/console.h"

namespace lora_dist {

/// Until steps_begin() a request to stop ends the job as it is, with exit code 75 (NothingToSave, src/core/stop_request.h). From
/// then on whoever trains asks stop_agreed().
class RunWatch {
 public:
  /// Collective; output.dir must be there. Says what it found: an older stop file, a wall time that is near, why there is no
  /// watchdog. Throws Error(usage), the same on every rank, where another job writes to the folder.
  RunWatch(const Config& config, Communicator& world, const Console& console);
  RunWatch(const RunWatch&) = delete;
  RunWatch& operator=(const RunWatch&) = delete;
  /// Takes the stop file away where a stop was asked for: the job's end answers it.
  ~RunWatch();

  void steps_begin() { nothing_to_save_.reset(); }
  /// How long a step, and a save that is under way by then, may take: the stop comes that much earlier.
  void note_step_seconds(double seconds);

  /// Where flight records go.
  const std::filesystem::path& folder() const { return folder_; }

 private:
  void start_watchdog(const Config& config, Communicator& world, const Console& console);
  void take_away_stop_file() const;
  void mind_wall_time(const Config& config, const Console& console);

  std::filesystem::path stop_file_;
  std::filesystem::path folder_;
  std::optional<DirectoryLock> lock_;  // on rank 0
  std::optional<std::chrono::system_clock::time_point> end_;
  std::chrono::duration<double> margin_{};
  std::unique_ptr<NothingToSave> nothing_to_save_;
  std::unique_ptr<StopFile> stop_request_;
  std::unique_ptr<Watchdog> watchdog_;
};

/// True on all ranks where any of them has been asked to stop. Collective.
bool stop_agreed(Communicator& world);

/// When the batch system ends the job: SLURM_JOB_END_TIME, in seconds since 1970. Nothing where `text` is null or no such number.
std::optional<std::chrono::system_clock::time_point> end_of_job(const char* text);

/// checkpoint.walltime_margin_seconds, or half of what is left where that is less: a short job shall get something done too.
double margin_within(double margin_seconds, double seconds_left);

}  // namespace lora_dist
