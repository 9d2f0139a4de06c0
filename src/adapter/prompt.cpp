// Prompt tuning (Lester et al. 2021, arXiv:2104.08691): virtual tokens with trained embeddings before every sequence.
#include "src/adapter/method.h"
#include "src/adapter/virtual_folder.h"

namespace lora_dist {

const AdapterMethod& prompt_method() {
  static const AdapterMethod method = {.name = "prompt",
                                       .peft = prompt_codec(),
                                       .merge = virtual_merge(),
                                       .keys = {.rank = false, .alpha = false, .dropout = false},
                                       .describe = describe_virtual_tokens,
                                       .starts_as_base = false,
                                       .virtual_place = VirtualPlace::input};
  return method;
}

}  // namespace lora_dist
