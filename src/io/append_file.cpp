// Appends to a file by system calls.
#include "src/io/append_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <utility>

#include "src/core/error.h"
#include "src/io/file.h"

namespace lora_dist {

void AppendFile::fail(const char* act, int error_number) const {
  throw Error(exit_code_of(error_number, ExitCode::usage),
              system_error_text(act, path_, error_number) + " (" + named_by_ + " says where it is)");
}

AppendFile::AppendFile(std::filesystem::path path, std::string named_by)
    : path_(std::move(path)), named_by_(std::move(named_by)) {
  descriptor_ = open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (descriptor_ < 0) {
    fail("append to", errno);
  }
}

AppendFile::~AppendFile() { close(descriptor_); }

void AppendFile::append(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = write(descriptor_, bytes.data(), bytes.size());
    if (written < 0 && errno != EINTR) {
      fail("write", errno);
    }
    bytes.remove_prefix(written > 0 ? static_cast<std::size_t>(written) : 0);
  }
}

void AppendFile::sync() {
  // A pipe or a device does not support fsync.
  if (fsync(descriptor_) != 0 && errno != EINVAL) {
    fail("write", errno);
  }
}

}  // namespace lora_dist
