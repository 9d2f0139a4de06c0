// Warnings about tensors of a model folder that its config.json does not imply. As in transformers, they are not errors.
#pragma once

#include <string>
#include <vector>

#include "src/io/safetensors.h"
#include "src/model/model_config.h"

namespace lora_dist {

/// Names of unused tensors: blocks beyond those of config.json by number, then other tensors. Excludes harmless tensors of old
/// files: masks, rotation tables, the copy of a tied head.
std::vector<std::string> unused_tensors(const ModelSpec& spec, const TensorDirectory& directory);

/// All warnings about a usable folder: config.json, files, unused tensors.
std::vector<std::string> folder_warnings(const ModelSpec& spec, const TensorDirectory& directory);

}  // namespace lora_dist
