// Between a PEFT adapter's named matrices and the flat buffer.
#pragma once

#include <span>
#include <vector>

#include "src/adapter/adapter_layout.h"
#include "src/adapter/adapter_tensor.h"
#include "src/adapter/peft_adapter.h"

namespace lora_dist {

/// The layout of a PEFT adapter over this model, with its own rank and scale for each layer. Throws Error(model) naming the
/// tensor that the model lacks or that has another shape there (the adapter belongs to another model), or the module that its
/// configuration adapts and its file lacks.
AdapterLayout layout_of(const PeftAdapter& adapter, const ModelSpec& model, const std::string& folder);
/// Accepts copies of embedding and head in an adapter's file that equal the base's, possibly rounded to the copy's dtype. Throws
/// Error(model) naming the tensor for other copies: they were trained or resized.
void check_tables(const PeftAdapter& adapter, const ModelSpec& model, const TensorDirectory& base);
/// Copies the adapter's matrices into the flat buffer.
void copy_parameters(const PeftAdapter& adapter, const AdapterLayout& layout, std::span<float> params);

/// The flat buffer's tensors as checkpoints and PEFT folders name them.
std::vector<AdapterTensor> adapter_tensors(const AdapterLayout& layout);
/// The tensors of a PEFT folder: without the encoder of virtual tokens; a tied table under both of its names.
std::vector<AdapterTensor> folder_tensors(const AdapterLayout& layout);

}  // namespace lora_dist
