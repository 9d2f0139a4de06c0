// The state of a training loop, and its step. Only for the files of the loop.
#pragma once

#include <memory>
#include <vector>

#include "src/comm/agree.h"
#include "src/report/progress.h"
#include "src/report/run_logs.h"
#include "src/report/step_watch.h"
#include "src/train/progress_state.h"
#include "src/train/saving.h"
#include "src/train/schedule.h"
#include "src/train/training_run.h"

namespace lora_dist {

/// The length of the run, in steps.
struct StepPlan {
  std::int64_t steps_per_epoch = 0;
  std::int64_t total_steps = 0;
  std::int64_t warmup = 0;
  Schedule schedule = Schedule::cosine;
};

/// The loop's own state.
struct TrainingLoop {
  TrainingRun& run;
  StepPlan plan;
  RunProgress progress;
  std::unique_ptr<RunLogs> logs;  // on rank 0
  ProgressLine line;
  WireBytes wire_before;
  GatherTimes gathers_before = {};
  std::int64_t order_epoch = -1;
  std::vector<std::int32_t> order = {};  // of order_epoch
  LossTrend trend = {};
  double step_seconds = 0.0;  // of the last step's slowest rank; 0 before the first step
  Saving saving = {};
  bool save_waits = false;  // no rank was writing at the end of the last step: the ranks must proceed with the save
  bool went_back = false;   // ranks differed once, and all returned to the last checkpoint

  double epoch() const { return static_cast<double>(progress.step) / static_cast<double>(plan.steps_per_epoch); }

  /// Runs work of rank 0 that may fail (a full disk): all ranks throw its error.
  template <class Work>
  void on_rank_0(Work work) {
    run_together(*run.world, [&] {
      if (logs) {
        work();
      }
    });
  }
};

/// aborted: a stop request came between two rounds of a long step; an aborted step leaves no state.
enum class StepEnd : std::uint8_t { done, stop_asked, aborted };

/// One optimizer step with its line in the logs. Collective; the same on every rank. Throws Error(non_finite,
/// collective) if the step is not finite and train.max_skipped_steps is used up.
StepEnd do_step(TrainingLoop& loop);

}  // namespace lora_dist
