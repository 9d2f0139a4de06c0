// The checkpoints of a training run: the state is copied at a step, and written by threads while the next steps go on.
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

/// Takes the memory for the copy of rank `rank` of `ranks`: saved_range() (src/checkpoint/shard.h) of `count` elements. It is
/// touched now, so that the first save does not wait for pages. `on_host`: beside a GPU.
StateCopy take_state_copy(std::int64_t count, int rank, int ranks, bool on_host, Arena& arena);

/// The checkpoints of this process: the save under way, where there is one, and the account of all. The same on every rank but
/// for the times.
struct Saving {
  std::unique_ptr<PendingSave> pending;
  std::chrono::steady_clock::time_point begun;  // the save under way
  SaveTimes times;                              // of it, so far
  std::vector<SaveTimes> committed;             // in their order
  std::size_t logged = 0;                       // of those: that next_to_log() gave out
};

/// The newest that was committed since the call before, for a line of metrics.jsonl.
std::optional<SaveTimes> next_to_log(Saving& saving);
/// From the beginning of the slowest save to its end, in seconds; 0 where none was committed.
double slowest_save(const Saving& saving);

/// Copies the state and lets threads write it as output.dir/checkpoints/step_NNNNNNNN. Waits for the save before it. Collective;
/// throws the same Error on every rank, also for what went wrong with the save before it; then no save is under way.
void begin_save(TrainingRun& run, const RunProgress& progress, Saving& saving);

/// True while this rank's thread is at work.
bool is_writing(const Saving& saving);

/// Takes the save under way, where there is one, to its next stage, or notes its end. Does not wait where no rank is_writing().
/// Collective; throws as begin_save() does.
void proceed_with_save(TrainingRun& run, Saving& saving);

/// Waits until the save under way, where there is one, is committed. Collective; throws as begin_save() does.
void finish_save(TrainingRun& run, Saving& saving);

/// "3 saved; training waited 0.02 s for them, 0.01 s at most; each was on the disk 0.3 s after it was begun (the slowest 0.4 s)"
std::string describe(const Saving& saving);

}  // namespace lora_dist
