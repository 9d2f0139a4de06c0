// One job at a time in a folder.
#pragma once

#include <filesystem>
#include <string>

namespace lora_dist {

/// Holds the folder until it is destroyed or the process ends, however it ends. Throws Error(usage) naming the folder and `key`
/// when another process holds it. File systems that know no locks are let pass.
class DirectoryLock {
 public:
  DirectoryLock(const std::filesystem::path& folder, const std::string& key);
  DirectoryLock(const DirectoryLock&) = delete;
  DirectoryLock& operator=(const DirectoryLock&) = delete;
  ~DirectoryLock();

 private:
  int descriptor_ = -1;
};

}  // namespace lora_dist
