// A folder (in /dev/shm if available) that a fuzz target refills for each input.
#pragma once

#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

namespace lora_dist {

/// Removed when the process ends.
class FuzzFolder {
 public:
  FuzzFolder() {
    const bool shared_memory = std::filesystem::is_directory("/dev/shm");
    std::string pattern =
        (shared_memory ? "/dev/shm" : std::filesystem::temp_directory_path().string()) + "/lora_dist_fuzz_XXXXXX";
    path_ = ::mkdtemp(pattern.data());
  }
  FuzzFolder(const FuzzFolder&) = delete;
  FuzzFolder& operator=(const FuzzFolder&) = delete;
  ~FuzzFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path write(const std::string& name, std::string_view content) const {
    std::ofstream(path_ / name, std::ios::binary) << content;
    return path_ / name;
  }

 private:
  std::filesystem::path path_;
};

}  // namespace lora_dist
