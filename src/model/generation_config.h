// generation_config.json: where a text ends, and how the model's authors sample (contract: transformers,
// generation/configuration_utils.py).
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "src/model/model_config.h"

namespace lora_dist {

struct GenerationConfig {
  std::string file = "generation_config.json";  // that it was read from: this or config.json
  std::vector<std::int64_t> eos_ids;            // empty: the file names none
  bool do_sample = false;
  std::optional<double> temperature, top_p, repetition_penalty;
  std::optional<int> top_k;
  std::vector<std::string> warnings;  // keys that change what transformers generates and are not built
};

/// Of a model folder; without the file, config.json's keys of the same names but for eos_token_id, as in transformers. Values of
/// sampling count only where do_sample is true. Throws Error(model) naming file and key for a value of the wrong
/// kind.
GenerationConfig read_generation_config(const std::filesystem::path& folder, const ModelSpec& spec);

}  // namespace lora_dist
