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

/// The complete state from which a run resumes bit for bit. The buffers are flat, unsharded, of equal size (or, of some
/// methods, empty), and identical on every rank.
struct TrainingState {
  std::vector<float> params;
  std::vector<float> m;            // AdamW's first moments
  std::vector<float> v;            // AdamW's second moments
  std::vector<float> sensitivity;  // of AdaLoRA, as is `uncertainty`; empty: the method has none
  std::vector<float> uncertainty;
  std::vector<float> initial;       // the initial params, if what was trained is relative to them (PiSSA, OLoRA); else empty
  std::int64_t step = 0;            // completed steps; part of the folder's name
  std::int64_t optimizer_step = 0;  // AdamW's t (steps without skipped ones)
  std::int64_t epoch = 0;
  std::int64_t position_in_epoch = 0;  // sequences of this epoch already trained
  std::uint64_t seed = 0;              // seed and step are the whole random state: the generator is counter-based
  nlohmann::json progress =
      nlohmann::json::object();  // best metric, patience, trained tokens; finite numbers only (a limit of JSON)
};

/// The same range of each of the buffers, on the host.
struct StateBuffers {
  std::span<const float> params;
  std::span<const float> m;
  std::span<const float> v;
  std::span<const float> sensitivity = {};  // these three may be empty
  std::span<const float> uncertainty = {};
  std::span<const float> initial = {};
};
StateBuffers buffers_of(const TrainingState& state);

/// The identity of a run: a checkpoint must match it to be resumed.
struct CheckpointIdentity {
  std::string base_model_hash;
  nlohmann::json settings = nlohmann::json::object();  // flat "adapter.r" -> value: all that would alter what was trained
  std::vector<AdapterTensor> tensors;
  std::string program_version;  // recorded, not compared
};

struct SavedCheckpoint {
  std::filesystem::path path;
  std::vector<std::string> warnings;  // old checkpoints that could not be removed
};

/// Collective. Rank r of n writes shard r with its n-th of params, m and v; rank 0 writes the manifest, all files are read back
/// and verified, and the folder is renamed to checkpoints_dir/step_%08d. Then older checkpoints are pruned so that `keep` remain
/// (0 keeps all); foreign files and checkpoints of later steps are never removed. On failure every rank throws the same
/// Error(model), the temporary folder is removed and earlier checkpoints are unchanged. PendingSave
/// (src/checkpoint/pending_save.h) does the same in the background.
SavedCheckpoint save_checkpoint(Communicator& comm, const std::filesystem::path& checkpoints_dir,
                                const CheckpointIdentity& identity, const TrainingState& state, std::int64_t keep);

/// Folders named step_NNNNNNNN, newest first, valid or not; empty if `checkpoints_dir` does not exist.
std::vector<std::filesystem::path> find_checkpoints(const std::filesystem::path& checkpoints_dir);

/// All defects of a checkpoint, one sentence each; empty if it is valid. Reads all files. Does not throw for damaged content.
std::vector<std::string> verify_checkpoint(const std::filesystem::path& checkpoint);

/// Collective, on any number of ranks, which share the hashing; HDF5 opens a file only after its SHA-256 is verified. Throws the
/// same Error on every rank: (model) a damaged checkpoint, another base model or other tensors; (usage) the name of a setting
/// that differs.
TrainingState load_checkpoint(Communicator& comm, const std::filesystem::path& checkpoint, const CheckpointIdentity& identity);

struct SoundCheckpoint {
  std::optional<std::filesystem::path> path;  // nullopt if there is no checkpoint
  std::vector<std::string> warnings;          // one per newer checkpoint that was skipped, with the reason
};

/// Collective. The newest checkpoint whose files match the digests of its manifest. Throws Error(model) if checkpoints exist but
/// none is valid: a silent restart would overwrite them.
SoundCheckpoint newest_sound_checkpoint(Communicator& comm, const std::filesystem::path& checkpoints_dir);

}  // namespace lora_dist
