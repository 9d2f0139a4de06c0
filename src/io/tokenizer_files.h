// The tokenizer's files in a model's or an adapter's folder.
#pragma once

#include <filesystem>
#include <vector>

namespace lora_dist {

/// Their names, chat templates included.
std::vector<std::filesystem::path> tokenizer_file_names(const std::filesystem::path& folder);

/// Copies them. Throws Error(model) with the system's reason.
void copy_tokenizer_files(const std::filesystem::path& from, const std::filesystem::path& to);

}  // namespace lora_dist
