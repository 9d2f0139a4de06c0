// The trained matrices of full fine-tuning in a checkpoint: each rank writes its own elements, with their places in the whole, so
// that any mesh can resume.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "src/base/trained_pieces.h"

namespace lora_dist {

/// A matrix that a checkpoint holds.
struct SavedMatrix {
  std::string name;
  std::int64_t rows = 0;
  std::int64_t cols = 0;

  bool operator==(const SavedMatrix&) const = default;
};

/// Elements of a rank's file.
struct SavedPiece {
  std::int64_t matrix = 0;  // index
  PiecePlace place;
};

/// What a rank saves: the elements of its pieces, one after the other, on the host.
struct MatrixState {
  std::vector<SavedMatrix> matrices;  // the same on every rank; empty: nothing of the base is trained
  std::vector<SavedPiece> pieces;
  std::span<const float> params = {};
  std::span<const float> m = {};
  std::span<const float> v = {};
};

/// A rank's file.
struct MatrixShardEntry {
  std::string file;
  std::int64_t count = 0;  // elements of params, m and v
  std::int64_t bytes = 0;
  std::string sha256;
  std::vector<SavedPiece> pieces;
};

std::string matrix_shard_name(std::size_t index);  // "matrices_00000.h5"

/// Writes and reads back. Throws Error(model), also if the file does not give back what was written.
MatrixShardEntry write_matrix_shard(const std::filesystem::path& folder, int rank, const MatrixState& state);

/// To and from MANIFEST.json. Throws std::invalid_argument with the defect as the end of a sentence: every field is checked
/// against `matrices`.
nlohmann::json to_json(const MatrixShardEntry& shard);
MatrixShardEntry matrix_shard_from_json(const nlohmann::json& entry, std::size_t index, const std::vector<SavedMatrix>& matrices);

/// The buffers of a shard's file.
inline constexpr const char* kMatrixBuffers[] = {"params", "m", "v"};

/// Reads elements of a matrix from the shards, whose files must be verified before: values = those of `place`. `buffer`: of
/// kMatrixBuffers. Takes room for the whole matrix if a place is of a part that no rank saved.
void read_matrix_pieces(const std::filesystem::path& folder, std::span<const MatrixShardEntry> shards, std::int64_t matrix,
                        const SavedMatrix& shape, const char* buffer, std::span<const PiecePlace> places,
                        std::span<const std::span<float>> values);

}  // namespace lora_dist
