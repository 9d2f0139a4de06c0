// Locks a folder for one job.
#pragma once

#include <filesystem>
#include <string>

namespace lora_dist {

/// Holds the lock until it is destroyed or the process ends. Throws Error(usage) naming the folder and `key` if another process
/// holds it. No effect on file systems without locks.
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
