// Prefix tuning (Li and Liang 2021, arXiv:2101.00190) without a projection, which is P-tuning v2 (Liu et al. 2022,
// arXiv:2110.07602): virtual tokens whose keys and values are trained in every block.
#include "src/adapter/method.h"
#include "src/adapter/virtual_folder.h"

namespace lora_dist {

const AdapterMethod& prefix_method() {
  static const AdapterMethod method = {.name = "prefix",
                                       .peft = prefix_codec(),
                                       .merge = virtual_merge(),
                                       .keys = {.rank = false, .alpha = false, .dropout = false},
                                       .describe = describe_virtual_tokens,
                                       .starts_as_base = false,
                                       .virtual_place = VirtualPlace::keys_and_values};
  return method;
}

}  // namespace lora_dist
