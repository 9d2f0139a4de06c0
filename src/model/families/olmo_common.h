// OLMo 2 and OLMo 3 share this: norms after attention and MLP, and of all heads of q and of k together.
#pragma once

#include "src/model/families/norms_after.h"

namespace lora_dist::families {

/// Norms after each sublayer, RMSNorm over all heads, and biases of attention where config.json says so.
inline void set_olmo_norms(const ConfigFile& file, ModelSpec& spec) {
  spec.norm_before = false;
  spec.norm_after = true;
  spec.width_norm = true;
  for (const Linear linear : {Linear::q, Linear::k, Linear::v, Linear::o}) {
    spec.bias[index_of(linear)] = file.boolean_or("attention_bias", false);
  }
}

}  // namespace lora_dist::families
