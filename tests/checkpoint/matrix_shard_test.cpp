// Trained matrices in checkpoints: written by one division, read by others; damaged manifests are refused.
#include "src/checkpoint/matrix_shard.h"

#include <gtest/gtest.h>

#include <numeric>

#include "src/core/error.h"
#include "tests/support/scratch.h"

namespace lora_dist::matrix_shard_test {
namespace {

const std::vector<SavedMatrix> kMatrices = {{"first", 6, 8}, {"second", 4, 4}};

/// The element of a whole matrix: a number of its own for each buffer, matrix and place.
float value_of(int buffer, std::int64_t matrix, std::int64_t at) {
  return static_cast<float>(buffer * 10000 + matrix * 1000 + at);
}

/// A piece's values.
std::vector<float> values_of(int buffer, const SavedPiece& piece) {
  const SavedMatrix& matrix = kMatrices[static_cast<std::size_t>(piece.matrix)];
  std::vector<float> whole(static_cast<std::size_t>(matrix.rows * matrix.cols));
  for (std::size_t i = 0; i < whole.size(); ++i) {
    whole[i] = value_of(buffer, piece.matrix, static_cast<std::int64_t>(i));
  }
  std::vector<float> values(static_cast<std::size_t>(piece.place.elements.size()));
  take_piece(piece.place, whole, values);
  return values;
}

MatrixShardEntry write(const Scratch& scratch, int rank, const std::vector<SavedPiece>& pieces) {
  std::array<std::vector<float>, 3> buffers;
  for (int buffer = 0; buffer < 3; ++buffer) {
    for (const SavedPiece& piece : pieces) {
      const std::vector<float> values = values_of(buffer, piece);
      auto& all = buffers[static_cast<std::size_t>(buffer)];
      all.insert(all.end(), values.begin(), values.end());
    }
  }
  return write_matrix_shard(scratch.path(), rank, {kMatrices, pieces, buffers[0], buffers[1], buffers[2]});
}

constexpr StridedSlice kWhole{1, 48, 0, 0};
constexpr StridedSlice kLeft{6, 5, 0, 8};   // columns 0 to 4 of [6, 8]
constexpr StridedSlice kRight{6, 3, 5, 8};  // the others
constexpr StridedSlice kSecond{1, 16, 0, 0};

void expect_read(const Scratch& scratch, const std::vector<MatrixShardEntry>& shards, const SavedPiece& wanted) {
  for (int buffer = 0; buffer < 3; ++buffer) {
    const std::vector<float> expected = values_of(buffer, wanted);
    std::vector<float> read(expected.size());
    const std::span<float> view(read);
    read_matrix_pieces(scratch.path(), shards, wanted.matrix, kMatrices[static_cast<std::size_t>(wanted.matrix)],
                       kMatrixBuffers[buffer], {&wanted.place, 1}, {&view, 1});
    EXPECT_EQ(read, expected) << kMatrixBuffers[buffer];
  }
}

TEST(MatrixShard, IsReadByOtherDivisions) {
  const Scratch scratch;
  // two tensor ranks by columns, the left part divided over two data ranks; the second matrix with the first file
  const std::vector<MatrixShardEntry> shards = {write(scratch, 0, {{0, {kLeft, {0, 17}}}, {1, {kSecond, {0, 16}}}}),
                                                write(scratch, 1, {{0, {kRight, {0, 18}}}}),
                                                write(scratch, 2, {{0, {kLeft, {17, 30}}}})};
  expect_read(scratch, shards, {0, {kLeft, {0, 17}}});
  expect_read(scratch, shards, {0, {kLeft, {9, 25}}});
  expect_read(scratch, shards, {0, {kRight, {2, 3}}});
  expect_read(scratch, shards, {0, {kWhole, {0, 48}}});
  expect_read(scratch, shards, {0, {kWhole, {13, 40}}});
  expect_read(scratch, shards, {0, {{3, 8, 0, 16}, {5, 20}}});
  expect_read(scratch, shards, {1, {kSecond, {3, 16}}});
}

TEST(MatrixShard, RefusesMissingElements) {
  const Scratch scratch;
  const std::vector<MatrixShardEntry> shards = {write(scratch, 0, {{0, {kLeft, {0, 30}}}})};
  EXPECT_THROW(expect_read(scratch, shards, {0, {kWhole, {0, 48}}}), Error);
}

TEST(MatrixShard, ComesBackFromJson) {
  const Scratch scratch;
  const MatrixShardEntry shard = write(scratch, 0, {{0, {kLeft, {0, 17}}}, {1, {kSecond, {0, 16}}}});
  const nlohmann::json entry = nlohmann::json::parse(to_json(shard).dump());
  const MatrixShardEntry read = matrix_shard_from_json(entry, 0, kMatrices);
  EXPECT_EQ(to_json(read), to_json(shard));
  EXPECT_THROW(matrix_shard_from_json(entry, 1, kMatrices), std::invalid_argument);
  // matrix, rows, width, start, stride, lead, lead_start, begin, end
  const std::vector<std::pair<int, std::int64_t>> damage = {{0, 2}, {1, 7},  {1, 0},  {2, 9},  {3, 100},       {4, 50},
                                                            {5, 9}, {7, 18}, {8, 40}, {8, 16}, {4, 1LL << 40}, {1, 1LL << 40}};
  for (const auto& [at, value] : damage) {
    nlohmann::json damaged = entry;
    damaged["pieces"][0][at] = value;
    EXPECT_THROW(matrix_shard_from_json(damaged, 0, kMatrices), std::invalid_argument) << at << " " << value;
  }
  for (const char* key : {"file", "count", "bytes", "sha256", "pieces"}) {
    nlohmann::json damaged = entry;
    damaged.erase(key);
    EXPECT_THROW(matrix_shard_from_json(damaged, 0, kMatrices), std::invalid_argument) << key;
    damaged[key] = -1;
    EXPECT_THROW(matrix_shard_from_json(damaged, 0, kMatrices), std::invalid_argument) << key;
  }
}

}  // namespace
}  // namespace lora_dist::matrix_shard_test
