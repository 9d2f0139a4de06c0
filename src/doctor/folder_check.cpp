// Probes a trial folder with a run's operations on output.dir.
#include "src/doctor/folder_check.h"

#include <fmt/format.h>

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <thread>

#include "src/core/error_of.h"
#include "src/doctor/file_system.h"
#include "src/io/file.h"

namespace lora_dist {

namespace {

namespace fs = std::filesystem;

constexpr const char* kOf = "rank_0";
constexpr std::chrono::seconds kPatience(10);  // until a file is visible on another machine

/// The steps of a checkpoint: a file under another name, synced, renamed, its folder synced, read back.
std::string try_as_checkpoint(const fs::path& folder, int rank) {
  const std::string text = fmt::format("rank {}", rank);
  std::string problem;
  const std::optional<Error> error = error_of([&] {
    const fs::path file = folder / fmt::format("rank_{}", rank);
    write_file_atomically(file, text, ExitCode::usage);
    write_file_atomically(file, text, ExitCode::usage);  // over an existing file
    if (read_text_file(file, ExitCode::usage) != text) {
      problem = fmt::format("{} does not read back as it was written", file.string());
    }
  });
  return error ? error->what() : problem;
}

/// Another machine may see the file some seconds later.
bool comes_to_be_seen(const fs::path& file) {
  const auto end = std::chrono::steady_clock::now() + kPatience;
  while (std::chrono::steady_clock::now() < end) {
    if (std::ifstream in(file); in) {
      return true;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
  }
  return false;
}

/// Rank 0 locks the folder like a run; then another rank tries (with one rank, rank 0 by a second descriptor).
Locking try_lock(const fs::path& folder, Communicator& world) {
  const bool mine = world.rank() == 0;
  LockTrial first;
  if (mine) {
    first.take(folder);
  }
  world.barrier();
  LockTrial second;
  if (world.rank() == world.size() - 1) {  // the last rank, probably on another machine
    second.take(folder);
  }
  std::array<std::int64_t, 2> seen = {mine && first.known() ? 1 : 0, second.held() ? 1 : 0};
  world.all_reduce(seen, Reduce::max, WireKind::control);
  return seen[0] == 0 ? Locking::unsupported : seen[1] == 1 ? Locking::without_effect : Locking::holds;
}

}  // namespace

TrialFolder::TrialFolder(const fs::path& folder, Communicator& world) : owned_(world.rank() == 0) {
  std::string made;
  if (owned_) {
    std::string name = (nearest_folder(folder) / ".lora_dist_doctor_XXXXXX").string();
    const bool done = ::mkdtemp(name.data()) != nullptr;
    const int reason = errno;
    made = done ? name : "";
    problem_ = done ? "" : system_error_text("make a folder in", nearest_folder(folder), reason);
  }
  path_ = broadcast_string(world, made, 0);
  problem_ = broadcast_string(world, problem_, 0);
}

TrialFolder::~TrialFolder() {
  if (std::error_code ignored; owned_ && !path_.empty()) {
    fs::remove_all(path_, ignored);
  }
}

FolderFacts look_at_folder(const fs::path& folder, const TrialFolder& trial, Communicator& world) {
  FolderFacts facts;
  facts.folder = folder.string();
  facts.problem = trial.problem();
  if (trial.path().empty()) {
    return facts;
  }
  if (world.rank() == 0) {
    facts.problem = try_as_checkpoint(trial.path(), 0);
    std::ofstream(trial.path() / kOf) << "here";
  }
  world.barrier();
  facts.sees_rank_0 = comes_to_be_seen(trial.path() / kOf);
  if (facts.sees_rank_0) {
    facts.file_system = file_system_of(trial.path());
    if (world.rank() > 0) {
      facts.problem = try_as_checkpoint(trial.path(), world.rank());
    }
  }
  world.barrier();
  return facts;
}

SpaceFacts look_at_space(const fs::path& folder, const TrialFolder& trial, Communicator& world, std::int64_t needed_bytes,
                         int keep) {
  SpaceFacts facts;
  facts.folder = folder.string();
  facts.needed_bytes = needed_bytes;
  facts.keep = keep;
  if (trial.path().empty()) {
    return facts;
  }
  facts.locking = try_lock(trial.path(), world);
  if (world.rank() == 0) {
    const FreeSpace space = free_space_of(trial.path());
    facts.free_bytes = space.bytes;
    facts.free_files = space.files;
    facts.owner_only = can_keep_to_owner(trial.path());
  }
  world.barrier();
  return facts;
}

}  // namespace lora_dist
