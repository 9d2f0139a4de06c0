// statfs, statvfs, flock.
#include "src/doctor/file_system.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string_view>

namespace lora_dist {

namespace {

namespace fs = std::filesystem;

struct NamedType {
  std::uint32_t type;
  std::string_view name;
};
// Of linux/magic.h; those of clusters from their own headers.
constexpr std::array<NamedType, 14> kTypes = {{{0xEF53, "ext4"},
                                               {0x58465342, "xfs"},
                                               {0x9123683E, "btrfs"},
                                               {0x2FC12FC1, "zfs"},
                                               {0x01021994, "tmpfs"},
                                               {0x794C7630, "overlay"},
                                               {0x6969, "nfs"},
                                               {0xFF534D42, "cifs"},
                                               {0xFE534D42, "smb"},
                                               {0x65735546, "fuse"},
                                               {0x0BD00BD0, "lustre"},
                                               {0x47504653, "gpfs"},
                                               {0x19830326, "beegfs"},
                                               {0x00C36400, "ceph"}}};

}  // namespace

fs::path nearest_folder(const fs::path& path) {
  std::error_code ignored;
  fs::path folder = fs::absolute(path, ignored);
  while (!fs::is_directory(folder, ignored) && folder.has_relative_path()) {
    folder = folder.parent_path();
  }
  return folder;
}

std::string file_system_of(const fs::path& path) {
  struct statfs found {};
  if (::statfs(path.c_str(), &found) != 0) {
    return "unknown";
  }
  const auto type = static_cast<std::uint32_t>(found.f_type);
  for (const NamedType& named : kTypes) {
    if (named.type == type) {
      return std::string(named.name);
    }
  }
  return fmt::format("type {:#x}", type);
}

FreeSpace free_space_of(const fs::path& path) {
  struct statvfs found {};
  FreeSpace space;
  if (::statvfs(path.c_str(), &found) == 0) {
    space.bytes = static_cast<std::int64_t>(found.f_bavail) * static_cast<std::int64_t>(found.f_frsize);
    space.files = found.f_files > 0 ? static_cast<std::int64_t>(found.f_favail) : -1;
  }
  return space;
}

bool can_keep_to_owner(const fs::path& folder) {
  const fs::path file = folder / "owner_only";
  const int descriptor = ::open(file.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  struct stat found {};
  const bool kept =
      descriptor >= 0 && ::fchmod(descriptor, 0600) == 0 && ::stat(file.c_str(), &found) == 0 && (found.st_mode & 0777) == 0600;
  if (descriptor >= 0) {
    ::close(descriptor);
  }
  return kept;
}

LockTrial::~LockTrial() {
  if (descriptor_ >= 0) {
    ::close(descriptor_);
  }
}

void LockTrial::take(const fs::path& folder) {
  descriptor_ = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  held_ = descriptor_ >= 0 && ::flock(descriptor_, LOCK_EX | LOCK_NB) == 0;
  known_ = held_ || errno == EWOULDBLOCK;
}

}  // namespace lora_dist
