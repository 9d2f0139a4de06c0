// Queries and probes a file system.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

namespace lora_dist {

/// `path` if it is a folder, else its nearest existing parent folder.
std::filesystem::path nearest_folder(const std::filesystem::path& path);

/// "ext4", "nfs", "lustre" and the like; "type 0x..." for others.
std::string file_system_of(const std::filesystem::path& path);

/// Free space for this user.
struct FreeSpace {
  std::int64_t bytes = 0;
  std::int64_t files = -1;  // -1: unlimited
};
FreeSpace free_space_of(const std::filesystem::path& path);

/// True if a file made in `folder` can be restricted to its owner.
bool can_keep_to_owner(const std::filesystem::path& folder);

/// Tries to lock a folder as a run locks output.dir, for its lifetime.
class LockTrial {
 public:
  LockTrial() = default;
  LockTrial(const LockTrial&) = delete;
  LockTrial& operator=(const LockTrial&) = delete;
  ~LockTrial();

  void take(const std::filesystem::path& folder);
  bool held() const { return held_; }
  /// False if the file system does not support locks.
  bool known() const { return known_; }

 private:
  int descriptor_ = -1;
  bool held_ = false;
  bool known_ = false;
};

}  // namespace lora_dist
