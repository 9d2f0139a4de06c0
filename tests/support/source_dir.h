// Files of the repository that tests read.
#pragma once

#include <filesystem>

namespace lora_dist {

inline std::filesystem::path source_dir() { return LORA_DIST_SOURCE_DIR; }
inline std::filesystem::path demo_model() { return source_dir() / "demo/model"; }

}  // namespace lora_dist
