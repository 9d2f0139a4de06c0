// The table of model families: one line each.
#include <algorithm>

#include "src/model/family.h"

// Each has its file in src/model/families.
#define LORA_DIST_FAMILIES(FAMILY) \
  FAMILY(cohere2)                  \
  FAMILY(exaone)                   \
  FAMILY(exaone4)                  \
  FAMILY(gemma)                    \
  FAMILY(gemma2)                   \
  FAMILY(gemma3_text)              \
  FAMILY(glm4)                     \
  FAMILY(gpt2)                     \
  FAMILY(gpt_neox)                 \
  FAMILY(granite)                  \
  FAMILY(hyperclovax)              \
  FAMILY(internlm3)                \
  FAMILY(llama)                    \
  FAMILY(ministral3)               \
  FAMILY(mistral)                  \
  FAMILY(nemotron)                 \
  FAMILY(olmo2)                    \
  FAMILY(olmo3)                    \
  FAMILY(phi3)                     \
  FAMILY(qwen2)                    \
  FAMILY(qwen3)                    \
  FAMILY(smollm3)                  \
  FAMILY(stablelm)                 \
  FAMILY(starcoder2)

namespace lora_dist {

namespace families {
#define LORA_DIST_DECLARE(name) extern const Family name;
LORA_DIST_FAMILIES(LORA_DIST_DECLARE)
#undef LORA_DIST_DECLARE
}  // namespace families

namespace {
#define LORA_DIST_ADDRESS(name) &families::name,
constexpr std::array kFamilies = {LORA_DIST_FAMILIES(LORA_DIST_ADDRESS)};
#undef LORA_DIST_ADDRESS
}  // namespace

const Family* find_family(std::string_view model_type) {
  const auto* const found =
      std::find_if(kFamilies.begin(), kFamilies.end(), [&](const Family* family) { return family->model_type == model_type; });
  return found == kFamilies.end() ? nullptr : *found;
}

std::string known_families() {
  std::string list;
  for (const Family* family : kFamilies) {
    list += (list.empty() ? "" : ", ") + std::string(family->model_type);
  }
  return list;
}

}  // namespace lora_dist
