// A temporary folder that a command fills and then commits.
#pragma once

#include <filesystem>

#include "src/comm/agree.h"
#include "src/io/atomic_directory.h"

namespace lora_dist {

/// A folder next to `near`, made by rank 0 and removed unless committed; every rank has its path. Collective.
struct WorkFolder {
  WorkFolder(const std::filesystem::path& near, Communicator& world) : owned(world.rank() == 0) {
    run_together(world, [&] { path = owned ? begin_atomic_directory(near) : std::filesystem::path(); });
    path = broadcast_string(world, path.string(), 0);
  }
  WorkFolder(const WorkFolder&) = delete;
  WorkFolder& operator=(const WorkFolder&) = delete;
  ~WorkFolder() {
    if (std::error_code ignored; owned) {
      std::filesystem::remove_all(path, ignored);
    }
  }

  std::filesystem::path path;
  bool owned;
};

}  // namespace lora_dist
