// How the next token is chosen: as the user wrote, else as generation_config.json says.
#pragma once

#include <optional>
#include <string>

#include "src/inference/generate.h"
#include "src/model/generation_config.h"

namespace lora_dist {

/// What the user wrote of sampling; the rest is left to the file.
struct WrittenSampling {
  std::optional<double> temperature, top_p, repetition_penalty;
  std::optional<int> top_k;
};

/// Fills temperature, top_p, top_k and repetition_penalty: as written, else as the file says. Where the file samples and does not
/// say otherwise, temperature is 1 and top_k 50, transformers' defaults; where it does not sample, the most probable token is
/// taken unless a temperature was written.
void apply_generation_config(const GenerationConfig& config, const WrittenSampling& written, SamplingOptions& options);

/// "temperature 0.6, top_p 0.9"; empty for the most probable token without a penalty.
std::string describe_sampling(const SamplingOptions& options);

}  // namespace lora_dist
