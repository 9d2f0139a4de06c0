// transformers' defaults for absent keys.
#include "src/inference/sampling_config.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <vector>

namespace lora_dist {

namespace {

constexpr int kTopKOfSampling = 50;  // transformers' default

}  // namespace

void apply_generation_config(const GenerationConfig& config, const WrittenSampling& written, SamplingOptions& options) {
  const bool samples = config.do_sample && !written.temperature;
  options.temperature = samples ? config.temperature.value_or(1.0) : written.temperature.value_or(0.0);
  options.top_p = written.top_p.value_or(config.top_p.value_or(1.0));
  options.top_k = written.top_k.value_or(config.top_k.value_or(config.do_sample ? kTopKOfSampling : 0));
  options.repetition_penalty = written.repetition_penalty.value_or(config.repetition_penalty.value_or(1.0));
}

std::string describe_sampling(const SamplingOptions& options) {
  std::vector<std::string> parts;
  if (options.temperature > 0.0) {
    parts.push_back(fmt::format("temperature {}", options.temperature));
    if (options.top_p < 1.0) {
      parts.push_back(fmt::format("top_p {}", options.top_p));
    }
    if (options.top_k > 0) {
      parts.push_back(fmt::format("top_k {}", options.top_k));
    }
  }
  if (options.repetition_penalty != 1.0) {
    parts.push_back(fmt::format("repetition_penalty {}", options.repetition_penalty));
  }
  return fmt::format("{}", fmt::join(parts, ", "));
}

}  // namespace lora_dist
