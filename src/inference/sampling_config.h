// Sampling parameters: the user's, else those of generation_config.json.
#pragma once

#include <optional>
#include <string>

#include "src/inference/generate.h"
#include "src/model/generation_config.h"

namespace lora_dist {

/// The user's sampling parameters; unset ones come from the file.
struct WrittenSampling {
  std::optional<double> temperature, top_p, repetition_penalty;
  std::optional<int> top_k;
};

/// Sets temperature, top_p, top_k and repetition_penalty: the user's values, else the file's. If the file samples without giving
/// them, temperature is 1 and top_k 50, transformers' defaults; if it does not sample, decoding is greedy unless the user set a
/// temperature.
void apply_generation_config(const GenerationConfig& config, const WrittenSampling& written, SamplingOptions& options);

/// "temperature 0.6, top_p 0.9"; empty for greedy decoding without a penalty.
std::string describe_sampling(const SamplingOptions& options);

}  // namespace lora_dist
