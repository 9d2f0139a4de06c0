// Recognises binary dataset formats that are not supported, by their magic bytes.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace lora_dist {

/// "a Parquet file, which is not read here; make it JSONL with: python3 -c ...", for a message that begins with the file's name;
/// empty if the content may be text.
std::string foreign_content(const std::filesystem::path& file, std::string_view content);

}  // namespace lora_dist
