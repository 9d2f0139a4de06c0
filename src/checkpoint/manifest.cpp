// Converts the manifest to text and back; every field is checked before use.
#include "src/checkpoint/manifest.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "src/checkpoint/shard.h"
#include "src/io/file.h"
#include "src/io/sha256.h"
#include "src/io/strict_json.h"

namespace lora_dist {
namespace {

using nlohmann::json;

constexpr const char* kFormat = "lora_dist checkpoint 1";
constexpr const char* kGenerator = "philox4x32-10";  // counter-based: seed and step are its whole state
constexpr const char* kSeal = "manifest_sha256";
constexpr std::int64_t kBytesPerElement = 3 * sizeof(float);  // params, m, v

/// Replaces invalid UTF-8 (in a path, say), which must not prevent a checkpoint.
std::string canonical(const json& document) { return document.dump(2, ' ', false, json::error_handler_t::replace) + "\n"; }

std::string digest_of(const std::string& text) { return sha256_of(std::as_bytes(std::span(text))); }

const json& field(const json& object, const char* key) {
  const auto at = object.find(key);
  if (at == object.end()) {
    throw ManifestError(fmt::format("lacks the field {}", key));
  }
  return *at;
}

const json& object_field(const json& object, const char* key) {
  const json& value = field(object, key);
  if (!value.is_object()) {
    throw ManifestError(fmt::format("has no object in the field {}", key));
  }
  return value;
}

const json& list_field(const json& object, const char* key) {
  const json& value = field(object, key);
  if (!value.is_array() || !std::ranges::all_of(value, [](const json& v) { return v.is_object(); })) {
    throw ManifestError(fmt::format("has no list of objects in the field {}", key));
  }
  return value;
}

std::string text_field(const json& object, const char* key) {
  const json& value = field(object, key);
  if (!value.is_string()) {
    throw ManifestError(fmt::format("has no text in the field {}", key));
  }
  return value.get<std::string>();
}

std::string digest_field(const json& object, const char* key) {
  std::string digest = text_field(object, key);
  if (digest.size() != 64 || digest.find_first_not_of("0123456789abcdef") != std::string::npos) {
    throw ManifestError(fmt::format("has no SHA-256 in the field {}", key));
  }
  return digest;
}

std::int64_t count_of(const json& value, const char* key) {
  constexpr std::uint64_t kMost = std::numeric_limits<std::int64_t>::max();
  if (!value.is_number_unsigned() || value.get<std::uint64_t>() > kMost) {
    throw ManifestError(fmt::format("has no count in the field {}", key));
  }
  return value.get<std::int64_t>();
}

std::int64_t count_field(const json& object, const char* key) { return count_of(field(object, key), key); }

AdapterTensor parse_tensor(const json& entry, std::int64_t due_offset) {
  AdapterTensor tensor;
  tensor.name = text_field(entry, "name");
  tensor.offset = count_field(entry, "offset");
  const json& shape = field(entry, "shape");
  if (!shape.is_array() || shape.size() > 8) {
    throw ManifestError(fmt::format("has no shape for tensor {}", tensor.name));
  }
  tensor.count = 1;
  for (const json& dim : shape) {
    tensor.shape.push_back(count_of(dim, "shape"));
    if (__builtin_mul_overflow(tensor.count, tensor.shape.back(), &tensor.count)) {
      throw ManifestError(fmt::format("gives tensor {} more elements than can be counted", tensor.name));
    }
  }
  std::int64_t end = 0;
  if (tensor.offset != due_offset || __builtin_add_overflow(tensor.offset, tensor.count, &end)) {
    throw ManifestError(fmt::format("puts tensor {} at element {}, where {} was due", tensor.name, tensor.offset, due_offset));
  }
  return tensor;
}

ShardEntry parse_shard(const json& entry, std::size_t index, std::int64_t due_begin) {
  ShardEntry shard;
  shard.file = text_field(entry, "file");
  shard.begin = count_field(entry, "begin");
  shard.end = count_field(entry, "end");
  shard.bytes = count_field(entry, "bytes");
  shard.sha256 = digest_field(entry, "sha256");
  if (shard.file != shard_name(index)) {
    throw ManifestError(fmt::format("names shard {} {} instead of {}", index, shard.file.substr(0, 100), shard_name(index)));
  }
  if (shard.begin != due_begin || shard.end < shard.begin) {
    throw ManifestError(
        fmt::format("gives {} elements {} to {}, where {} was due first", shard.file, shard.begin, shard.end, due_begin));
  }
  // Shards are not compressed, so a file that is too short for its elements is damaged; the check also bounds allocations.
  if (shard.end - shard.begin > shard.bytes / kBytesPerElement) {
    throw ManifestError(fmt::format("gives {} {} elements in {} bytes", shard.file, shard.end - shard.begin, shard.bytes));
  }
  return shard;
}

/// The trained matrices and the files of them.
void parse_matrices(const json& document, Manifest& manifest) {
  constexpr std::int64_t kMostElements = std::int64_t{1} << 40;
  for (const json& entry : list_field(document, "matrices")) {
    const json& shape = field(entry, "shape");
    SavedMatrix matrix{text_field(entry, "name"), 0, 0};
    if (shape.is_array() && shape.size() == 2) {
      matrix.rows = count_of(shape[0], "shape");
      matrix.cols = count_of(shape[1], "shape");
    }
    if (matrix.rows < 1 || matrix.cols < 1 || matrix.rows > kMostElements / matrix.cols) {
      throw ManifestError(fmt::format("has no shape for the matrix {}", matrix.name));
    }
    manifest.matrices.push_back(matrix);
  }
  for (const json& entry : list_field(document, "matrix_shards")) {
    try {
      manifest.matrix_shards.push_back(matrix_shard_from_json(entry, manifest.matrix_shards.size(), manifest.matrices));
    } catch (const std::invalid_argument& error) {
      throw ManifestError(error.what());
    }
    digest_field(entry, "sha256");
  }
}

json parse_sealed(const std::string& text) {
  json document;
  try {
    document = parse_strict_json(text);
  } catch (const JsonError& e) {
    throw ManifestError(std::string("is not valid JSON: ") + e.what());
  }
  if (!document.is_object() || !document.contains("format")) {
    throw ManifestError("is not the manifest of a checkpoint");
  }
  const std::string format = text_field(document, "format");
  const std::string expected = digest_field(document, kSeal);
  json rest = document;
  rest.erase(kSeal);
  if (const std::string actual = digest_of(canonical(rest)); actual != expected || canonical(document) != text) {
    throw ManifestError(fmt::format("was changed after it was written (SHA-256 {} expected, {} found)", expected, actual));
  }
  if (format != kFormat) {
    throw ManifestError(fmt::format("has the format \"{}\", and this program reads \"{}\"", format, kFormat));
  }
  return document;
}

void parse_state(const json& document, TrainingState& state) {
  state.step = count_field(document, "step");
  state.optimizer_step = count_field(document, "optimizer_step");
  const json& sampler = object_field(document, "sampler");
  state.epoch = count_field(sampler, "epoch");
  state.position_in_epoch = count_field(sampler, "position_in_epoch");
  const json& random = object_field(document, "random");
  if (text_field(random, "generator") != kGenerator || !field(random, "seed").is_number_unsigned()) {
    throw ManifestError("has a random state that this program does not know");
  }
  state.seed = random["seed"].get<std::uint64_t>();
  state.progress = object_field(document, "progress");
}

}  // namespace

std::int64_t element_count(const std::vector<AdapterTensor>& tensors) {
  return tensors.empty() ? 0 : tensors.back().offset + tensors.back().count;
}

json manifest_to_json(const Manifest& manifest) {
  const CheckpointIdentity& identity = manifest.identity;
  const TrainingState& state = manifest.state;
  json tensors = json::array();
  for (std::size_t i = 0; i < identity.tensors.size(); ++i) {
    const AdapterTensor& t = identity.tensors[i];
    tensors.push_back({{"name", t.name}, {"shape", t.shape}, {"offset", t.offset}, {"sha256", manifest.tensor_sha256[i]}});
  }
  json shards = json::array();
  for (const ShardEntry& s : manifest.shards) {
    shards.push_back({{"file", s.file}, {"begin", s.begin}, {"end", s.end}, {"bytes", s.bytes}, {"sha256", s.sha256}});
  }
  json document = {{"format", kFormat},
                   {"program_version", identity.program_version},
                   {"base_model_sha256", identity.base_model_hash},
                   {"settings", identity.settings},
                   {"step", state.step},
                   {"optimizer_step", state.optimizer_step},
                   {"sampler", {{"epoch", state.epoch}, {"position_in_epoch", state.position_in_epoch}}},
                   {"random", {{"generator", kGenerator}, {"seed", state.seed}}},
                   {"progress", state.progress},
                   {"tensors", tensors},
                   {"m_sha256", manifest.m_sha256},
                   {"v_sha256", manifest.v_sha256},
                   {"shards", shards}};
  if (!manifest.sensitivity_sha256.empty()) {
    document["sensitivity_sha256"] = manifest.sensitivity_sha256;
    document["uncertainty_sha256"] = manifest.uncertainty_sha256;
  }
  if (!manifest.initial_sha256.empty()) {
    document["initial_sha256"] = manifest.initial_sha256;
  }
  if (!manifest.matrices.empty()) {
    document["matrices"] = json::array();
    for (const SavedMatrix& matrix : manifest.matrices) {
      document["matrices"].push_back({{"name", matrix.name}, {"shape", {matrix.rows, matrix.cols}}});
    }
    document["matrix_shards"] = json::array();
    for (const MatrixShardEntry& shard : manifest.matrix_shards) {
      document["matrix_shards"].push_back(to_json(shard));
    }
  }
  return document;
}

std::string seal_manifest(json document) {
  document = json::parse(canonical(document));  // parsed back, as a reader will
  document.erase(kSeal);
  document[kSeal] = digest_of(canonical(document));
  return canonical(document);
}

Manifest parse_manifest(const std::string& text) {
  const json document = parse_sealed(text);
  Manifest manifest;
  manifest.identity.program_version = text_field(document, "program_version");
  manifest.identity.base_model_hash = text_field(document, "base_model_sha256");
  manifest.identity.settings = object_field(document, "settings");
  parse_state(document, manifest.state);
  std::int64_t elements = 0;
  for (const json& entry : list_field(document, "tensors")) {
    manifest.identity.tensors.push_back(parse_tensor(entry, elements));
    manifest.tensor_sha256.push_back(digest_field(entry, "sha256"));
    elements += manifest.identity.tensors.back().count;
  }
  std::int64_t covered = 0;
  for (const json& entry : list_field(document, "shards")) {
    manifest.shards.push_back(parse_shard(entry, manifest.shards.size(), covered));
    covered = manifest.shards.back().end;
  }
  if (covered != elements) {
    throw ManifestError(fmt::format("has shards for {} elements and tensors of {}", covered, elements));
  }
  manifest.m_sha256 = digest_field(document, "m_sha256");
  manifest.v_sha256 = digest_field(document, "v_sha256");
  if (document.contains("sensitivity_sha256")) {
    manifest.sensitivity_sha256 = digest_field(document, "sensitivity_sha256");
    manifest.uncertainty_sha256 = digest_field(document, "uncertainty_sha256");
  }
  if (document.contains("initial_sha256")) {
    manifest.initial_sha256 = digest_field(document, "initial_sha256");
  }
  if (document.contains("matrices")) {
    parse_matrices(document, manifest);
  }
  return manifest;
}

Manifest read_manifest(const std::filesystem::path& checkpoint) {
  const std::filesystem::path file = checkpoint / "MANIFEST.json";
  constexpr std::uint64_t kMaxBytes = std::uint64_t{256} << 20;
  if (InputFile(file, ExitCode::model).size() > kMaxBytes) {
    throw Error(ExitCode::model, file.string() + " is larger than 256 MiB, which no manifest is");
  }
  try {
    return parse_manifest(read_text_file(file, ExitCode::model));
  } catch (const ManifestError& e) {
    throw Error(ExitCode::model, file.string() + " " + e.what());
  }
}

}  // namespace lora_dist
