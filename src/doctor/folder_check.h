// Whether the file system of output.dir does what checkpoints rely on.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "src/comm/communicator.h"
#include "src/doctor/finding.h"

namespace lora_dist {

/// What one rank finds in the trial folder that rank 0 made.
struct FolderFacts {
  std::string folder;       // what was asked about
  std::string file_system;  // "ext4", "nfs" ...; "type 0x..." for one that has no name here
  std::string problem;      // the step of a checkpoint that failed, with the system's reason
  bool sees_rank_0 = true;  // its file is there, within some seconds
};

enum class Locking : std::uint8_t { holds, unknown_to_system, holds_nobody_off };

/// What rank 0 finds for all.
struct SpaceFacts {
  std::string folder;
  std::int64_t free_bytes = 0;
  std::int64_t free_files = 0;    // -1: the file system counts none
  std::int64_t needed_bytes = 0;  // of a run with `keep` checkpoints; 0: not known
  int keep = 3;
  Locking locking = Locking::holds;
  bool owner_only = true;  // a file can be kept from everybody else
};

/// A folder below `folder`, or below the nearest of its parents that is there, for trials. Rank 0 makes and removes it; its path
/// is everybody's. Collective. Empty where it cannot be made, with the reason in `problem` on every rank.
class TrialFolder {
 public:
  TrialFolder(const std::filesystem::path& folder, Communicator& world);
  TrialFolder(const TrialFolder&) = delete;
  TrialFolder& operator=(const TrialFolder&) = delete;
  ~TrialFolder();

  const std::filesystem::path& path() const { return path_; }
  const std::string& problem() const { return problem_; }

 private:
  std::filesystem::path path_;
  std::string problem_;
  bool owned_;
};

/// Collective. Writes, syncs, renames and reads in the trial folder as a checkpoint does.
FolderFacts look_at_folder(const std::filesystem::path& folder, const TrialFolder& trial, Communicator& world);

/// Collective; what rank 0 returns counts.
SpaceFacts look_at_space(const std::filesystem::path& folder, const TrialFolder& trial, Communicator& world,
                         std::int64_t needed_bytes, int keep);

std::vector<Finding> judge_folder(const FolderFacts& facts);
std::vector<Finding> judge_space(const SpaceFacts& facts);

}  // namespace lora_dist
