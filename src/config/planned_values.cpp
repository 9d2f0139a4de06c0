// The list of planned values. A word moves from it to its key's words (src/core/choices.h) once it works.
#include "src/config/planned_values.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "src/config/config_value.h"

namespace lora_dist {
namespace {

struct Planned {
  std::string_view key;
  std::vector<std::string_view> values;
  std::string works;
};

const std::vector<Planned>& all_planned() {
  static const std::vector<Planned> all = {
      {"train.optimizer", {"adamw8bit", "sgd", "lion"}, list_of(all_words(kOptimizers))},
      {"train.deterministic", {"false"}, "true"},
      {"eval.metrics", {"accuracy", "exact_match", "rouge", "bleu"}, list_of(all_words(kMetrics))},
      {"eval.best_metric", {"accuracy", "exact_match", "rouge", "bleu"}, list_of(all_words(kMetrics))},
  };
  return all;
}

/// The spelling of a string or flag as in the list; else empty.
std::string spelling(const toml::node& node) {
  if (const auto* text = node.as_string()) {
    return text->get();
  }
  const auto* flag = node.as_boolean();
  return flag == nullptr ? "" : flag->get() ? "true" : "false";
}

}  // namespace

std::string refusal_of_planned(std::string_view key, const toml::node& node) {
  if (const toml::array* array = node.as_array()) {
    std::string refusal;
    for (const toml::node& element : *array) {
      refusal = refusal.empty() ? refusal_of_planned(key, element) : refusal;
    }
    return refusal;
  }
  const std::string value = spelling(node);
  for (const Planned& planned : all_planned()) {
    if (planned.key == key && std::find(planned.values.begin(), planned.values.end(), value) != planned.values.end()) {
      return fmt::format("= {} is not built yet; what works is {}", value, planned.works);
    }
  }
  return "";
}

}  // namespace lora_dist
