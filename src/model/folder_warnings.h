// What a model folder holds beside the tensors that its config.json implies. That is no error, as in transformers, but it is
// said.
#pragma once

#include <string>
#include <vector>

#include "src/io/safetensors.h"
#include "src/model/model_config.h"

namespace lora_dist {

/// Names of the tensors that the model does not use: blocks beyond those of config.json by their number, then others by name.
/// Without what old files have that nobody misses: masks, tables of rotations, the copy of a tied head.
std::vector<std::string> unused_tensors(const ModelSpec& spec, const TensorDirectory& directory);

/// All that there is to say about a folder that can be used: of config.json, of the files, of unused tensors.
std::vector<std::string> folder_warnings(const ModelSpec& spec, const TensorDirectory& directory);

}  // namespace lora_dist
