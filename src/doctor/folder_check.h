// Checks the file system operations that checkpoints need in output.dir.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "src/comm/communicator.h"
#include "src/doctor/finding.h"

namespace lora_dist {

/// One rank's findings in the trial folder that rank 0 made.
struct FolderFacts {
  std::string folder;       // the configured folder
  std::string file_system;  // "ext4", "nfs" ...; "type 0x..." for one that has no name here
  std::string problem;      // the step of a checkpoint that failed, with the system's reason
  bool sees_rank_0 = true;  // its file became visible within some seconds
};

enum class Locking : std::uint8_t { holds, unsupported, without_effect };

/// Rank 0's findings for the job.
struct SpaceFacts {
  std::string folder;
  std::int64_t free_bytes = 0;
  std::int64_t free_files = 0;    // -1: no limit
  std::int64_t needed_bytes = 0;  // of a run with `keep` checkpoints; 0: unknown
  int keep = 3;
  Locking locking = Locking::holds;
  bool owner_only = true;  // a file can be restricted to its owner
};

/// A temporary folder below `folder` or its nearest existing parent. Rank 0 makes and removes it; every rank has its path.
/// Collective. The path is empty on failure, with the reason in `problem` on every rank.
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

/// Collective. Writes, syncs, renames and reads a file in the trial folder, like a checkpoint.
FolderFacts look_at_folder(const std::filesystem::path& folder, const TrialFolder& trial, Communicator& world);

/// Collective; only rank 0's result is valid.
SpaceFacts look_at_space(const std::filesystem::path& folder, const TrialFolder& trial, Communicator& world,
                         std::int64_t needed_bytes, int keep);

std::vector<Finding> judge_folder(const FolderFacts& facts);
std::vector<Finding> judge_space(const SpaceFacts& facts);

}  // namespace lora_dist
