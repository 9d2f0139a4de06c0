// Files that are named more than once, which patterns that overlap do without anyone's meaning it.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace lora_dist {

/// A sentence for each file of `train` that is named several times, and for each that stands in `validation` too. Two ways to
/// write a path, and links, are the same file.
std::vector<std::string> notes_on_repeated_files(const std::vector<std::filesystem::path>& train,
                                                 const std::vector<std::filesystem::path>& validation);

}  // namespace lora_dist
