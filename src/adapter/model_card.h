// README.md of an adapter folder: how to load and serve the adapter, by its own names.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "src/adapter/adapter_config.h"
#include "src/base/base_format.h"

namespace lora_dist {

/// The smallest --max-lora-rank of vLLM that holds `rank`; 0: none does.
std::int64_t vllm_max_lora_rank(std::int64_t rank);

/// `base`: the format of the base in training; nullopt: not recorded.
std::string model_card(const PeftConfig& config, const std::optional<BaseFormat>& base);

}  // namespace lora_dist
