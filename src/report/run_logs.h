// The files that one rank writes while a run goes: metrics.jsonl, eval.jsonl and TensorBoard's events.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>

#include "src/report/metrics_log.h"
#include "src/report/tensorboard.h"

namespace lora_dist {

class RunLogs {
 public:
  /// Opens the files in `output`; what they hold beyond step keep_through_step goes (-1: a fresh run).
  /// Throws Error(usage), of a full disk Error(model), naming the file and the system's reason, as add() and sync() do.
  RunLogs(const std::filesystem::path& output, bool tensorboard, std::int64_t keep_through_step);

  void add(const StepMetrics& step);
  void add(const EvalRecord& record);
  /// Waits until the lines are on the disk; to be called before a checkpoint is committed.
  void sync();

 private:
  MetricsLog metrics_;
  MetricsLog evaluations_;
  std::unique_ptr<TensorBoardWriter> tensorboard_;
};

}  // namespace lora_dist
