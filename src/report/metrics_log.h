// metrics.jsonl and eval.jsonl: one JSON object per line, appended step by step and truncated to the checkpoint on a resume.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "src/comm/wire.h"
#include "src/io/append_file.h"

namespace lora_dist {

/// Seconds that ranks waited for each other, mean over the ranks; known if MPI moves the bytes.
struct WaitTimes {
  bool known = false;
  double gathers = 0.0;      // in progress, each from start to end
  double base_gather = 0.0;  // the part not hidden behind computation
  double adapter_gradient = 0.0;

  /// Share of the gathers' time that computation hid, 0 to 1; empty without gathers.
  std::optional<double> hidden() const;
};

/// A committed checkpoint; seconds of rank 0.
struct SaveTimes {
  std::int64_t step = 0;
  double blocked_seconds = 0.0;  // training waited for it
  double seconds = 0.0;          // from its start until a step's end noticed that it was complete
};

/// One optimizer step; the fields of a line of metrics.jsonl.
struct StepMetrics {
  std::int64_t step = 0;                           // optimizer steps done, including this one: the first is 1
  double epoch = 0.0;                              // passes over the training samples so far, with the fraction
  double loss = 0.0;                               // mean over the target tokens of the global batch, in nats
  double learning_rate = 0.0;                      // that this step used
  double grad_norm = 0.0;                          // before clipping
  std::optional<double> regularization_loss = {};  // AdaLoRA's orthogonality, not in `loss`; empty: the method has none
  std::int64_t tokens = 0;                         // of the global batch, without padding
  std::int64_t target_tokens = 0;                  // tokens that are trained
  double seconds = 0.0;
  double tokens_per_second = 0.0;
  std::int64_t memory_peak_bytes = 0;   // of the rank with the largest peak
  WireBytes wire;                       // of this step, summed over the ranks
  WaitTimes waits;                      // of this step
  int slowest_rank = 0;                 // the rank whose own work took longest
  double slowest_ratio = 1.0;           // its time relative to the median rank's
  std::optional<SaveTimes> saved = {};  // a save whose end was noticed since the last step
};

/// One evaluation; the fields of a line of eval.jsonl. Step 0 is the base model before training.
struct EvalRecord {
  std::int64_t step = 0;
  double epoch = 0.0;
  double loss = 0.0;
  double perplexity = 0.0;
  std::int64_t samples = 0;
  std::int64_t target_tokens = 0;
  double seconds = 0.0;
  bool best = false;  // better than all earlier evaluations of the run
};

/// The line without its line feed. A printed double reads back to the same bits; NaN and infinity become null.
std::string to_json_line(const StepMetrics& metrics);
std::string to_json_line(const EvalRecord& record);

/// An append-only file of such lines. Only the rank that writes it creates one.
class MetricsLog {
 public:
  /// Opens `path` to append. Keeps existing lines with "step" <= keep_through_step (-1: none, a fresh run); drops later steps and
  /// a last line that a killed run left incomplete. The file is rewritten in one rename, or not at all.
  /// Throws Error(usage), for a full disk Error(model), naming the file and the system's reason.
  MetricsLog(const std::filesystem::path& path, std::int64_t keep_through_step);

  /// Writes the line and passes it to the system. Throws as the constructor.
  void append(const StepMetrics& metrics);
  void append(const EvalRecord& record);
  /// Waits until the lines are on the disk. Call before committing a checkpoint, so that after a power cut no step is missing
  /// between the log and the checkpoint that the run resumes from.
  void sync();

 private:
  AppendFile file_;
};

}  // namespace lora_dist
