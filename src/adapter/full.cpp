// Chooses the trained tensors by their names.
#include "src/adapter/full.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <numeric>

#include "src/adapter/method.h"
#include "src/adapter/path_pattern.h"
#include "src/core/error.h"
#include "src/core/with_commas.h"
#include "src/model/family.h"

namespace lora_dist {

namespace {

/// The patterns of train.trainable, with a note of those that matched.
class NamePatterns {
 public:
  explicit NamePatterns(const std::vector<std::string>& patterns) : patterns_(patterns), matched_(patterns.size()) {
    for (const std::string& pattern : patterns) {
      if (const std::string problem = problem_of_pattern(pattern); !problem.empty()) {
        throw Error(ExitCode::usage, fmt::format("train.trainable: \"{}\" {}", pattern, problem));
      }
    }
  }

  /// True for every name if there are no patterns.
  bool match(const std::string& name) {
    bool any = patterns_.empty();
    for (std::size_t i = 0; i < patterns_.size(); ++i) {
      if (path_matches(patterns_[i], name)) {
        any = matched_[i] = true;
      }
    }
    return any;
  }

  void check_all_matched(const ModelSpec& model) const {
    for (std::size_t i = 0; i < patterns_.size(); ++i) {
      if (!matched_[i]) {
        const std::string block = path_of(model.family->names.linears[index_of(Linear::o)], 0) + ".weight";
        throw Error(ExitCode::usage,
                    fmt::format("train.trainable: \"{}\" matches no tensor of this {} model; a pattern must match a whole name, "
                                "such as {} or {}.weight",
                                patterns_[i], model.model_type, block, model.family->names.embedding));
      }
    }
  }

 private:
  std::vector<std::string> patterns_;
  std::vector<bool> matched_;
};

std::int64_t elements_of(const ModelTensor& tensor) {
  return std::accumulate(tensor.shape.begin(), tensor.shape.end(), std::int64_t{1}, std::multiplies{});
}

void choose_matrices(const ModelSpec& model, NamePatterns& patterns, TrainedTensors& chosen) {
  const TensorNames& names = model.family->names;
  const auto table = [&](std::string_view name) {
    const bool trained = patterns.match(std::string(name) + ".weight");
    chosen.count += trained ? model.vocab * model.hidden : 0;
    return trained;
  };
  chosen.matrices.embedding = table(names.embedding);
  for (std::int64_t layer = 0; layer < model.layers; ++layer) {
    std::array<bool, kLinears>& block = chosen.matrices.linears.emplace_back();
    for (const Linear linear : kAllLinears) {
      if (linear_shape(model, linear).out > 0) {
        const ModelTensor weight = weight_tensor(model, layer, linear);
        block[index_of(linear)] = patterns.match(weight.name);
        chosen.count += block[index_of(linear)] ? elements_of(weight) : 0;
      }
    }
  }
  chosen.matrices.head = !model.tied_head && table(names.heads[0]);
}

/// A norm's tensors by their names in files. One without a match is left out. Throws Error(usage) if only one of the two matches.
void choose_norms(const ModelSpec& model, NamePatterns& patterns, TrainedTensors& chosen) {
  for (TrainedNorm norm : all_norms(model)) {
    const std::string path = norm_path(*model.family, norm.site, norm.layer);
    std::size_t matched = 0;
    for (std::size_t i = 0; i < norm.parameters.size(); ++i) {
      norm.parameters[i].name = i == 0 ? "weight" : "bias";
      matched += patterns.match(fmt::format("{}.{}", path, norm.parameters[i].name)) ? 1 : 0;
    }
    if (matched > 0 && matched < norm.parameters.size()) {
      throw Error(
          ExitCode::usage,
          fmt::format("train.trainable matches one of {}.weight and {}.bias; a norm's two tensors are trained together, so "
                      "let patterns match both or neither",
                      path, path));
    }
    if (matched > 0) {
      chosen.count += static_cast<std::int64_t>(norm.parameters.size()) * model.hidden;
      chosen.norms.push_back(norm);
    }
  }
}

}  // namespace

TrainedTensors trained_tensors(const ModelSpec& model, const std::vector<std::string>& trainable) {
  NamePatterns patterns(trainable);
  TrainedTensors chosen;
  choose_matrices(model, patterns, chosen);
  for (const TrainedVector& vector : all_vectors(model)) {
    if (patterns.match(fmt::format("{}.{}", vector_path(*model.family, vector), vector.parameter.name))) {
      chosen.vectors.push_back(vector);
      chosen.count += vector.parameter.shape.count();
    }
  }
  choose_norms(model, patterns, chosen);
  patterns.check_all_matched(model);
  return chosen;
}

std::string trainable_line(const TrainedTensors& tensors, const ModelSpec& model) {
  const std::int64_t all = parameter_count(model);
  return fmt::format("trainable params: {} || all params: {} || trainable%: {:.4f}", with_commas(tensors.count), with_commas(all),
                     100.0 * static_cast<double>(tensors.count) / static_cast<double>(all));
}

const AdapterMethod& full_method() {
  static const AdapterMethod method = {
      .name = "full", .keys = {.rank = false, .alpha = false, .dropout = false}, .part = TrainedPart::base};
  return method;
}

}  // namespace lora_dist
