// metrics.jsonl and eval.jsonl: one JSON object a line, appended step by step and cut back to the checkpoint on a resume.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "src/comm/wire.h"
#include "src/io/append_file.h"

namespace lora_dist {

/// What ranks waited for each other, in seconds, mean over the ranks; known where MPI moves the bytes.
struct WaitTimes {
  bool known = false;
  double gathers = 0.0;      // under way, each from its start to its end
  double base_gather = 0.0;  // how much of that was not hidden behind computing
  double adapter_gradient = 0.0;

  /// Share of the gathers' time that computing hid, 0 to 1; empty where nothing was gathered.
  std::optional<double> hidden() const;
};

/// A checkpoint that was committed, in seconds of rank 0.
struct SaveTimes {
  std::int64_t step = 0;
  double blocked_seconds = 0.0;  // that training waited for it
  double seconds = 0.0;          // from its beginning until its end was noticed, at the end of a step
};

/// One optimizer step; the fields of a line of metrics.jsonl.
struct StepMetrics {
  std::int64_t step = 0;           // optimizer steps done, this one included: the first is 1
  double epoch = 0.0;              // passes over the training samples so far, with its fraction
  double loss = 0.0;               // mean over the target tokens of the global batch, in nats
  double learning_rate = 0.0;      // the one that this step used
  double grad_norm = 0.0;          // before clipping
  std::int64_t tokens = 0;         // of the global batch, padding left out
  std::int64_t target_tokens = 0;  // those that are trained on
  double seconds = 0.0;
  double tokens_per_second = 0.0;
  std::int64_t memory_peak_bytes = 0;   // of the rank that holds most
  WireBytes wire;                       // of this step, summed over the ranks
  WaitTimes waits;                      // of this step
  int slowest_rank = 0;                 // whose own work took longest
  double slowest_ratio = 1.0;           // how many times as long as the middle rank's
  std::optional<SaveTimes> saved = {};  // whose end was noticed since the step before
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
  bool best = false;  // no earlier evaluation of the run was better
};

/// The line without its line feed. A double is printed so that reading it gives the same bits; NaN and infinity become null.
std::string to_json_line(const StepMetrics& metrics);
std::string to_json_line(const EvalRecord& record);

/// An append-only file of such lines. Only the rank that writes it makes one.
class MetricsLog {
 public:
  /// Opens `path` to append. Of the lines already there those with "step" <= keep_through_step stay (-1: none, a fresh run);
  /// later steps, and a last line that a killed run left unfinished, go. The file is rewritten in one rename, or not at all.
  /// Throws Error(usage), of a full disk Error(model), naming the file and the system's reason.
  MetricsLog(const std::filesystem::path& path, std::int64_t keep_through_step);

  /// Writes the line and hands it to the system. Throws as the constructor does.
  void append(const StepMetrics& metrics);
  void append(const EvalRecord& record);
  /// Waits until the lines are on the disk. To be called before a checkpoint is committed, so that after a power cut no step is
  /// missing between the log and the checkpoint that the run continues from.
  void sync();

 private:
  AppendFile file_;
};

}  // namespace lora_dist
