// Expands users' paths: the home folder, and patterns for several files.
#pragma once

#include <string>
#include <vector>

namespace lora_dist {

/// Replaces "~" in "~" and "~/x" by the home folder ($HOME, else the system's record); other texts are unchanged.
std::string expand_home(const std::string& path);

/// The files of the texts, in order. A text that names an existing file is that file; else *, ? and [...] match files, sorted by
/// name (* does not match /); other texts are unchanged. Throws Error(data) that begins with `key` for a pattern without matches.
std::vector<std::string> expand_files(const std::vector<std::string>& texts, const std::string& key);

}  // namespace lora_dist
