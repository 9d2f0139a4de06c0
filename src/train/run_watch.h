// Watches a training job from outside its loops: the folder's lock, stop requests, the watchdog.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "src/comm/communicator.h"
#include "src/comm/watchdog.h"
#include "src/config/config.h"
#include "src/core/error.h"
#include "src/core/stop_request.h"
#include "src/io/directory_lock.h"
#include "src/report/console.h"

namespace lora_dist {

/// Until steps_begin() a stop request ends the job at once, with exit code 75 (NothingToSave, src/core/stop_request.h). After it
/// the training loop calls stop_agreed().
class RunWatch {
 public:
  /// Collective; output.dir must exist. Reports an older stop file, a near end of the job's time limit, and why there is no
  /// watchdog. Throws Error(usage), the same on every rank, if another job writes to the folder.
  RunWatch(const Config& config, Communicator& world, const Console& console);
  RunWatch(const RunWatch&) = delete;
  RunWatch& operator=(const RunWatch&) = delete;
  /// Removes the stop file after a stop request: the job's end answers it.
  ~RunWatch();

  void steps_begin() { nothing_to_save_.reset(); }
  /// The duration of a step, and of a save that may still be in progress: the stop comes that much earlier.
  void note_step_seconds(double seconds);

  /// The folder of flight records.
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

/// Runs `work`. After a communication error writes this rank's flight record to the watch's folder and adds its path to the
/// error.
ExitCode with_flight_record(const RunWatch& watch, int rank, const std::function<ExitCode()>& work);

/// True on all ranks if any of them received a stop request. Collective.
bool stop_agreed(Communicator& world);

/// The batch system's end of the job, SLURM_JOB_END_TIME, in seconds since 1970. Empty if `text` is null or not such a number.
std::optional<std::chrono::system_clock::time_point> end_of_job(const char* text);

/// The smaller of checkpoint.walltime_margin_seconds and half of the remaining time, so that a short job still trains.
double margin_within(double margin_seconds, double seconds_left);

}  // namespace lora_dist
