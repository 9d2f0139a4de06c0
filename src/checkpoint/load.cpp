// Verifying and resuming: digests first, identity second, content last.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "src/checkpoint/checkpoint.h"
#include "src/checkpoint/content.h"
#include "src/checkpoint/manifest.h"
#include "src/comm/agree.h"
#include "src/core/error.h"

namespace lora_dist {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr const char* kStartAnew = "set checkpoint.resume = \"never\" or another output.dir to start anew";

/// The text as the manifest stores it: valid UTF-8.
json as_stored(const json& settings) { return json::parse(settings.dump(-1, ' ', false, json::error_handler_t::replace)); }

std::string setting_text(const json& settings, const std::string& key) {
  const auto found = settings.find(key);
  if (found == settings.end()) {
    return "not set";
  }
  return found->is_string() ? found->get<std::string>() : found->dump();  // strings are TOML text
}

void check_settings(const fs::path& checkpoint, const json& saved, const json& wanted) {
  std::set<std::string> keys;
  for (const json* settings : {&saved, &wanted}) {
    for (const auto& [key, value] : settings->items()) {
      keys.insert(key);
    }
  }
  for (const std::string& key : keys) {
    if (!saved.contains(key) || !wanted.contains(key) || saved[key] != wanted[key]) {
      throw Error(ExitCode::usage,
                  fmt::format("{} was trained with {} = {}, and now it is {}; change it back to go on, or {}",
                              checkpoint.string(), key, setting_text(saved, key), setting_text(wanted, key), kStartAnew));
    }
  }
}

std::string shape_text(const AdapterTensor& tensor) { return tensor.name + " " + json(tensor.shape).dump(); }

void check_identity(const fs::path& checkpoint, const CheckpointIdentity& saved, const CheckpointIdentity& wanted) {
  if (saved.base_model_hash != wanted.base_model_hash) {
    throw Error(ExitCode::model,
                fmt::format("{} belongs to another base model: its SHA-256 is {}, and that of model.path is {}; give the model "
                            "that it was trained on, or {}",
                            checkpoint.string(), saved.base_model_hash, wanted.base_model_hash, kStartAnew));
  }
  check_settings(checkpoint, saved.settings, as_stored(wanted.settings));
  const auto [here, there] = std::ranges::mismatch(saved.tensors, wanted.tensors);
  if (here != saved.tensors.end() || there != wanted.tensors.end()) {
    throw Error(ExitCode::model,
                fmt::format("{} holds {} where this run has {}; {}", checkpoint.string(),
                            here == saved.tensors.end() ? "no further tensor" : shape_text(*here),
                            there == wanted.tensors.end() ? "no further tensor" : shape_text(*there), kStartAnew));
  }
}

std::string joined(const std::vector<std::string>& problems) {
  std::string text;
  for (const std::string& problem : problems) {
    text += (text.empty() ? "" : "; ") + problem;
  }
  return text;
}

/// The defects of manifest and files that the ranks find together; the same on every rank.
std::string shared_problems(Communicator& comm, const fs::path& checkpoint) {
  std::string mine;
  try {
    mine = joined(file_problems(checkpoint, read_manifest(checkpoint), comm.rank(), comm.size()));
  } catch (const Error& e) {
    mine = e.what();
  }
  std::vector<std::string> distinct;
  for (std::string& theirs : all_gather_strings(comm, mine)) {
    if (!theirs.empty() && std::ranges::find(distinct, theirs) == distinct.end()) {
      distinct.push_back(std::move(theirs));
    }
  }
  return joined(distinct);
}

[[noreturn]] void refuse_unsound(const fs::path& checkpoint, const std::string& problems) {
  throw Error(
      ExitCode::model,
      fmt::format("the checkpoint {} is not sound: {}; resume from an older one (checkpoint.resume = \"auto\" finds it) or "
                  "restore it from a copy",
                  checkpoint.string(), problems));
}

/// Rank 0's list, so that ranks that read the folder at different times agree.
std::vector<fs::path> agreed_checkpoints(Communicator& comm, const fs::path& checkpoints_dir) {
  std::string list;
  run_together(comm, [&] {
    if (comm.rank() == 0) {
      json names = json::array();
      for (const fs::path& checkpoint : find_checkpoints(checkpoints_dir)) {
        names.push_back(checkpoint.filename().string());
      }
      list = names.dump();
    }
  });
  std::vector<fs::path> checkpoints;
  for (const json& name : json::parse(broadcast_string(comm, list, 0))) {
    checkpoints.push_back(checkpoints_dir / name.get<std::string>());
  }
  return checkpoints;
}

}  // namespace

std::vector<std::string> verify_checkpoint(const fs::path& checkpoint) {
  try {
    const Manifest manifest = read_manifest(checkpoint);
    std::vector<std::string> problems = file_problems(checkpoint, manifest, 0, 1);
    return problems.empty() ? content_problems(checkpoint, manifest, read_content(checkpoint, manifest)) : problems;
  } catch (const Error& e) {
    return {e.what()};
  }
}

TrainingState load_checkpoint(Communicator& comm, const fs::path& checkpoint, const CheckpointIdentity& identity) {
  const std::string problems = shared_problems(comm, checkpoint);
  TrainingState state;
  run_together(comm, [&] {
    if (!problems.empty()) {
      refuse_unsound(checkpoint, problems);
    }
    const Manifest manifest = read_manifest(checkpoint);
    check_identity(checkpoint, manifest.identity, identity);
    state = read_content(checkpoint, manifest);
    if (const std::vector<std::string> wrong = content_problems(checkpoint, manifest, state); !wrong.empty()) {
      refuse_unsound(checkpoint, joined(wrong));
    }
  });
  return state;
}

SoundCheckpoint newest_sound_checkpoint(Communicator& comm, const fs::path& checkpoints_dir) {
  SoundCheckpoint found;
  const std::vector<fs::path> checkpoints = agreed_checkpoints(comm, checkpoints_dir);
  for (const fs::path& checkpoint : checkpoints) {
    const std::string problems = shared_problems(comm, checkpoint);
    if (problems.empty()) {
      found.path = checkpoint;
      return found;
    }
    found.warnings.push_back(fmt::format("passing over the checkpoint {}: {}", checkpoint.string(), problems));
  }
  if (!checkpoints.empty()) {
    throw Error(
        ExitCode::model,
        fmt::format("{} holds {} checkpoint{} and none is sound (newest: {}); restore one from a copy, or move the folder away "
                    "to start anew",
                    checkpoints_dir.string(), checkpoints.size(), checkpoints.size() == 1 ? "" : "s", found.warnings.front()),
        ErrorScope::collective);
  }
  return found;
}

}  // namespace lora_dist
