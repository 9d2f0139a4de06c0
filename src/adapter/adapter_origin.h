// lora_dist.json in an adapter's folder: the adapter's origin, in particular its base format: on another format the adapter
// computes a different function.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>

#include "src/base/base_format.h"

namespace lora_dist {

/// The record's file beside PEFT's files; readers of PEFT folders ignore it.
inline constexpr const char* kOriginFile = "lora_dist.json";

/// The record's key of adapter.init, for those that need the weights.
inline constexpr const char* kInitKey = "adapter_init";

/// The record's key of the methods that were trained together: a list of their names.
inline constexpr const char* kMethodsKey = "methods";

/// Throws Error(model) unless the folders (adapter_folders.h) are all those of one run at one step, as their records have it, and
/// no other. `folder`: above them.
void check_folders_belong_together(const std::filesystem::path& folder, std::span<const std::filesystem::path> folders);

/// {"quantization", "double_quant", "block_size"}: the value of "base_format" in that file.
nlohmann::json json_of(const BaseFormat& format);

/// "base_format" of such a document; nullopt if absent. Throws Error(model) that begins with `location` if malformed.
std::optional<BaseFormat> base_format_in(const nlohmann::json& origin, const std::filesystem::path& location);

/// The base format that this adapter was trained on; nullopt if its folder has no record (other programs write none). Throws
/// Error(model) naming the file.
std::optional<BaseFormat> recorded_base_format(const std::filesystem::path& adapter);

/// True if the record says that the factors started as what quantization loses of the base (LoftQ), so that they belong to its
/// dequantized weights. Throws Error(model) for a record that is not JSON.
bool makes_up_for_quantization(const std::filesystem::path& adapter);

}  // namespace lora_dist
