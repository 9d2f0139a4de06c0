// The places of a rank's trained elements in the model's whole matrices: checkpoints and model folders are written by them.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "kernels/common/strided_slice.h"
#include "src/base/trained_base.h"
#include "src/model/model_config.h"

namespace lora_dist {

/// Elements of a matrix: `elements` of a part of it, a TP rank's rows or columns for instance.
struct PiecePlace {
  StridedSlice part;    // of the whole [rows, cols]
  IndexRange elements;  // of the part

  bool operator==(const PiecePlace& other) const {
    return part == other.part && elements.begin == other.elements.begin && elements.end == other.elements.end;
  }
};

/// Trained elements that this rank has.
struct TrainedPiece {
  PiecePlace place;
  std::span<float> values;    // in the operators' memory
  std::span<std::byte> held;  // the same in the dtype that windows gather
  std::int64_t offset = 0;    // of the moments in the flat buffers
};

/// A trained matrix: [out, in] of a linear, whatever the order in files; [vocab, hidden] of a table.
struct TrainedMatrix {
  std::string name;  // of its tensor in files
  std::int64_t rows = 0;
  std::int64_t cols = 0;
  bool transposed = false;           // files have [cols, rows]
  std::vector<TrainedPiece> pieces;  // of this rank

  std::int64_t count() const { return rows * cols; }
};

/// All trained matrices, block by block between embedding and head; the same on every rank but for the pieces.
std::vector<TrainedMatrix> trained_matrices(const TrainedBase& trained, const FrozenBase& base, const ModelSpec& whole);

/// whole[place] = values, and values = whole[place]. Host memory.
void put_piece(const PiecePlace& place, std::span<const float> values, std::span<float> whole);
void take_piece(const PiecePlace& place, std::span<const float> whole, std::span<float> values);

}  // namespace lora_dist
