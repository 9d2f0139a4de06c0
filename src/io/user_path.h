// Paths as users write them: with a home folder, and with patterns that name several files.
#pragma once

#include <string>
#include <vector>

namespace lora_dist {

/// "~" and "~/x" with the home folder ($HOME, else the system's record) in place of "~"; any other text as it is.
std::string expand_home(const std::string& path);

/// The files that the texts name, in order. A text that is the name of a file is that file; else one with *, ? or [...] stands
/// for the files that it matches, sorted by name (a * crosses no folder); any other text stays. Throws Error(data) that begins
/// with `key` for a pattern that matches no file.
std::vector<std::string> expand_files(const std::vector<std::string>& texts, const std::string& key);

}  // namespace lora_dist
