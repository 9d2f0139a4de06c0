// The commit of a checkpoint: shards, manifest, read-back, rename, pruning.
#include <fmt/format.h>

#include <system_error>

#include "kernels/common/check.h"
#include "src/checkpoint/checkpoint.h"
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

void require_consistent(const CheckpointIdentity& identity, const TrainingState& state) {
  std::int64_t due = 0;
  for (const AdapterTensor& tensor : identity.tensors) {
    std::int64_t count = 1;
    for (const std::int64_t dim : tensor.shape) {
      count *= dim;
    }
    require(tensor.offset == due && tensor.count == count, "save_checkpoint: the tensors do not follow each other");
    due += tensor.count;
  }
  const auto elements = static_cast<std::size_t>(due);
  require(state.params.size() == elements && state.m.size() == elements && state.v.size() == elements,
          "save_checkpoint: params, m and v must have the elements of all tensors");
}

/// A shard, and what its file holds when it is read back.
struct WrittenShard {
  ShardEntry entry;
  std::string content;
};

std::string to_text(const WrittenShard& w) {
  const ShardEntry& e = w.entry;
  return json{e.file, e.begin, e.end, e.bytes, e.sha256, w.content}.dump();
}

WrittenShard from_text(const std::string& text) {
  const json e = json::parse(text);
  return {{e[0].get<std::string>(), e[1].get<std::int64_t>(), e[2].get<std::int64_t>(), e[3].get<std::int64_t>(),
           e[4].get<std::string>()},
          e[5].get<std::string>()};
}

TrainingState without_buffers(const TrainingState& state) {
  return {{}, {}, {}, state.step, state.optimizer_step, state.epoch, state.position_in_epoch, state.seed, state.progress};
}

/// Rank 0's state against what every rank's file gave back: a bad disk, bad memory, or ranks that drifted apart end the save
/// here.
void write_manifest(const fs::path& temporary, const CheckpointIdentity& identity, const TrainingState& state,
                    const std::vector<std::string>& written) {
  Manifest manifest{identity, without_buffers(state), {}, {}, "", ""};
  for (const std::string& text : written) {
    const WrittenShard shard = from_text(text);
    if (shard.content != content_sha256(state, shard.entry.begin, shard.entry.end)) {
      throw Error(ExitCode::model,
                  (temporary / shard.entry.file).string() +
                      " read back differently from what was to be written; earlier checkpoints are untouched: check the "
                      "file system, the memory of the nodes, and that all ranks hold the same adapter");
    }
    manifest.shards.push_back(shard.entry);
  }
  digest_content(state, manifest);
  const std::string text = seal_manifest(manifest_to_json(manifest));
  OutputFile file(temporary / "MANIFEST.json", ExitCode::model);
  file.write(text);
  file.close();
  if (read_text_file(temporary / "MANIFEST.json", ExitCode::model) != text) {
    throw Error(ExitCode::model,
                (temporary / "MANIFEST.json").string() + " read back differently from what was written; check the file system");
  }
}

/// Writes every rank's shard, reads it back, and lets rank 0 note the digests of all of them in the manifest.
void write_and_verify(Communicator& comm, const fs::path& temporary, const CheckpointIdentity& identity,
                      const TrainingState& state) {
  WrittenShard mine;
  run_together(comm, [&] {
    fault_point("save");
    mine.entry = write_shard(temporary, comm.rank(), comm.size(), state);
    mine.content = content_sha256(temporary, mine.entry);
  });
  const std::vector<std::string> written = all_gather_strings(comm, to_text(mine));
  run_together(comm, [&] {
    if (comm.rank() == 0) {
      write_manifest(temporary, identity, state, written);
    }
  });
}

}  // namespace

SavedCheckpoint save_checkpoint(Communicator& comm, const fs::path& checkpoints_dir, const CheckpointIdentity& identity,
                                const TrainingState& state, std::int64_t keep) {
  require_consistent(identity, state);
  SavedCheckpoint saved{checkpoints_dir / checkpoint_name(state.step), {}};
  fs::path temporary;
  try {
    run_together(comm, [&] {
      if (comm.rank() == 0) {
        temporary = begin_atomic_directory(saved.path);
      }
    });
    temporary = broadcast_string(comm, temporary.string(), 0);
    write_and_verify(comm, temporary, identity, state);
    run_together(comm, [&] {
      if (comm.rank() == 0) {
        commit_atomic_directory(temporary, saved.path);
      }
    });
  } catch (const Error&) {
    std::error_code ignored;
    if (comm.rank() == 0 && !temporary.empty()) {
      fs::remove_all(temporary, ignored);
    }
    throw;
  }
  run_together(comm, [&] {
    if (comm.rank() == 0) {
      saved.warnings = prune_checkpoints(checkpoints_dir, state.step, keep);
      remove_leftovers(checkpoints_dir);
    }
  });
  return saved;
}

}  // namespace lora_dist
