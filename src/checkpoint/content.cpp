// Digests of the content, which do not depend on the number of shards.
#include "src/checkpoint/content.h"

#include <fmt/format.h>

#include <bit>
#include <span>

#include "src/checkpoint/shard.h"
#include "src/io/sha256.h"

namespace lora_dist {
namespace {

static_assert(std::endian::native == std::endian::little, "digests are of little-endian floats");

std::string digest_of(std::span<const float> buffer) { return sha256_of(std::as_bytes(buffer)); }

}  // namespace

void digest_content(const StateBuffers& state, Manifest& manifest) {
  manifest.tensor_sha256.clear();
  for (const AdapterTensor& tensor : manifest.identity.tensors) {
    manifest.tensor_sha256.push_back(
        digest_of(state.params.subspan(static_cast<std::size_t>(tensor.offset), static_cast<std::size_t>(tensor.count))));
  }
  manifest.m_sha256 = digest_of(state.m);
  manifest.v_sha256 = digest_of(state.v);
  if (!state.sensitivity.empty()) {
    manifest.sensitivity_sha256 = digest_of(state.sensitivity);
    manifest.uncertainty_sha256 = digest_of(state.uncertainty);
  }
  if (!state.initial.empty()) {
    manifest.initial_sha256 = digest_of(state.initial);
  }
}

std::vector<std::string> file_problems(const std::filesystem::path& checkpoint, const Manifest& manifest, int rank, int ranks) {
  std::vector<ShardEntry> files = manifest.shards;
  for (const MatrixShardEntry& shard : manifest.matrix_shards) {
    files.push_back({shard.file, 0, 0, shard.bytes, shard.sha256});
  }
  std::vector<std::string> problems;
  for (auto i = static_cast<std::size_t>(rank); i < files.size(); i += static_cast<std::size_t>(ranks)) {
    if (std::string problem = shard_problem(checkpoint, files[i]); !problem.empty()) {
      problems.push_back(std::move(problem));
    }
  }
  return problems;
}

TrainingState read_content(const std::filesystem::path& checkpoint, const Manifest& manifest) {
  TrainingState state = manifest.state;
  const auto count = static_cast<std::size_t>(element_count(manifest.identity.tensors));
  for (std::vector<float>* buffer : {&state.params, &state.m, &state.v}) {
    buffer->resize(count);
  }
  if (!manifest.sensitivity_sha256.empty()) {
    state.sensitivity.resize(count);
    state.uncertainty.resize(count);
  }
  if (!manifest.initial_sha256.empty()) {
    state.initial.resize(count);
  }
  for (const ShardEntry& shard : manifest.shards) {
    read_shard(checkpoint, shard, state);
  }
  return state;
}

std::vector<std::string> content_problems(const std::filesystem::path& checkpoint, const Manifest& manifest,
                                          const TrainingState& state) {
  Manifest actual;
  actual.identity.tensors = manifest.identity.tensors;
  digest_content(buffers_of(state), actual);
  std::vector<std::string> problems;
  const auto compare = [&](const std::string& what, const std::string& expected, const std::string& found) {
    if (expected != found) {
      problems.push_back(
          fmt::format("{}: {} has SHA-256 {}, and the manifest says {}", checkpoint.string(), what, found, expected));
    }
  };
  for (std::size_t i = 0; i < manifest.tensor_sha256.size(); ++i) {
    compare("tensor " + manifest.identity.tensors[i].name, manifest.tensor_sha256[i], actual.tensor_sha256[i]);
  }
  compare("the first moment m", manifest.m_sha256, actual.m_sha256);
  compare("the second moment v", manifest.v_sha256, actual.v_sha256);
  compare("the sensitivity of parameters", manifest.sensitivity_sha256, actual.sensitivity_sha256);
  compare("the uncertainty of parameters", manifest.uncertainty_sha256, actual.uncertainty_sha256);
  compare("the initial parameters", manifest.initial_sha256, actual.initial_sha256);
  return problems;
}

}  // namespace lora_dist
