// A file that a run appends to; the program does not buffer, so that a killed run loses nothing that it wrote.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace lora_dist {

/// Opens a file to append, and closes it at the end. Every function throws Error(usage), for a full disk Error(model), naming the
/// file, the system's reason and `named_by`, the key or option that sets the path.
class AppendFile {
 public:
  AppendFile(std::filesystem::path path, std::string named_by);
  AppendFile(const AppendFile&) = delete;
  AppendFile& operator=(const AppendFile&) = delete;
  ~AppendFile();

  void append(std::string_view bytes);
  /// Waits until everything appended is on the disk.
  void sync();
  const std::filesystem::path& path() const { return path_; }

 private:
  [[noreturn]] void fail(const char* act, int error_number) const;

  std::filesystem::path path_;
  std::string named_by_;
  int descriptor_ = -1;
};

}  // namespace lora_dist
