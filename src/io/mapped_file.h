// Memory-mapped files: pages are read on access, and shared by the processes of a machine.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>

#include "src/core/error.h"

namespace lora_dist {

/// A read-only mapping of a whole file. Throws Error(code) naming file and reason. A file that is renamed over it later has no
/// effect; truncating the file kills processes that read beyond its end (SIGBUS).
class MappedFile {
 public:
  MappedFile(const std::filesystem::path& path, ExitCode code);
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();

  std::span<const std::byte> bytes() const { return bytes_; }  // page-aligned

 private:
  std::span<const std::byte> bytes_;
};

}  // namespace lora_dist
