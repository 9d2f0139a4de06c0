// Data that is not shipped: large files, and files of others that may not be passed on.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <optional>

namespace lora_dist {

/// The folder that the environment variable LORA_DIST_TEST_DATA names, or nothing. Tests that need it are skipped without.
inline std::optional<std::filesystem::path> test_data() {
  const char* folder = std::getenv("LORA_DIST_TEST_DATA");
  return folder == nullptr || *folder == '\0' ? std::nullopt : std::optional<std::filesystem::path>(folder);
}

}  // namespace lora_dist
