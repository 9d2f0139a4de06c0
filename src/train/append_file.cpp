// Appending to a file with the system's own calls.
#include "src/train/append_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <utility>

#include "src/core/error.h"
#include "src/io/file.h"

namespace lora_dist {

namespace {

[[noreturn]] void fail(const char* act, const std::filesystem::path& path, int error_number) {
  throw Error(ExitCode::usage, system_error_text(act, path, error_number) + " (output.dir says where it is)");
}

}  // namespace

AppendFile::AppendFile(std::filesystem::path path) : path_(std::move(path)) {
  descriptor_ = open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (descriptor_ < 0) {
    fail("append to", path_, errno);
  }
}

AppendFile::~AppendFile() { close(descriptor_); }

void AppendFile::append(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = write(descriptor_, bytes.data(), bytes.size());
    if (written < 0 && errno != EINTR) {
      fail("write", path_, errno);
    }
    bytes.remove_prefix(written > 0 ? static_cast<std::size_t>(written) : 0);
  }
}

void AppendFile::sync() {
  // A pipe or a device has nothing to wait for.
  if (fsync(descriptor_) != 0 && errno != EINVAL) {
    fail("write", path_, errno);
  }
}

}  // namespace lora_dist
