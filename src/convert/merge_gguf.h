// Merging adapters into the weights of a GGUF file: what comes out is a Hugging Face folder.
#pragma once

#include <filesystem>
#include <string>

#include "src/convert/merge_weights.h"

namespace lora_dist {

/// The name of file `index` of the folder that is written: model.safetensors, or model-00001-of-00003.safetensors of a split one.
std::string merged_gguf_name(const TensorDirectory& model, std::size_t index);

/// merge_file() for `source`, a part of a GGUF file: decoded weights as f32, others in their dtype. Throws Error(model).
MergeSums merge_gguf_file(const TensorDirectory& model, const std::filesystem::path& source, const std::filesystem::path& target,
                          const MergePlan& plan, const BaseFormat& onto, const BaseFormat& trained, const Stream& stream);

/// The index of the files, where there are several. Throws Error(model).
void write_gguf_index(const TensorDirectory& model, const std::filesystem::path& target);

}  // namespace lora_dist
