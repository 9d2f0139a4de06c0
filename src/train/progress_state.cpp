// Converts a run's progress to and from the checkpoint's JSON.
#include "src/train/progress_state.h"

#include <fmt/format.h>

#include "src/core/error.h"

namespace lora_dist {

namespace {

using nlohmann::json;

json to_json(const std::optional<Evaluation>& evaluation) {
  if (!evaluation) {
    return nullptr;
  }
  return {{"loss", evaluation->loss},
          {"perplexity", evaluation->perplexity},
          {"samples", evaluation->samples},
          {"target_tokens", evaluation->target_tokens},
          {"seconds", evaluation->seconds}};
}

std::optional<Evaluation> evaluation_from(const json& object) {
  if (object.is_null()) {
    return std::nullopt;
  }
  return Evaluation{object.at("loss").get<double>(), object.at("perplexity").get<double>(),
                    object.at("samples").get<std::int64_t>(), object.at("target_tokens").get<std::int64_t>(),
                    object.at("seconds").get<double>()};
}

/// What `read` returns. Throws Error(model) for a missing member or one of the wrong kind.
template <class Read>
auto read_progress(Read read) {
  try {
    return read();
  } catch (const json::exception& error) {
    throw Error(ExitCode::model,
                fmt::format("the checkpoint's progress is not readable ({}); it was written by another version of the program",
                            error.what()));
  }
}

}  // namespace

json to_json(const RunProgress& progress, const std::map<std::string, std::string>& settings) {
  json object = {{"step", progress.step},
                 {"optimizer_step", progress.optimizer_step},
                 {"skipped", progress.skipped},
                 {"tokens", progress.tokens},
                 {"loss_scale", {{"value", progress.loss_scale.value}, {"good_steps", progress.loss_scale.good_steps}}},
                 {"evaluation_due", progress.evaluation_due},
                 {"base", to_json(progress.base)},
                 {"last", to_json(progress.last)},
                 {"best", nullptr},
                 {"settings", settings}};
  if (progress.best.best_step >= 0) {  // before that `best` is infinite, which JSON cannot store
    object["best"] = {
        {"value", progress.best.best}, {"step", progress.best.best_step}, {"since", progress.best.evaluations_since}};
  }
  return object;
}

json to_json(const RankBudget& budget) {
  std::string kept;
  for (const bool flag : budget.kept) {
    kept += flag ? '1' : '0';
  }
  return {{"kept", kept}, {"final", budget.final}};
}

RankBudget rank_budget_from_json(const json& progress) {
  return read_progress([&] {
    const json& object = progress.at(kBudgetProgress);
    RankBudget budget;
    for (const char flag : object.at("kept").get<std::string>()) {
      budget.kept.push_back(flag == '1');
    }
    budget.final = object.at("final").get<bool>();
    return budget;
  });
}

RunProgress progress_from_json(const json& object, std::map<std::string, std::string>& settings) {
  return read_progress([&] {
    RunProgress progress;
    progress.step = object.at("step").get<std::int64_t>();
    progress.optimizer_step = object.at("optimizer_step").get<std::int64_t>();
    progress.skipped = object.at("skipped").get<std::int64_t>();
    progress.tokens = object.at("tokens").get<std::int64_t>();
    if (const auto scale = object.find("loss_scale"); scale != object.end()) {  // absent in checkpoints before fp16
      progress.loss_scale = {scale->at("value").get<double>(), scale->at("good_steps").get<std::int64_t>()};
    }
    progress.evaluation_due = object.value("evaluation_due", false);  // absent in checkpoints from before this key
    progress.base = evaluation_from(object.at("base"));
    progress.last = evaluation_from(object.at("last"));
    if (const json& best = object.at("best"); !best.is_null()) {
      progress.best = {best.at("value").get<double>(), best.at("step").get<std::int64_t>(), best.at("since").get<std::int64_t>()};
    }
    settings = object.at("settings").get<std::map<std::string, std::string>>();
    return progress;
  });
}

}  // namespace lora_dist
