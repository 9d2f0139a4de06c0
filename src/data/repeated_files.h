// Warns about files that are listed twice, for example by overlapping patterns.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace lora_dist {

/// A sentence per file that is listed repeatedly in `train`, or also in `validation`. Different paths and links to one file count
/// as the same file.
std::vector<std::string> notes_on_repeated_files(const std::vector<std::filesystem::path>& train,
                                                 const std::vector<std::filesystem::path>& validation);

}  // namespace lora_dist
