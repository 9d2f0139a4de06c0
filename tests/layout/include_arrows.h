// Checks rules of docs/architecture.md on source files: include directions and file length.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace lora_dist {

/// Violations in a file under src/ or kernels/, one sentence "path:line: ..." each. `path` is relative to the repository root.
std::vector<std::string> layout_complaints(std::string_view path, std::string_view text);

}  // namespace lora_dist
