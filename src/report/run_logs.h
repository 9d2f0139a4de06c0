// The files that one rank writes during a run: metrics.jsonl, eval.jsonl and TensorBoard's events.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>

#include "src/report/metrics_log.h"
#include "src/report/tensorboard.h"

namespace lora_dist {

class RunLogs {
 public:
  /// Opens the files in `output`; drops their content beyond step keep_through_step (-1: a fresh run).
  /// Throws Error(usage), for a full disk Error(model), naming the file and the system's reason, as add() and sync() do.
  RunLogs(const std::filesystem::path& output, bool tensorboard, std::int64_t keep_through_step);

  void add(const StepMetrics& step);
  void add(const EvalRecord& record);
  /// Waits until the lines are on the disk; call before committing a checkpoint.
  void sync();

 private:
  MetricsLog metrics_;
  MetricsLog evaluations_;
  std::unique_ptr<TensorBoardWriter> tensorboard_;
};

}  // namespace lora_dist
