// Lists pieces, and copies them between a part and the whole.
#include "src/base/trained_pieces.h"

#include <algorithm>

#include "src/model/family.h"
#include "src/model/tensor_table.h"

namespace lora_dist {

namespace {

TrainedPiece piece_of(const TrainedBase& trained, const TrainedUnit& unit, const TrainedRange& range, const StridedSlice& part) {
  const auto first = static_cast<std::size_t>(range.in_slice);
  const auto count = static_cast<std::size_t>(range.count);
  const std::size_t width = size_of(trained.dtype);
  return {{part, {range.in_matrix, range.in_matrix + range.count}},
          unit.values.subspan(first, count),
          unit.held.subspan(first * width, count * width),
          range.offset};
}

TrainedMatrix table_of(const TrainedBase& trained, const VocabTable& table, const std::vector<TrainedUnit>& units,
                       std::int64_t first_id, std::string_view name, std::int64_t vocab) {
  TrainedMatrix matrix{std::string(name) + ".weight", vocab, table.cols, false, {}};
  for (std::size_t i = 0; i < units.size(); ++i) {
    const IndexRange rows = table.chunk(static_cast<std::int64_t>(i));
    const StridedSlice chunk{1, rows.size() * table.cols, (first_id + rows.begin) * table.cols, 0};
    for (const TrainedRange& range : units[i].ranges) {
      matrix.pieces.push_back(piece_of(trained, units[i], range, chunk));
    }
  }
  return matrix;
}

/// Calls work(from, to, count) for each run of elements, `from` in the piece's values and `to` in the whole.
template <class Work>
void for_each_run(const PiecePlace& place, Work work) {
  for (std::int64_t at = place.elements.begin; at < place.elements.end;) {
    const SliceSegment run = segment_at(place.part, at, place.elements.end);
    work(at - place.elements.begin, run.in_whole, run.count);
    at += run.count;
  }
}

}  // namespace

std::vector<TrainedMatrix> trained_matrices(const TrainedBase& trained, const FrozenBase& base, const ModelSpec& whole) {
  const TensorNames& names = whole.family->names;
  std::vector<TrainedMatrix> matrices;
  if (trained.matrices.embedding) {
    matrices.push_back(table_of(trained, base.embedding, trained.embedding, base.tp.vocab.begin, names.embedding, whole.vocab));
  }
  for (std::size_t layer = 0; layer < trained.blocks.size(); ++layer) {
    for (const Linear linear : kAllLinears) {
      if (!trained.matrices.linears[layer][index_of(linear)]) {
        continue;
      }
      const LinearShape shape = linear_shape(whole, linear);
      TrainedMatrix& matrix =
          matrices.emplace_back(TrainedMatrix{weight_tensor(whole, static_cast<std::int64_t>(layer), linear).name,
                                              shape.out,
                                              shape.in,
                                              whole.family->transposed,
                                              {}});
      for (const TrainedRange& range : trained.blocks[layer].ranges) {
        if (range.linear == linear) {
          const StridedSlice& part = base.layouts[layer].weights[index_of(linear)].in_whole;
          matrix.pieces.push_back(piece_of(trained, trained.blocks[layer], range, part));
        }
      }
    }
  }
  if (trained.matrices.head) {
    matrices.push_back(table_of(trained, base.head, trained.head, base.tp.vocab.begin, names.heads[0], whole.vocab));
  }
  return matrices;
}

void put_piece(const PiecePlace& place, std::span<const float> values, std::span<float> whole) {
  for_each_run(place, [&](std::int64_t from, std::int64_t to, std::int64_t count) {
    std::copy_n(values.begin() + from, count, whole.begin() + to);
  });
}

void take_piece(const PiecePlace& place, std::span<const float> whole, std::span<float> values) {
  for_each_run(place, [&](std::int64_t from, std::int64_t to, std::int64_t count) {
    std::copy_n(whole.begin() + to, count, values.begin() + from);
  });
}

}  // namespace lora_dist
