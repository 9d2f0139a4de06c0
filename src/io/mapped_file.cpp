// mmap(2); the mapping outlives its descriptor.
#include "src/io/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "src/io/file.h"

namespace lora_dist {
namespace {

/// The file's size; -1 with errno if it is not a regular file.
off_t size_of(int descriptor) {
  struct stat status {};
  if (::fstat(descriptor, &status) != 0) {
    return -1;
  }
  errno = S_ISDIR(status.st_mode) ? EISDIR : EINVAL;
  return S_ISREG(status.st_mode) ? status.st_size : -1;
}

}  // namespace

MappedFile::MappedFile(const std::filesystem::path& path, ExitCode code) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);  // O_NONBLOCK: a FIFO must not hang the job
  if (descriptor < 0) {
    throw Error(code, system_error_text("open", path, errno));
  }
  const off_t size = size_of(descriptor);
  void* start = MAP_FAILED;
  if (size > 0) {
    start = ::mmap(nullptr, static_cast<std::size_t>(size), PROT_READ, MAP_SHARED, descriptor, 0);
  }
  const int error_number = errno;
  ::close(descriptor);
  if (size < 0 || (size > 0 && start == MAP_FAILED)) {
    throw Error(code, system_error_text("read", path, error_number));
  }
  if (size > 0) {  // an empty file cannot be mapped
    bytes_ = {static_cast<const std::byte*>(start), static_cast<std::size_t>(size)};
  }
}

MappedFile::MappedFile(MappedFile&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(bytes_, other.bytes_);
  return *this;
}

MappedFile::~MappedFile() {
  if (!bytes_.empty()) {
    ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
  }
}

}  // namespace lora_dist
