// Writes and reads shard files.
#include "src/checkpoint/shard.h"

#include <fmt/format.h>

#include <algorithm>
#include <span>
#include <vector>

#include "src/checkpoint/manifest.h"
#include "src/io/file.h"
#include "src/io/hdf5_file.h"
#include "src/io/sha256.h"

namespace lora_dist {
namespace {

template <class Buffer>
auto part_of(Buffer& buffer, std::int64_t begin, std::int64_t end) {
  return std::span(buffer).subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(end - begin));
}

std::string range_text(std::int64_t begin, std::int64_t end) { return fmt::format("{} {}", begin, end); }

}  // namespace

ShardRange shard_range(std::int64_t count, int rank, int ranks) {
  const std::int64_t even = count / ranks;
  const std::int64_t left = count % ranks;  // the first `left` ranks take one more element
  const auto begin_of = [&](std::int64_t r) { return r * even + std::min(r, left); };
  return {begin_of(rank), begin_of(rank + 1)};
}

ShardRange saved_range(std::int64_t count, int rank, int ranks) {
  return rank == 0 ? ShardRange{0, count} : shard_range(count, rank, ranks);
}

StateBuffers buffers_of(const TrainingState& state) {
  return {state.params, state.m, state.v, state.sensitivity, state.uncertainty, state.initial};
}

std::vector<NamedBuffer> named_buffers(const StateBuffers& elements) {
  std::vector<NamedBuffer> all = {{"params", elements.params}, {"m", elements.m}, {"v", elements.v}};
  if (!elements.sensitivity.empty()) {
    all.push_back({"sensitivity", elements.sensitivity});
    all.push_back({"uncertainty", elements.uncertainty});
  }
  if (!elements.initial.empty()) {
    all.push_back({"initial", elements.initial});
  }
  return all;
}

StateBuffers elements_of(const StateBuffers& buffers, ShardRange range) {
  const auto of_range = [&](std::span<const float> buffer) {
    return buffer.empty() ? buffer : part_of(buffer, range.begin, range.end);
  };
  return {of_range(buffers.params),      of_range(buffers.m),           of_range(buffers.v),
          of_range(buffers.sensitivity), of_range(buffers.uncertainty), of_range(buffers.initial)};
}

std::string shard_name(std::size_t index) { return fmt::format("shard_{:05}.h5", index); }

ShardEntry write_shard(const std::filesystem::path& folder, int rank, ShardRange range, const StateBuffers& elements) {
  ShardEntry shard;
  shard.file = shard_name(static_cast<std::size_t>(rank));
  shard.begin = range.begin;
  shard.end = range.end;
  const std::filesystem::path file = folder / shard.file;
  Hdf5Writer writer(file);
  writer.attribute("elements", range_text(range.begin, range.end));
  for (const NamedBuffer& buffer : named_buffers(elements)) {
    writer.write(buffer.name, buffer.values);
  }
  writer.close();
  shard.bytes = static_cast<std::int64_t>(InputFile(file, ExitCode::model).size());
  shard.sha256 = sha256_of_file(file);
  return shard;
}

std::string content_sha256(const StateBuffers& elements) {
  Sha256 hash;
  for (const NamedBuffer& buffer : named_buffers(elements)) {
    hash.update(std::as_bytes(buffer.values));
  }
  return hash.hex();
}

std::string content_sha256(const std::filesystem::path& folder, const ShardEntry& shard, const StateBuffers& elements) {
  constexpr std::int64_t kPiece = 1 << 20;  // elements per read, small compared with the state
  const Hdf5Reader reader(folder / shard.file);
  const std::int64_t count = shard.end - shard.begin;
  std::vector<float> piece(static_cast<std::size_t>(std::min(count, kPiece)));
  Sha256 hash;
  for (const NamedBuffer& buffer : named_buffers(elements)) {
    for (std::int64_t from = 0; from < count; from += kPiece) {
      const auto part = part_of(piece, 0, std::min(kPiece, count - from));
      reader.read(buffer.name, from, part);
      hash.update(std::as_bytes(part));
    }
  }
  return hash.hex();
}

std::string shard_problem(const std::filesystem::path& folder, const ShardEntry& shard) {
  const std::filesystem::path file = folder / shard.file;
  try {
    const auto bytes = static_cast<std::int64_t>(InputFile(file, ExitCode::model).size());
    if (bytes != shard.bytes) {
      return fmt::format("{} has {} bytes, and its manifest says {}", file.string(), bytes, shard.bytes);
    }
    const std::string actual = sha256_of_file(file);
    if (actual != shard.sha256) {
      return fmt::format("{} is damaged: SHA-256 {} expected, {} found", file.string(), shard.sha256, actual);
    }
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

void read_shard(const std::filesystem::path& folder, const ShardEntry& shard, TrainingState& state) {
  const Hdf5Reader reader(folder / shard.file);
  if (reader.attribute("elements") != range_text(shard.begin, shard.end)) {
    throw Error(ExitCode::model, (folder / shard.file).string() + " holds other elements than its manifest says");
  }
  reader.read("params", 0, part_of(state.params, shard.begin, shard.end));
  reader.read("m", 0, part_of(state.m, shard.begin, shard.end));
  reader.read("v", 0, part_of(state.v, shard.begin, shard.end));
  if (!state.sensitivity.empty() && shard.begin < shard.end) {
    reader.read("sensitivity", 0, part_of(state.sensitivity, shard.begin, shard.end));
    reader.read("uncertainty", 0, part_of(state.uncertainty, shard.begin, shard.end));
  }
  if (!state.initial.empty() && shard.begin < shard.end) {
    reader.read("initial", 0, part_of(state.initial, shard.begin, shard.end));
  }
}

}  // namespace lora_dist
