// P-tuning (Liu et al. 2021, arXiv:2103.10385): prompt tuning whose embeddings come from a network (prompt_encoder.h).
#include "src/adapter/method.h"
#include "src/adapter/virtual_folder.h"

namespace lora_dist {

const AdapterMethod& p_tuning_method() {
  static const AdapterMethod method = {.name = "p_tuning",
                                       .peft = p_tuning_codec(),
                                       .merge = virtual_merge(),
                                       .keys = {.rank = false, .alpha = false, .dropout = false},
                                       .describe = describe_virtual_tokens,
                                       .starts_as_base = false,
                                       .virtual_place = VirtualPlace::input};
  return method;
}

}  // namespace lora_dist
