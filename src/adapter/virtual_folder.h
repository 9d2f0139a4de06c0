// Virtual tokens in PEFT's folders: one tensor of the whole model, prompt_embeddings.
#pragma once

#include "src/adapter/adapter_layout.h"
#include "src/adapter/method_folder.h"
#include "src/adapter/peft_adapter.h"

namespace lora_dist {

PeftCodec prompt_codec();
PeftCodec prefix_codec();
PeftCodec p_tuning_codec();
/// Nothing merges: no weight changes. The norm that `inspect` shows is of the tensor.
MergeHooks virtual_merge();

/// Adds what a folder says of the model.
void describe_virtual_tokens(PeftConfig& peft, const AdapterLayout& layout, const ModelSpec& model);

/// The layout of a folder's virtual tokens over this model. Throws Error(model) if the tensor has another width than the model
/// needs.
AdapterLayout virtual_layout_of(const PeftAdapter& adapter, const ModelSpec& model, const std::string& folder);

}  // namespace lora_dist
