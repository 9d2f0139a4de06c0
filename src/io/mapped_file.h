// A file seen as memory: read by the system when it is touched, and shared by the processes of a machine.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>

#include "src/core/error.h"

namespace lora_dist {

/// A whole file, to be read only; unmaps itself. Throws Error(code) naming file and reason. What is renamed over the file later
/// does not show; whoever shortens the file itself ends the process that reads beyond its end.
class MappedFile {
 public:
  MappedFile(const std::filesystem::path& path, ExitCode code);
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();

  std::span<const std::byte> bytes() const { return bytes_; }  // begins at a page

 private:
  std::span<const std::byte> bytes_;
};

}  // namespace lora_dist
