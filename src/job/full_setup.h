// Full fine-tuning: what it needs of configuration, model folder and mesh.
#pragma once

#include <filesystem>

#include "src/config/config.h"
#include "src/model/model_config.h"
#include "src/report/console.h"

namespace lora_dist {

/// True if training changes the base itself.
bool trains_base(const Config& config);

/// Throws Error(usage) if TP ranks would repeat key-value heads, or for a pattern of train.trainable that matches nothing.
void check_trained_model(const Config& config, const ModelSpec& model);
/// Throws Error(usage) if the folder's weights are quantized, or those of a GGUF file.
void check_trained_folder(const std::filesystem::path& folder, const ModelSpec& model);

/// Tells of keys whose values have no effect, since every data rank keeps its slice of everything that is trained.
void tell_of_forced_slices(const Config& config, const Console& console);

}  // namespace lora_dist
