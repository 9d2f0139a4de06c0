// lora_dist.json in an adapter's folder: what the adapter came from, and above all how its base was held, without which it means
// another function.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>

#include "src/base/base_format.h"

namespace lora_dist {

/// Beside PEFT's files, which no reader of PEFT folders looks at.
inline constexpr const char* kOriginFile = "lora_dist.json";

/// {"quantization", "double_quant", "block_size"}: the value of "base_format" in that file.
nlohmann::json json_of(const BaseFormat& format);

/// "base_format" of such a document; nothing where it has none. Throws Error(model) with `place` for one that is malformed.
std::optional<BaseFormat> base_format_in(const nlohmann::json& origin, const std::filesystem::path& place);

/// How the base was held while this adapter was trained; nothing where its folder does not say, as of adapters that other
/// programs wrote. Throws Error(model) naming the file.
std::optional<BaseFormat> recorded_base_format(const std::filesystem::path& adapter);

}  // namespace lora_dist
