// A model's description as the keys of a GGUF file.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "src/convert/gguf_recipe.h"
#include "src/io/write_gguf.h"
#include "src/model/model_config.h"

namespace lora_dist {

/// general.* and the keys of the architecture, as llama.cpp's converter writes them. Where its windows have no key, the file's
/// context ends with the window (see gguf_context_length()). Throws Error(model) for a family that has no architecture there, and
/// for biases, a head or a rotation that llama.cpp does not have for it.
std::vector<GgufKey> gguf_model_keys(const ModelSpec& spec, const std::string& name, GgufFileType type);

/// The longest text for which the file means what the folder means.
std::int64_t gguf_context_length(const ModelSpec& spec);

/// Throws Error(model) naming what differs if the file (its keys and shapes), as this program reads it, describes another model.
void check_gguf_model(const ModelSpec& spec, const std::filesystem::path& folder, const std::filesystem::path& gguf);

/// True if a layer attends to a window of tokens only.
bool has_windows(const ModelSpec& spec);

}  // namespace lora_dist
