// MANIFEST.json: the files of a checkpoint and their digests.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <vector>

#include "src/checkpoint/checkpoint.h"
#include "src/checkpoint/matrix_shard.h"

namespace lora_dist {

/// A file with elements [begin, end) of params, m and v.
struct ShardEntry {
  std::string file;
  std::int64_t begin = 0;
  std::int64_t end = 0;
  std::int64_t bytes = 0;
  std::string sha256;
};

struct Manifest {
  CheckpointIdentity identity;
  TrainingState state;  // with empty buffers: the shards have them
  std::vector<ShardEntry> shards;
  std::vector<std::string> tensor_sha256;  // of each tensor's params (fp32, little-endian), in the order of identity.tensors
  std::string m_sha256;                    // of the whole buffers
  std::string v_sha256;
  std::string sensitivity_sha256 = {};  // of AdaLoRA, as is the next; empty: the state has none
  std::string uncertainty_sha256 = {};
  std::string initial_sha256 = {};         // empty: the state has none
  std::vector<SavedMatrix> matrices = {};  // of full fine-tuning, with the ranks' files of them
  std::vector<MatrixShardEntry> matrix_shards = {};
};

/// A defect of a manifest, as the end of a sentence that begins with the file's name.
class ManifestError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

std::int64_t element_count(const std::vector<AdapterTensor>& tensors);

nlohmann::json manifest_to_json(const Manifest& manifest);
/// The canonical text of a document, with the digest of the other keys in `manifest_sha256`, so that any changed byte is
/// detected.
std::string seal_manifest(nlohmann::json document);
/// Checks manifest_sha256, then every field: sizes, offsets, names, and counts against sizes. Throws ManifestError.
Manifest parse_manifest(const std::string& text);

/// Reads the manifest of a checkpoint folder. Throws Error(model) naming the file.
Manifest read_manifest(const std::filesystem::path& checkpoint);

}  // namespace lora_dist
