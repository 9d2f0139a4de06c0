// Data that is not shipped: large or not redistributable files.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <optional>

namespace lora_dist {

/// The folder of the environment variable LORA_DIST_TEST_DATA, or nullopt. Tests that need it are skipped without it.
inline std::optional<std::filesystem::path> test_data() {
  const char* folder = std::getenv("LORA_DIST_TEST_DATA");
  return folder == nullptr || *folder == '\0' ? std::nullopt : std::optional<std::filesystem::path>(folder);
}

}  // namespace lora_dist
