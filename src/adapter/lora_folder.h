// LoRA in PEFT's folders and merged, for it and the methods that build on it.
#pragma once

#include "src/adapter/method_folder.h"

namespace lora_dist {

PeftCodec lora_codec();
MergeHooks lora_merge();

/// weight += scale * B A, or its transpose.
void add_product(const AdapterMatrix& a, const AdapterMatrix& b, float scale, const MergedWeight& weight, const Stream& stream);

/// The Frobenius norm of scale * B A, without making the product.
double norm_of_update(const AdapterMatrix& a, const AdapterMatrix& b, double scale);

}  // namespace lora_dist
