// A checkpoint that is written while its ranks do other work: threads write, read back, hash and commit; the ranks agree between.
#pragma once

#include <cstdint>
#include <filesystem>
#include <future>
#include <string>
#include <vector>

#include "src/checkpoint/checkpoint.h"
#include "src/checkpoint/matrix_shard.h"

namespace lora_dist {

/// Two stages: every rank's thread writes its shard and reads it back; then rank 0's writes the manifest, commits, and removes
/// older checkpoints. Every collective is in the constructor, proceed() and finish(), for the thread that may call MPI. Whatever
/// fails, in a thread or not, is the same Error on every rank, from one of these: then nothing but earlier checkpoints is left,
/// as save_checkpoint() has it. Destroying a save waits for this rank's thread, and leaves a save that was not finished to the
/// next one to clear away. Nothing else in the process may use HDF5 meanwhile.
class PendingSave {
 public:
  /// Collective; as save_checkpoint(), but of `state` all but the buffers is taken. `elements`: saved_range()
  /// (src/checkpoint/shard.h) of them, which must stay as they are until the save is over. `matrices`: of full fine-tuning; its
  /// buffers must stay until proceed() has returned once.
  PendingSave(Communicator& comm, const std::filesystem::path& checkpoints_dir, const CheckpointIdentity& identity,
              const TrainingState& state, const StateBuffers& elements, std::int64_t keep, const MatrixState& matrices = {});
  PendingSave(const PendingSave&) = delete;
  PendingSave& operator=(const PendingSave&) = delete;
  ~PendingSave();

  /// True if this rank's thread is at work. proceed() does not wait once no rank's is.
  bool is_working() const;
  /// Collective. Ends the stage, waiting where it must, and begins the next one. True when the checkpoint is committed.
  bool proceed();
  /// Collective. Waits until the checkpoint is committed.
  SavedCheckpoint finish();

 private:
  std::string write_and_read_back() const;
  std::vector<std::string> write_manifest_and_commit(const std::vector<std::string>& written) const;
  void end_of_shards();

  Communicator& comm_;
  std::filesystem::path checkpoints_dir_;
  CheckpointIdentity identity_;
  TrainingState state_;  // its buffers are empty
  StateBuffers elements_;
  MatrixState matrices_;
  std::int64_t keep_;
  int rank_;
  int ranks_;
  SavedCheckpoint saved_;
  std::filesystem::path temporary_;
  std::future<std::string> shard_;                // its entry as text; valid in the first stage
  std::future<std::vector<std::string>> commit_;  // warnings; valid on rank 0 in the second
};

}  // namespace lora_dist
