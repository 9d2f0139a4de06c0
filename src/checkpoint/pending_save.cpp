// The way of a checkpoint: shards, read-back, manifest, rename, pruning.
#include "src/checkpoint/pending_save.h"

#include <fmt/format.h>

#include <chrono>
#include <system_error>
#include <utility>

#include "kernels/common/check.h"
#include "src/checkpoint/content.h"
#include "src/checkpoint/folders.h"
#include "src/checkpoint/manifest.h"
#include "src/checkpoint/shard.h"
#include "src/comm/agree.h"
#include "src/core/error.h"
#include "src/core/fault_point.h"
#include "src/io/atomic_directory.h"
#include "src/io/file.h"

namespace lora_dist {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

void require_consistent(const CheckpointIdentity& identity, const StateBuffers& elements, int rank, int ranks) {
  std::int64_t due = 0;
  for (const AdapterTensor& tensor : identity.tensors) {
    std::int64_t count = 1;
    for (const std::int64_t dim : tensor.shape) {
      count *= dim;
    }
    require(tensor.offset == due && tensor.count == count, "save_checkpoint: the tensors do not follow each other");
    due += tensor.count;
  }
  const auto [begin, end] = saved_range(due, rank, ranks);
  const auto held = static_cast<std::size_t>(end - begin);
  for (const NamedBuffer& buffer : named_buffers(elements)) {
    require(buffer.values.size() == held, "save_checkpoint: the buffers must have the elements of all tensors");
  }
}

/// A shard, and what its file holds when it is read back.
struct WrittenShard {
  ShardEntry entry;
  std::string content;
  json matrices = nullptr;  // the entry of the rank's file of matrices, if there are any
};

std::string to_text(const WrittenShard& w) {
  const ShardEntry& e = w.entry;
  return json{e.file, e.begin, e.end, e.bytes, e.sha256, w.content, w.matrices}.dump();
}

WrittenShard from_text(const std::string& text) {
  const json e = json::parse(text);
  return {{e[0].get<std::string>(), e[1].get<std::int64_t>(), e[2].get<std::int64_t>(), e[3].get<std::int64_t>(),
           e[4].get<std::string>()},
          e[5].get<std::string>(),
          e[6]};
}

TrainingState without_buffers(const TrainingState& state) {
  return {
      {}, {}, {}, {}, {}, {}, state.step, state.optimizer_step, state.epoch, state.position_in_epoch, state.seed, state.progress};
}

/// Compares the state that rank 0 wrote with what every rank's file gave back: a bad disk, bad memory, or ranks that drifted
/// apart end the save here.
Manifest manifest_of(const fs::path& temporary, const CheckpointIdentity& identity, const TrainingState& state,
                     const StateBuffers& buffers, const std::vector<SavedMatrix>& matrices,
                     const std::vector<std::string>& written) {
  Manifest manifest;
  manifest.identity = identity;
  manifest.state = state;
  manifest.matrices = matrices;
  for (const std::string& text : written) {
    const WrittenShard shard = from_text(text);
    if (shard.content != content_sha256(elements_of(buffers, {shard.entry.begin, shard.entry.end}))) {
      throw Error(ExitCode::model,
                  (temporary / shard.entry.file).string() +
                      " read back differently from what was to be written; earlier checkpoints are untouched: check the "
                      "file system, the memory of the nodes, and that all ranks hold the same adapter");
    }
    manifest.shards.push_back(shard.entry);
    if (!matrices.empty()) {
      manifest.matrix_shards.push_back(matrix_shard_from_json(shard.matrices, manifest.matrix_shards.size(), matrices));
    }
  }
  digest_content(buffers, manifest);
  return manifest;
}

void write_manifest(const fs::path& temporary, const Manifest& manifest) {
  const std::string text = seal_manifest(manifest_to_json(manifest));
  OutputFile file(temporary / "MANIFEST.json", ExitCode::model);
  file.write(text);
  file.close();
  if (read_text_file(temporary / "MANIFEST.json", ExitCode::model) != text) {
    throw Error(ExitCode::model,
                (temporary / "MANIFEST.json").string() + " read back differently from what was written; check the file system");
  }
}

/// On a thread; where the system has none left, when it is waited for.
template <class Work>
auto beside(Work work) {
  return std::async(std::launch::async | std::launch::deferred, std::move(work));
}

/// Or has no thread to run on: then it is done where it is waited for.
template <class T>
bool is_over(const std::future<T>& work) {
  return !work.valid() || work.wait_for(std::chrono::seconds(0)) != std::future_status::timeout;
}

}  // namespace

PendingSave::PendingSave(Communicator& comm, const fs::path& checkpoints_dir, const CheckpointIdentity& identity,
                         const TrainingState& state, const StateBuffers& elements, std::int64_t keep, const MatrixState& matrices)
    : comm_(comm),
      checkpoints_dir_(checkpoints_dir),
      identity_(identity),
      state_(without_buffers(state)),
      elements_(elements),
      matrices_(matrices),
      keep_(keep),
      rank_(comm.rank()),
      ranks_(comm.size()),
      saved_{checkpoints_dir / checkpoint_name(state.step), {}} {
  require_consistent(identity, elements, rank_, ranks_);
  run_together(comm_, [&] {
    if (rank_ == 0) {
      temporary_ = begin_atomic_directory(saved_.path);
    }
  });
  temporary_ = broadcast_string(comm_, temporary_.string(), 0);
  shard_ = beside([this] { return write_and_read_back(); });
}

PendingSave::~PendingSave() = default;  // a future of std::async waits for its thread

bool PendingSave::is_working() const { return !is_over(shard_) || !is_over(commit_); }

bool PendingSave::proceed() {
  const bool shards_written = !shard_.valid();
  try {
    if (!shards_written) {
      end_of_shards();
      return false;
    }
    run_together(comm_, [&] {
      if (commit_.valid()) {
        saved_.warnings = commit_.get();
      }
    });
  } catch (const Error&) {
    std::error_code ignored;
    if (rank_ == 0) {
      fs::remove_all(temporary_, ignored);
    }
    throw;
  }
  return true;
}

SavedCheckpoint PendingSave::finish() {
  while (!proceed()) {
  }
  return saved_;
}

/// On every rank's thread.
std::string PendingSave::write_and_read_back() const {
  fault_point("shard");
  const std::int64_t count = element_count(identity_.tensors);
  const ShardRange mine = shard_range(count, rank_, ranks_);
  const std::int64_t begin = saved_range(count, rank_, ranks_).begin;
  WrittenShard shard;
  const StateBuffers elements = elements_of(elements_, {mine.begin - begin, mine.end - begin});
  shard.entry = write_shard(temporary_, rank_, mine, elements);
  shard.content = content_sha256(temporary_, shard.entry, elements);
  if (!matrices_.matrices.empty()) {
    shard.matrices = to_json(write_matrix_shard(temporary_, rank_, matrices_));
  }
  return to_text(shard);
}

/// On rank 0's thread.
std::vector<std::string> PendingSave::write_manifest_and_commit(const std::vector<std::string>& written) const {
  write_manifest(temporary_, manifest_of(temporary_, identity_, state_, elements_, matrices_.matrices, written));
  fault_point("commit");
  commit_atomic_directory(temporary_, saved_.path);
  try {
    std::vector<std::string> warnings = prune_checkpoints(checkpoints_dir_, state_.step, keep_);
    remove_leftovers(checkpoints_dir_);
    return warnings;
  } catch (const Error& error) {  // the checkpoint is there
    return {error.what()};
  }
}

void PendingSave::end_of_shards() {
  std::string mine;
  run_together(comm_, [&] { mine = shard_.get(); });
  const std::vector<std::string> written = all_gather_strings(comm_, mine);
  if (rank_ == 0) {
    commit_ = beside([this, written] { return write_manifest_and_commit(written); });
  }
}

SavedCheckpoint save_checkpoint(Communicator& comm, const fs::path& checkpoints_dir, const CheckpointIdentity& identity,
                                const TrainingState& state, std::int64_t keep) {
  const auto count = static_cast<std::int64_t>(state.params.size());
  const StateBuffers whole = buffers_of(state);
  for (const NamedBuffer& buffer : named_buffers(whole)) {
    require(buffer.values.size() == state.params.size(), "save_checkpoint: the buffers must have the elements of all tensors");
  }
  const StateBuffers elements = elements_of(whole, saved_range(count, comm.rank(), comm.size()));
  return PendingSave(comm, checkpoints_dir, identity, state, elements, keep).finish();
}

}  // namespace lora_dist
