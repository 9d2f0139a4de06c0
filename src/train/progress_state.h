// How far a run is: what a checkpoint holds besides factors and moments.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "src/eval/evaluator.h"
#include "src/train/early_stopping.h"
#include "src/train/train_step.h"

namespace lora_dist {

struct RunProgress {
  std::int64_t step = 0;            // steps done, skipped ones included
  std::int64_t optimizer_step = 0;  // updates made
  std::int64_t skipped = 0;         // steps left out because they were not finite
  std::int64_t tokens = 0;          // seen so far
  LossScale loss_scale;             // of fp16
  bool evaluation_due = false;      // of this step: a stop came first
  EarlyStopping best;
  std::optional<Evaluation> base;  // the model before training
  std::optional<Evaluation> last;  // the newest evaluation
};

/// To and from the "progress" object of a checkpoint. Throws Error(model) when a member is missing or of the wrong kind.
nlohmann::json to_json(const RunProgress& progress, const std::map<std::string, std::string>& settings);
RunProgress progress_from_json(const nlohmann::json& object, std::map<std::string, std::string>& settings);

}  // namespace lora_dist
