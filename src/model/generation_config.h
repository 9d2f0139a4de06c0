// generation_config.json: stop tokens and default sampling (contract: transformers, generation/configuration_utils.py).
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "src/model/model_config.h"

namespace lora_dist {

struct GenerationConfig {
  std::string file = "generation_config.json";  // the file read: this or config.json
  std::vector<std::int64_t> eos_ids;            // empty: none in the file
  bool do_sample = false;
  std::optional<double> temperature, top_p, repetition_penalty;
  std::optional<int> top_k;
  std::vector<std::string> warnings;  // about unsupported keys that affect generated text
};

/// Reads a model folder's file; without it, config.json's keys of the same names except eos_token_id, as in transformers.
/// Sampling values count only if do_sample is true. Throws Error(model) naming file and key for a value of the wrong type.
GenerationConfig read_generation_config(const std::filesystem::path& folder, const ModelSpec& spec);

}  // namespace lora_dist
