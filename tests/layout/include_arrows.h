// The rules of docs/architecture.md that can be read off a source file's text: who may include whom, and how long a file may be.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace lora_dist {

/// What is wrong with a file under src/ or kernels/, one sentence "path:line: ..." each. `path` is relative to the repository
/// root.
std::vector<std::string> layout_complaints(std::string_view path, std::string_view text);

}  // namespace lora_dist
