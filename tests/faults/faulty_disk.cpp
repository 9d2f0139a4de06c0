// Disk faults: replaces the C library's system calls (also HDF5's) in the executable that links this file. POINT is part of a
// file's path; the PASSING-th write to such a file and TIMES in all
//   short_write  writes half, and says so, as a system may at any time
//   lost_write   writes half, and says that it wrote all
//   flip         has one bit changed on the way
//   enospc, eio  fails, as on a full or a broken disk
// and sync_eio lets fsync() fail. flip and lost_write ignore writes of less than 4 KiB, so that they damage content and not
// unused space.
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <optional>
#include <string>
#include <vector>

#include "tests/faults/faults.h"

namespace lora_dist {

namespace {

constexpr std::size_t kLarge = 4096;

/// "/.../shard_00001.h5", "socket:[123]"; empty if unknown.
std::string path_of(int descriptor) {
  std::array<char, 4096> path{};
  const std::string link = "/proc/self/fd/" + std::to_string(descriptor);
  const ssize_t length = ::readlink(link.c_str(), path.data(), path.size());
  return length > 0 ? std::string(path.data(), static_cast<std::size_t>(length)) : std::string();
}

std::optional<Fault> fault_of(int descriptor, bool syncs, std::size_t bytes) {
  static const bool asked = std::getenv("LORA_DIST_FAULT") != nullptr;
  if (!asked) {
    return std::nullopt;
  }
  const std::string path = path_of(descriptor);
  return fault_that_befalls([&](const Fault& fault) {
    const bool spoils = fault.kind == "flip" || fault.kind == "lost_write";
    return is_of_disk(fault) && syncs == (fault.kind == "sync_eio") && (!spoils || bytes >= kLarge) &&
           path.find(fault.point) != std::string::npos;
  });
}

ssize_t fails_with(int error) {
  errno = error;
  return -1;
}

/// `put(data, bytes)` is the real call.
template <class Put>
ssize_t write_to(int descriptor, const void* data, std::size_t bytes, Put put) {
  const std::optional<Fault> fault = fault_of(descriptor, false, bytes);
  if (!fault) {
    return put(data, bytes);
  }
  if (fault->kind == "enospc" || fault->kind == "eio") {
    return fails_with(fault->kind == "eio" ? EIO : ENOSPC);
  }
  if (fault->kind == "short_write") {
    return put(data, bytes > 1 ? bytes / 2 : bytes);
  }
  if (fault->kind == "lost_write") {
    return put(data, bytes / 2) < 0 ? -1 : static_cast<ssize_t>(bytes);
  }
  const auto* from = static_cast<const char*>(data);
  std::vector<char> flipped(from, from + bytes);
  flipped[bytes / 2] = static_cast<char>(flipped[bytes / 2] ^ 1);
  return put(flipped.data(), bytes);
}

ssize_t write_at(int descriptor, const void* data, std::size_t bytes, off_t offset) {
  return write_to(descriptor, data, bytes, [&](const void* from, std::size_t count) {
    return static_cast<ssize_t>(::syscall(SYS_pwrite64, descriptor, from, count, offset));
  });
}

}  // namespace

}  // namespace lora_dist

extern "C" {

ssize_t write(int descriptor, const void* data, size_t bytes) {
  return lora_dist::write_to(descriptor, data, bytes, [&](const void* from, std::size_t count) {
    return static_cast<ssize_t>(::syscall(SYS_write, descriptor, from, count));
  });
}

ssize_t pwrite(int descriptor, const void* data, size_t bytes, off_t offset) {
  return lora_dist::write_at(descriptor, data, bytes, offset);
}

ssize_t pwrite64(int descriptor, const void* data, size_t bytes, off64_t offset) {
  return lora_dist::write_at(descriptor, data, bytes, offset);
}

int fsync(int descriptor) {
  if (lora_dist::fault_of(descriptor, true, 0)) {
    return static_cast<int>(lora_dist::fails_with(EIO));
  }
  return static_cast<int>(::syscall(SYS_fsync, descriptor));
}
}
