// An anonymous file of one rank, mapped by all.
#include "src/comm/node_memory.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <system_error>

#include "src/comm/agree.h"
#include "src/core/error.h"
#include "src/core/memory_report.h"

namespace lora_dist {

namespace {

/// A file descriptor, closed at the end.
struct Descriptor {
  int number = -1;
  Descriptor() = default;
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (number >= 0) {
      close(number);
    }
  }
};

[[noreturn]] void out_of_memory(std::size_t bytes, int problem) {
  throw Error(
      ExitCode::out_of_memory,
      fmt::format("out of memory: asked for {} that the ranks of a node share ({})\nUse more nodes or a smaller base, or set "
                  "parallel.base_shards = \"all\".",
                  human_bytes(static_cast<std::int64_t>(bytes)), std::system_category().message(problem)));
}

void create(Descriptor& file, std::size_t bytes) {
  file.number = memfd_create("lora_dist base", MFD_CLOEXEC);
  if (file.number < 0 || ftruncate(file.number, static_cast<off_t>(bytes)) != 0) {
    out_of_memory(bytes, errno);
  }
}

void open_of(Descriptor& file, const std::string& path) {
  file.number = open(path.c_str(), O_RDWR | O_CLOEXEC);
  if (file.number < 0) {
    throw Error(
        ExitCode::communication,
        fmt::format("the memory of another rank of this node is out of reach ({}: {}): its process is in another container; "
                    "start all ranks of a node in one, or set parallel.base_shards = \"all\"",
                    path, std::system_category().message(errno)));
  }
}

std::span<std::byte> map(const Descriptor& file, std::size_t bytes) {
  void* there = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file.number, 0);
  if (there == MAP_FAILED) {
    out_of_memory(bytes, errno);
  }
  return {static_cast<std::byte*>(there), bytes};
}

}  // namespace

NodeMemory::~NodeMemory() { munmap(bytes_.data(), bytes_.size()); }

std::shared_ptr<NodeMemory> share_node_memory(Communicator& group, Communicator& world, std::size_t bytes) {
  Descriptor file;
  std::string path;
  run_together(world, [&] {
    if (group.rank() == 0) {
      create(file, bytes);
      path = fmt::format("/proc/{}/fd/{}", getpid(), file.number);
    }
  });
  path = broadcast_string(group, path, 0);
  std::shared_ptr<NodeMemory> memory;
  run_together(world, [&] {
    if (group.rank() != 0) {
      open_of(file, path);
    }
    memory = std::make_shared<NodeMemory>(map(file, bytes));
  });
  return memory;
}

}  // namespace lora_dist
