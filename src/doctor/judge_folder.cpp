// Verdicts on the file system of output.dir.
#include <fmt/format.h>

#include "src/core/memory_report.h"
#include "src/doctor/folder_check.h"

namespace lora_dist {

namespace {

constexpr std::int64_t kLittle = std::int64_t{1} << 30;  // the limit if a run's size is unknown
constexpr std::int64_t kFewFiles = 1000;

Finding judge_free_space(const SpaceFacts& facts) {
  constexpr const char* kCheck = "space";
  const std::string free = fmt::format("{} free in {}", human_bytes(facts.free_bytes), facts.folder);
  const std::string fix = "free some, choose another output.dir, or lower checkpoint.keep";
  if (facts.free_files >= 0 && facts.free_files < kFewFiles) {
    return warning(kCheck, fmt::format("{}, but only {} more files", free, facts.free_files),
                   "remove files, or ask for a larger quota");
  }
  if (facts.needed_bytes == 0) {
    return facts.free_bytes < kLittle ? warning(kCheck, free, fix) : ok(kCheck, free);
  }
  const std::string both = fmt::format("{}; {} checkpoints, one in the making and the adapters take {}", free, facts.keep,
                                       human_bytes(facts.needed_bytes));
  if (facts.free_bytes < facts.needed_bytes) {
    return broken(kCheck, both, fix);
  }
  return facts.free_bytes < 2 * facts.needed_bytes ? warning(kCheck, both, fix) : ok(kCheck, both);
}

Finding judge_locking(const SpaceFacts& facts) {
  constexpr const char* kCheck = "locking";
  const std::string fix = "give each job an output.dir of its own; NFS and Lustre know a mount option for locks (Lustre: flock)";
  switch (facts.locking) {
    case Locking::unsupported:
      return warning(kCheck, "the file system knows no locks: two jobs in one output.dir would not notice each other", fix);
    case Locking::without_effect:
      return warning(kCheck,
                     "a lock that rank 0 holds does not hold others off: two jobs in one output.dir would not notice each other",
                     fix);
    case Locking::holds:
      break;
  }
  return ok(kCheck, "a second job in the same output.dir is refused");
}

Finding judge_privacy(const SpaceFacts& facts) {
  constexpr const char* kCheck = "permissions";
  if (facts.owner_only) {
    return ok(kCheck, "files can be kept to their owner");
  }
  return warning(
      kCheck,
      fmt::format("{} cannot keep a file to its owner: adapters and tokens of your data are readable by others", facts.folder),
      "choose an output.dir on a file system with Unix permissions where data are confidential");
}

}  // namespace

std::vector<Finding> judge_folder(const FolderFacts& facts) {
  constexpr const char* kCheck = "output.dir";
  if (!facts.sees_rank_0) {
    return {broken(kCheck, fmt::format("what rank 0 writes to {} is not to be seen here", facts.folder),
                   "every machine must see output.dir under the same path: choose one on the cluster's shared file system")};
  }
  if (!facts.problem.empty()) {
    return {broken(kCheck, facts.problem, "output.dir must be writable, with fsync and rename: choose another one")};
  }
  const std::string done = fmt::format("{} ({}): written, synced, renamed, read back", facts.folder, facts.file_system);
  if (facts.file_system == "tmpfs" || facts.file_system == "overlay") {
    return {warning(kCheck, done,
                    fmt::format("a {} vanishes with {}: keep results elsewhere", facts.file_system,
                                facts.file_system == "tmpfs" ? "the machine's next start" : "the container"))};
  }
  return {ok(kCheck, done)};
}

std::vector<Finding> judge_space(const SpaceFacts& facts) {
  return {of_job(judge_free_space(facts)), of_job(judge_locking(facts)), of_job(judge_privacy(facts))};
}

}  // namespace lora_dist
