// Bottleneck adapters in the folders of the adapters library (contract: adapter-hub/adapters 1.3.0), which PEFT does not read.
#pragma once

#include <filesystem>
#include <string>

#include "src/adapter/method_folder.h"
#include "src/adapter/peft_adapter.h"

namespace lora_dist {

/// The library's file of an adapter's tensors.
inline constexpr const char* kBottleneckFile = "adapter.safetensors";

/// True for an adapter_config.json of that library.
bool is_bottleneck_config(const nlohmann::ordered_json& document);

/// Throws Error(model) naming file and key for settings that this program does not have.
PeftConfig bottleneck_config_in(const nlohmann::ordered_json& document, const std::filesystem::path& file);

/// Throws Error(model) naming file and tensor: for tensors of other kinds.
PeftAdapter read_bottleneck_folder(const std::filesystem::path& folder, const PeftConfig& config);

/// adapter_config.json as the library writes it.
std::string bottleneck_config_text(const PeftConfig& config);
/// "model.layers.0.output_adapters.adapters.default.adapter_down.0.weight" of "model.layers.0.output_adapters.adapter_down".
std::string bottleneck_disk_name(const std::string& name);

PeftCodec bottleneck_codec();
MergeHooks bottleneck_merge();

}  // namespace lora_dist
