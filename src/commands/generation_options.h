// Generation options: --max-new-tokens, sampling, and whether to use the folder's generation_config.json.
#pragma once

#include <cstdint>

#include "src/commands/command.h"
#include "src/inference/sampling_config.h"
#include "src/report/console.h"

namespace lora_dist {

struct GenerationOptions {
  int max_new_tokens = 128;
  WrittenSampling sampling;               // --temperature, --top-p, --top-k, --repetition-penalty
  bool ignore_generation_config = false;  // the folder's generation_config.json
  std::int64_t seed = 42;
};

void describe_generation_options(CommandUse& use, GenerationOptions& options);
/// Throws Error(usage, collective).
void check_generation_options(const GenerationOptions& options);

/// The given options, else those of `generation`, with a note on changed defaults.
SamplingOptions sampling_options(const GenerationOptions& options, const GenerationConfig& generation, const Console& console);

}  // namespace lora_dist
