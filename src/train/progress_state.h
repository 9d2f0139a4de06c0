// The progress of a run: a checkpoint's state besides factors and moments.
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
  std::int64_t step = 0;            // steps done, including skipped ones
  std::int64_t optimizer_step = 0;  // updates made
  std::int64_t skipped = 0;         // steps without an update because they were not finite
  std::int64_t tokens = 0;          // trained so far
  LossScale loss_scale;             // of fp16
  bool evaluation_due = false;      // for this step: a stop request came first
  EarlyStopping best;
  std::optional<Evaluation> base;  // the model before training
  std::optional<Evaluation> last;  // the newest evaluation
};

/// To and from the "progress" object of a checkpoint. Throws Error(model) for a missing member or one of the wrong kind.
nlohmann::json to_json(const RunProgress& progress, const std::map<std::string, std::string>& settings);
RunProgress progress_from_json(const nlohmann::json& object, std::map<std::string, std::string>& settings);

/// AdaLoRA's choice of ranks, a member of that object: {"kept": "0111...", "final": false}. Throws as above.
inline constexpr const char* kBudgetProgress = "rank_budget";
nlohmann::json to_json(const RankBudget& budget);
RankBudget rank_budget_from_json(const nlohmann::json& progress);

}  // namespace lora_dist
