// Saving and resuming a run: step_00000100/ with one HDF5 shard per writing rank and a MANIFEST.json with their digests.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "src/adapter/adapter_tensor.h"
#include "src/comm/communicator.h"

namespace lora_dist {

/// Everything that a run needs to continue to the bit. The buffers are flat, whole, of equal size, and the same on every rank.
struct TrainingState {
  std::vector<float> params;
  std::vector<float> m;             // AdamW's first moment
  std::vector<float> v;             // and its second
  std::int64_t step = 0;            // steps done; names the folder
  std::int64_t optimizer_step = 0;  // AdamW's t (steps that were not skipped)
  std::int64_t epoch = 0;
  std::int64_t position_in_epoch = 0;  // sequences of this epoch already used
  std::uint64_t seed = 0;              // with the step it is the whole random state: the generator is counter-based
  nlohmann::json progress =
      nlohmann::json::object();  // best metric, patience, tokens seen; finite numbers only (JSON has no others)
};

/// The same elements of each of the three buffers, on the host.
struct StateBuffers {
  std::span<const float> params;
  std::span<const float> m;
  std::span<const float> v;
};
StateBuffers buffers_of(const TrainingState& state);

/// What a checkpoint must agree with before it may be resumed.
struct CheckpointIdentity {
  std::string base_model_hash;
  nlohmann::json settings = nlohmann::json::object();  // flat "adapter.r" -> value: all that would alter what was trained
  std::vector<AdapterTensor> tensors;
  std::string program_version;  // recorded, never compared
};

struct SavedCheckpoint {
  std::filesystem::path path;
  std::vector<std::string> warnings;  // old checkpoints that could not be removed
};

/// Collective. Rank r of n writes shard r with its n-th of params, m and v; rank 0 writes the manifest, everything is read back
/// and checked, and the folder appears whole as checkpoints_dir/step_%08d. Then older checkpoints are pruned so that `keep`
/// remain (0 keeps all); nothing that this program did not write is removed, nor any of a later step. On failure every rank
/// throws the same Error(model), the temporary folder is gone and earlier checkpoints are as they were. PendingSave
/// (src/checkpoint/pending_save.h) does the same beside other work.
SavedCheckpoint save_checkpoint(Communicator& comm, const std::filesystem::path& checkpoints_dir,
                                const CheckpointIdentity& identity, const TrainingState& state, std::int64_t keep);

/// Folders named step_NNNNNNNN, newest first, sound or not; empty when `checkpoints_dir` does not exist.
std::vector<std::filesystem::path> find_checkpoints(const std::filesystem::path& checkpoints_dir);

/// Everything that is wrong with a checkpoint, a sentence each; empty when it is sound. Reads all of it. Never throws for bad
/// content.
std::vector<std::string> verify_checkpoint(const std::filesystem::path& checkpoint);

/// Collective, at any number of ranks. The ranks share the hashing; no file reaches HDF5 before its SHA-256 was found right.
/// Throws the same Error on every rank: (model) unsound, other base model or other tensors; (usage) a setting that differs, by
/// name.
TrainingState load_checkpoint(Communicator& comm, const std::filesystem::path& checkpoint, const CheckpointIdentity& identity);

struct SoundCheckpoint {
  std::optional<std::filesystem::path> path;  // none when there is no checkpoint at all
  std::vector<std::string> warnings;          // one for each newer checkpoint that was passed over, with the reason
};

/// Collective. The newest checkpoint whose files all have the digests of its manifest. Throws Error(model) when there are
/// checkpoints but none is sound: starting again in silence would overwrite them.
SoundCheckpoint newest_sound_checkpoint(Communicator& comm, const std::filesystem::path& checkpoints_dir);

}  // namespace lora_dist
