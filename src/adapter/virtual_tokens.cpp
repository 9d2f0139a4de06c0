// Shape and first values of virtual tokens.
#include "src/adapter/virtual_tokens.h"

#include "src/adapter/normal_values.h"

namespace lora_dist {

VirtualTokens make_virtual_tokens(const ModelSpec& model, VirtualPlace place, std::int64_t count) {
  const bool of_input = place == VirtualPlace::input;
  const std::int64_t width = of_input ? model.hidden : model.layers * 2 * model.key_width();
  return {place, count, {kPromptEmbeddings, {count, width}, of_input ? TpCut::none : TpCut::kv_heads}};
}

void initialize_virtual_tokens(const VirtualTokens& tokens, std::uint64_t seed, std::span<float> params) {
  constexpr std::uint32_t kStreamOfVirtualTokens = 0x56495254U;  // separates these counters from other uses of the seed
  fill_normal(seed, kStreamOfVirtualTokens,
              params.subspan(static_cast<std::size_t>(tokens.parameter.offset),
                             static_cast<std::size_t>(tokens.parameter.shape.count())));
}

}  // namespace lora_dist
