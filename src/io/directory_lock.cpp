// flock() on the folder itself: no lock file remains, and the kernel releases the lock when the process dies.
#include "src/io/directory_lock.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>

#include "src/core/error.h"
#include "src/io/file.h"

namespace lora_dist {

DirectoryLock::DirectoryLock(const std::filesystem::path& folder, const std::string& key) {
  descriptor_ = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor_ < 0) {
    throw Error(ExitCode::usage, system_error_text("open", folder, errno) + fmt::format(" ({} says where it is)", key));
  }
  if (::flock(descriptor_, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
    ::close(descriptor_);
    throw Error(ExitCode::usage, fmt::format("{}: another job is writing to this folder; wait for its end, or choose another {}",
                                             folder.string(), key));
  }
}

DirectoryLock::~DirectoryLock() { ::close(descriptor_); }

}  // namespace lora_dist
