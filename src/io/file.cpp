// Plain files over POSIX calls: positioned reads, checked writes, fsync.
#include "src/io/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

#include "src/core/activity.h"
#include "src/core/memory_report.h"

namespace lora_dist {
namespace {

[[noreturn]] void fail(ExitCode code, const std::string& act, const std::filesystem::path& path, int error_number) {
  throw Error(exit_code_of(error_number, code), system_error_text(act, path, error_number));
}

/// Some file systems and special files do not support fsync (EINVAL, ENOTSUP); the error is ignored there.
bool synced(int descriptor) { return ::fsync(descriptor) == 0 || errno == EINVAL || errno == ENOTSUP; }

std::filesystem::path folder_of(const std::filesystem::path& path) { return path.has_parent_path() ? path.parent_path() : "."; }

bool is_full_disk(int error_number) { return error_number == ENOSPC || error_number == EDQUOT; }

/// " (0 B of 8.00 KiB are free)" of the file system of `path`, whether it exists or not; empty where the system does not say.
std::string room_at(const std::filesystem::path& path) {
  struct statvfs found {};
  if (::statvfs(path.c_str(), &found) != 0 && ::statvfs(folder_of(path).c_str(), &found) != 0) {
    return {};
  }
  if (found.f_files > 0 && found.f_favail == 0) {
    return " (it can hold no more files)";
  }
  const auto bytes = [&](fsblkcnt_t blocks) { return human_bytes(static_cast<std::int64_t>(blocks * found.f_frsize)); };
  return " (" + bytes(found.f_bavail) + " of " + bytes(found.f_blocks) + " are free)";
}

}  // namespace

std::string system_error_text(const std::string& act, const std::filesystem::path& path, int error_number) {
  std::string text = "cannot " + act + " " + path.string() + ": " + std::strerror(error_number);
  if (is_full_disk(error_number)) {
    text += "; free some space on that file system" + (error_number == ENOSPC ? room_at(path) : "") +
            ", or choose a folder on another one";
  }
  return text;
}

ExitCode exit_code_of(int error_number, ExitCode otherwise) { return is_full_disk(error_number) ? ExitCode::model : otherwise; }

InputFile::InputFile(const std::filesystem::path& path, ExitCode code) : path_(path), code_(code) {
  descriptor_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);  // O_NONBLOCK: a FIFO must not hang the job
  if (descriptor_ < 0) {
    fail(code, "open", path, errno);
  }
  struct stat status {};
  const int error_number = ::fstat(descriptor_, &status) == 0 ? 0 : errno;
  if (error_number != 0 || !S_ISREG(status.st_mode)) {
    ::close(descriptor_);
    if (error_number != 0) {
      fail(code, "read", path, error_number);
    }
    throw Error(code,
                "cannot read " + path.string() + ": it is " + (S_ISDIR(status.st_mode) ? "a folder" : "not a regular file"));
  }
  size_ = static_cast<std::uint64_t>(status.st_size);
}

InputFile::InputFile(InputFile&& other) noexcept
    : path_(std::move(other.path_)), code_(other.code_), descriptor_(std::exchange(other.descriptor_, -1)), size_(other.size_) {}

InputFile& InputFile::operator=(InputFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(code_, other.code_);
  std::swap(descriptor_, other.descriptor_);
  std::swap(size_, other.size_);
  return *this;
}

InputFile::~InputFile() {
  if (descriptor_ >= 0) {
    ::close(descriptor_);
  }
}

void InputFile::read_at(std::uint64_t offset, std::span<std::byte> out) const {
  heartbeat();
  constexpr std::size_t kMaxRead = std::size_t{1} << 30;  // Linux reads at most 2 GiB at once
  std::size_t done = 0;
  while (done < out.size()) {
    const std::size_t wanted = std::min(out.size() - done, kMaxRead);
    const ssize_t got = ::pread(descriptor_, out.data() + done, wanted, static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR) {
      continue;
    }
    if (got < 0) {
      fail(code_, "read", path_, errno);
    }
    if (got == 0) {
      throw Error(code_, path_.string() + " ends at byte " + std::to_string(offset + done) + ", expected at least " +
                             std::to_string(offset + out.size()) + "; the file is truncated: copy or download it again");
    }
    done += static_cast<std::size_t>(got);
  }
}

OutputFile::OutputFile(const std::filesystem::path& path, ExitCode code) : path_(path), code_(code) {
  descriptor_ = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (descriptor_ < 0) {
    fail(code, "create", path, errno);
  }
}

OutputFile::~OutputFile() {
  if (descriptor_ < 0) {
    return;
  }
  struct stat status {};
  if (::fstat(descriptor_, &status) == 0 && S_ISREG(status.st_mode)) {
    ::unlink(path_.c_str());
  }
  ::close(descriptor_);
}

void OutputFile::write(std::span<const std::byte> bytes) {
  heartbeat();
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t put = ::write(descriptor_, bytes.data() + done, bytes.size() - done);
    if (put < 0 && errno == EINTR) {
      continue;
    }
    if (put < 0) {
      fail(code_, "write", path_, errno);
    }
    done += static_cast<std::size_t>(put);
  }
}

void OutputFile::write(std::string_view text) { write(std::as_bytes(std::span(text.data(), text.size()))); }

void OutputFile::close() {
  if (!synced(descriptor_)) {
    fail(code_, "write", path_, errno);
  }
  if (::close(std::exchange(descriptor_, -1)) != 0) {
    const int error_number = errno;
    ::unlink(path_.c_str());
    fail(code_, "write", path_, error_number);
  }
}

void sync_to_disk(const std::filesystem::path& path, ExitCode code) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) {
    fail(code, "open", path, errno);
  }
  const bool ok = synced(descriptor);
  const int error_number = errno;
  ::close(descriptor);
  if (!ok) {
    fail(code, "write", path, error_number);
  }
}

std::string read_text_file(const std::filesystem::path& path, ExitCode code) {
  const InputFile file(path, code);
  std::string text(static_cast<std::size_t>(file.size()), '\0');
  file.read_at(0, std::as_writable_bytes(std::span(text)));
  return text;
}

void write_file_atomically(const std::filesystem::path& path, std::string_view content, ExitCode code) {
  const std::filesystem::path temporary = folder_of(path) / (".tmp-" + path.filename().string());
  OutputFile file(temporary, code);
  file.write(content);
  file.close();
  if (::rename(temporary.c_str(), path.c_str()) != 0) {
    const int error_number = errno;
    ::unlink(temporary.c_str());
    fail(code, "write", path, error_number);
  }
  sync_to_disk(folder_of(path), code);
}

void make_output_directory(const std::filesystem::path& dir, const std::string& key) {
  const auto refuse = [&](const std::string& reason, int error_number) {
    throw Error(exit_code_of(error_number, ExitCode::usage), "cannot use the folder " + dir.string() + " (" + key + "): " +
                                                                 reason + "; set " + key + " to a folder that you may write to");
  };
  std::error_code problem;
  std::filesystem::create_directories(dir, problem);
  if (problem) {
    refuse(problem.message(), problem.value());
  }
  if (::access(dir.c_str(), W_OK | X_OK) != 0) {
    refuse(std::strerror(errno), errno);
  }
}

}  // namespace lora_dist
