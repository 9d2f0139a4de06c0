// PEFT's table (constants.py, TRANSFORMERS_MODELS_TO_IA3_TARGET_MODULES_MAPPING), by linear in place of names.
#include "src/adapter/ia3_modules.h"

#include <algorithm>
#include <array>

#include "src/adapter/match_targets.h"
#include "src/model/family.h"
#include "src/model/tensor_table.h"

namespace lora_dist {

namespace {

std::vector<std::string> names_of(const ModelSpec& model, const std::vector<Linear>& wanted) {
  std::array<bool, kLinears> linears{};
  for (const Linear linear : wanted) {
    linears[index_of(linear)] = linear_shape(model, linear).out > 0;
  }
  return target_names(*model.family, AdaptedLinears(static_cast<std::size_t>(model.layers), linears));
}

}  // namespace

DefaultModules default_ia3_modules(const ModelSpec& model) {
  constexpr std::array<std::string_view, 5> kWithQueries = {"gemma", "gemma2", "gemma3_text", "qwen2", "qwen3"};
  const bool queries = std::ranges::find(kWithQueries, model.model_type) != kWithQueries.end();
  return {names_of(model, {Linear::qkv, queries ? Linear::q : Linear::k, Linear::v, Linear::down}),
          names_of(model, {Linear::down})};
}

}  // namespace lora_dist
