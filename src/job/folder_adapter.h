// Reads an adapter's folder, or the folders of several methods that were trained together, for an opened model.
#pragma once

#include <filesystem>
#include <vector>

#include "src/adapter/adapter_layout.h"
#include "src/adapter/peft_adapter.h"
#include "src/model/model_config.h"

namespace lora_dist {

struct FolderAdapter {
  AdapterLayout layout;
  std::vector<float> params;  // the flat buffer
  PeftConfig config;          // of the first method
  SharedTensors shared;       // that its folder holds
};

struct FolderRules {
  bool checks_tables = true;  // compares whole tables with the base's: one rank suffices
  bool to_plain = true;       // an adapter over weights that its initialisation changed becomes plain LoRA
};

/// Throws Error(model) for a folder that is damaged or belongs to another model.
FolderAdapter read_folder_adapter(const std::filesystem::path& folder, const ModelSpec& model, const TensorDirectory& directory,
                                  const FolderRules& rules);

}  // namespace lora_dist
