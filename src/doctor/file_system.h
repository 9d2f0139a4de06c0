// What Linux tells of a file system, and small trials on it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

namespace lora_dist {

/// `path` where it is a folder, else the nearest of its parents that is.
std::filesystem::path nearest_folder(const std::filesystem::path& path);

/// "ext4", "nfs", "lustre" and the like; "type 0x..." for others.
std::string file_system_of(const std::filesystem::path& path);

/// For this user.
struct FreeSpace {
  std::int64_t bytes = 0;
  std::int64_t files = -1;  // -1: without a limit of its own
};
FreeSpace free_space_of(const std::filesystem::path& path);

/// Makes a file in `folder` and takes every right of others away: whether that is what the file then says.
bool can_keep_to_owner(const std::filesystem::path& folder);

/// A try to lock a folder as a run locks output.dir; ends with the object.
class LockTrial {
 public:
  LockTrial() = default;
  LockTrial(const LockTrial&) = delete;
  LockTrial& operator=(const LockTrial&) = delete;
  ~LockTrial();

  void take(const std::filesystem::path& folder);
  bool held() const { return held_; }
  /// False where the file system knows no locks.
  bool known() const { return known_; }

 private:
  int descriptor_ = -1;
  bool held_ = false;
  bool known_ = false;
};

}  // namespace lora_dist
