// The label of a token that the loss ignores, as in Hugging Face.
#pragma once

#include <cstdint>

namespace lora_dist {

inline constexpr std::int32_t kNotTrained = -100;

}  // namespace lora_dist
