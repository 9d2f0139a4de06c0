// MANIFEST.json: what a checkpoint consists of, and the digests that it is held to.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <vector>

#include "src/checkpoint/checkpoint.h"

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
  TrainingState state;  // its buffers stay empty: they are in the shards
  std::vector<ShardEntry> shards;
  std::vector<std::string> tensor_sha256;  // of the bytes of each tensor's params (fp32, little-endian), as identity.tensors
  std::string m_sha256;                    // of the whole buffers
  std::string v_sha256;
};

/// What is wrong with a manifest, as the end of a sentence that begins with the file's name.
class ManifestError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

std::int64_t element_count(const std::vector<AdapterTensor>& tensors);

nlohmann::json manifest_to_json(const Manifest& manifest);
/// The one text of a document: with the digest of the rest in `manifest_sha256`, so that no byte can change unseen.
std::string seal_manifest(nlohmann::json document);
/// Checks the seal, then every field: sizes, offsets, names, counts that the sizes can hold. Throws ManifestError.
Manifest parse_manifest(const std::string& text);

/// The manifest in a checkpoint folder. Throws Error(model) naming the file.
Manifest read_manifest(const std::filesystem::path& checkpoint);

}  // namespace lora_dist
