// Checks of a whole configuration.
#include "src/config/check_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "kernels/common/block_size.h"
#include "src/config/config_keys.h"

namespace lora_dist {
namespace {

template <class Value, class Sought>
bool contains(const std::vector<Value>& values, const Sought& value) {
  return std::find(values.begin(), values.end(), value) != values.end();
}

/// True if the key has another value than its default: a printed configuration names every key.
bool is_changed(const Config& config, const char* name) {
  const Key* key = find_key(name);
  return key->text(config) != key->text(Config{});
}

}  // namespace

ConfigProblem option_of_another_method(const Config& config) {
  constexpr std::array<const char*, 5> kOfLora = {"adapter.rslora", "adapter.rank_pattern", "adapter.alpha_pattern",
                                                  "adapter.init", "adapter.loraplus_ratio"};
  const auto problem = [&](const char* key, const char* methods) {
    return ConfigProblem{{key, "adapter.method"},
                         fmt::format("{} is an option of {}, and adapter.method is {}; leave it out", key, methods,
                                     word_of(kMethods, config.adapter.method))};
  };
  for (const char* key : kOfLora) {
    if (is_changed(config, key) && config.adapter.method == Method::ia3) {
      return problem(key, "lora and dora");
    }
  }
  if (is_changed(config, "adapter.ia3.feedforward_modules") && config.adapter.method != Method::ia3) {
    return problem("adapter.ia3.feedforward_modules", "ia3");
  }
  return {};
}

ConfigProblem find_contradiction(const Config& config) {
  if (!is_block_size(config.model.block_size)) {
    return {{"model.block_size"},
            "model.block_size must be a power of two (got " + std::to_string(config.model.block_size) + ")"};
  }
  if (contains(config.adapter.target_modules, "all-linear") && config.adapter.target_modules.size() > 1) {
    return {{"adapter.target_modules"}, "adapter.target_modules is either \"all-linear\" or a list of names, not both"};
  }
  if (const ConfigProblem problem = option_of_another_method(config); !problem.keys.empty()) {
    return problem;
  }
  if (!contains(config.eval.metrics, config.eval.best_metric)) {
    return {{"eval.best_metric", "eval.metrics"},
            fmt::format("eval.best_metric must be one of eval.metrics (got \"{}\")", word_of(kMetrics, config.eval.best_metric))};
  }
  if (config.train.early_stopping_patience > 0 && config.data.validation.empty() && config.data.validation_split == 0.0) {
    return {{"train.early_stopping_patience", "data.validation_split", "data.validation"},
            "train.early_stopping_patience needs validation data: give data.validation or a data.validation_split above 0"};
  }
  return {};
}

}  // namespace lora_dist
