// The checkpoints of a training run: the state is copied at a step, and threads write it during the next steps.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "src/checkpoint/pending_save.h"
#include "src/report/metrics_log.h"
#include "src/train/progress_state.h"
#include "src/train/training_run.h"

namespace lora_dist {

/// Takes the memory for the copy of rank `rank` of `ranks`: saved_range() (src/checkpoint/shard.h) of the flat buffer. Touches
/// its pages, so that the first save does not wait for them; counts the shared tensors that rank 0 keeps for the adapter's
/// folder. `on_host`: beside a GPU.
StateCopy take_state_copy(const AdapterLayout& layout, int rank, int ranks, bool on_host, Arena& arena);

/// Counts the copy of the trained matrices while they are written: values, and beside a GPU moments.
void count_saved_matrices(const TrainedBase& trained, bool on_host, Arena& arena);

/// The checkpoints of this process: the save in progress, if any, and the times of all. The same on every rank except for the
/// times.
struct Saving {
  std::unique_ptr<PendingSave> pending;
  std::chrono::steady_clock::time_point begun;  // of the save in progress
  SaveTimes times;                              // of the save in progress, so far
  std::vector<SaveTimes> committed;             // in order
  std::size_t logged = 0;                       // the number that next_to_log() has returned
};

/// The newest save committed since the last call, for a line of metrics.jsonl.
std::optional<SaveTimes> next_to_log(Saving& saving);
/// Seconds from start to end of the slowest save; 0 if none was committed.
double slowest_save(const Saving& saving);

/// Copies the state and lets threads write it as output.dir/checkpoints/step_NNNNNNNN. Waits for the previous save. Collective;
/// throws the same Error on every rank, also for a failure of the previous save; after it no save is in progress.
void begin_save(TrainingRun& run, const RunProgress& progress, Saving& saving);

/// True while this rank's thread is writing.
bool is_writing(const Saving& saving);

/// Advances the save in progress, if any, to its next stage, or notes its end. Does not wait if no rank is_writing(). Collective;
/// throws as begin_save().
void proceed_with_save(TrainingRun& run, Saving& saving);

/// Waits until the save in progress, if any, is committed. Collective; throws as begin_save().
void finish_save(TrainingRun& run, Saving& saving);

/// "3 saved; training waited 0.02 s for them, 0.01 s at most; each was on the disk 0.3 s after it was begun (the slowest 0.4 s)"
std::string describe(const Saving& saving);

}  // namespace lora_dist
