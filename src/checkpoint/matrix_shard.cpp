// Writes and reads the files of trained matrices.
#include "src/checkpoint/matrix_shard.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <stdexcept>

#include "src/checkpoint/shard.h"
#include "src/core/error.h"
#include "src/io/file.h"
#include "src/io/hdf5_file.h"
#include "src/io/sha256.h"

namespace lora_dist {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

std::int64_t elements_of(const std::vector<SavedPiece>& pieces) {
  std::int64_t count = 0;
  for (const SavedPiece& piece : pieces) {
    count += piece.place.elements.size();
  }
  return count;
}

[[noreturn]] void refuse(const std::string& what) { throw std::invalid_argument(what); }

std::int64_t whole_number(const json& value) {
  if (!value.is_number_unsigned() || value.get<std::uint64_t>() > (std::uint64_t{1} << 62)) {
    refuse("has no count where the place of a trained matrix was due");
  }
  return value.get<std::int64_t>();
}

/// Throws unless the piece lies in its matrix.
void check_piece(const SavedPiece& piece, const std::vector<SavedMatrix>& matrices) {
  const StridedSlice& part = piece.place.part;
  const auto is_small = [](std::int64_t value) { return value <= (std::int64_t{1} << 31); };
  const bool known = piece.matrix < static_cast<std::int64_t>(matrices.size()) && is_small(part.rows) && is_small(part.width) &&
                     is_small(part.stride) && part.lead <= part.rows && part.rows > 0 && part.width > 0;
  if (!known) {
    refuse("puts elements in a matrix that it does not list");
  }
  const SavedMatrix& matrix = matrices[static_cast<std::size_t>(piece.matrix)];
  const std::int64_t whole = matrix.rows * matrix.cols;
  const bool inside = part.stride <= whole && part.start <= whole && part.lead_start <= whole && part.elements() <= whole &&
                      part.end() <= whole && (part.lead == 0 || part.first(part.lead - 1) + part.width <= whole);
  if (!inside || piece.place.elements.begin > piece.place.elements.end || piece.place.elements.end > part.elements()) {
    refuse(fmt::format("puts elements of {} outside of it", matrix.name));
  }
}

SavedPiece piece_from_json(const json& entry, const std::vector<SavedMatrix>& matrices) {
  if (!entry.is_array() || entry.size() != 9) {
    refuse("has no place for elements of a trained matrix");
  }
  std::array<std::int64_t, 9> n{};
  std::transform(entry.begin(), entry.end(), n.begin(), whole_number);
  const SavedPiece piece{n[0], {{n[1], n[2], n[3], n[4], n[5], n[6]}, {n[7], n[8]}}};
  check_piece(piece, matrices);
  return piece;
}

}  // namespace

std::string matrix_shard_name(std::size_t index) { return fmt::format("matrices_{:05}.h5", index); }

MatrixShardEntry write_matrix_shard(const fs::path& folder, int rank, const MatrixState& state) {
  MatrixShardEntry shard;
  shard.file = matrix_shard_name(static_cast<std::size_t>(rank));
  shard.count = elements_of(state.pieces);
  shard.pieces = state.pieces;
  const fs::path file = folder / shard.file;
  {
    Hdf5Writer writer(file);
    writer.write(kMatrixBuffers[0], state.params);
    writer.write(kMatrixBuffers[1], state.m);
    writer.write(kMatrixBuffers[2], state.v);
    writer.close();
  }
  const StateBuffers written{state.params, state.m, state.v};
  if (content_sha256(folder, {shard.file, 0, shard.count, 0, {}}, written) != content_sha256(written)) {
    throw Error(ExitCode::model, file.string() +
                                     " read back differently from what was to be written; earlier checkpoints are untouched: "
                                     "check the file system and the memory of the node");
  }
  shard.bytes = static_cast<std::int64_t>(InputFile(file, ExitCode::model).size());
  shard.sha256 = sha256_of_file(file);
  return shard;
}

json to_json(const MatrixShardEntry& shard) {
  json pieces = json::array();
  for (const SavedPiece& piece : shard.pieces) {
    const auto& [part, elements] = piece.place;
    pieces.push_back(
        {piece.matrix, part.rows, part.width, part.start, part.stride, part.lead, part.lead_start, elements.begin, elements.end});
  }
  return {{"file", shard.file}, {"count", shard.count}, {"bytes", shard.bytes}, {"sha256", shard.sha256}, {"pieces", pieces}};
}

MatrixShardEntry matrix_shard_from_json(const json& entry, std::size_t index, const std::vector<SavedMatrix>& matrices) {
  const auto field = [&](const char* key) {
    if (!entry.contains(key)) {
      refuse(fmt::format("lacks the field {}", key));
    }
    return entry[key];
  };
  MatrixShardEntry shard;
  const json file = field("file");
  const json digest = field("sha256");
  const json pieces = field("pieces");
  if (!file.is_string() || file.get<std::string>() != matrix_shard_name(index) || !digest.is_string() || !pieces.is_array()) {
    refuse(fmt::format("has no entry of {}", matrix_shard_name(index)));
  }
  shard.file = file.get<std::string>();
  shard.sha256 = digest.get<std::string>();
  shard.count = whole_number(field("count"));
  shard.bytes = whole_number(field("bytes"));
  for (const json& piece : pieces) {
    shard.pieces.push_back(piece_from_json(piece, matrices));
  }
  if (elements_of(shard.pieces) != shard.count || shard.count > shard.bytes / static_cast<std::int64_t>(3 * sizeof(float))) {
    refuse(fmt::format("gives {} {} elements in {} bytes", shard.file, shard.count, shard.bytes));
  }
  return shard;
}

namespace {

/// A saved piece of a matrix with its first element in the file.
struct Found {
  const MatrixShardEntry* shard = nullptr;
  PiecePlace place;
  std::int64_t first = 0;
};

std::vector<Found> pieces_of(std::span<const MatrixShardEntry> shards, std::int64_t matrix) {
  std::vector<Found> found;
  for (const MatrixShardEntry& shard : shards) {
    std::int64_t at = 0;
    for (const SavedPiece& piece : shard.pieces) {
      if (piece.matrix == matrix) {
        found.push_back({&shard, piece.place, at});
      }
      at += piece.place.elements.size();
    }
  }
  return found;
}

/// Reads the wanted place and returns true, if the saved pieces of its part hold all of it.
bool read_same_part(const fs::path& folder, const std::vector<Found>& found, const PiecePlace& wanted, const char* buffer,
                    std::span<float> values) {
  std::int64_t there = 0;
  for (const Found& piece : found) {
    there += piece.place.part == wanted.part ? overlap(piece.place.elements, wanted.elements).size() : 0;
  }
  if (there != wanted.elements.size()) {
    return false;
  }
  for (const Found& piece : found) {
    const IndexRange both = overlap(piece.place.elements, wanted.elements);
    if (piece.place.part == wanted.part && both.size() > 0) {
      const auto to = static_cast<std::size_t>(both.begin - wanted.elements.begin);
      Hdf5Reader(folder / piece.shard->file)
          .read(buffer, piece.first + both.begin - piece.place.elements.begin,
                values.subspan(to, static_cast<std::size_t>(both.size())));
    }
  }
  return true;
}

std::vector<float> read_whole_matrix(const fs::path& folder, const std::vector<Found>& found, const SavedMatrix& shape,
                                     const char* buffer) {
  std::vector<float> whole(static_cast<std::size_t>(shape.rows * shape.cols));
  std::int64_t covered = 0;
  for (const Found& piece : found) {
    std::vector<float> values(static_cast<std::size_t>(piece.place.elements.size()));
    Hdf5Reader(folder / piece.shard->file).read(buffer, piece.first, values);
    put_piece(piece.place, values, whole);
    covered += piece.place.elements.size();
  }
  if (covered != shape.rows * shape.cols) {
    throw Error(ExitCode::model, fmt::format("{}: its files hold {} of {} elements of {}", folder.string(), covered,
                                             shape.rows * shape.cols, shape.name));
  }
  return whole;
}

}  // namespace

void read_matrix_pieces(const fs::path& folder, std::span<const MatrixShardEntry> shards, std::int64_t matrix,
                        const SavedMatrix& shape, const char* buffer, std::span<const PiecePlace> places,
                        std::span<const std::span<float>> values) {
  const std::vector<Found> found = pieces_of(shards, matrix);
  std::vector<float> whole;  // read once, if a place was cut in another way
  for (std::size_t i = 0; i < places.size(); ++i) {
    if (whole.empty() && read_same_part(folder, found, places[i], buffer, values[i])) {
      continue;
    }
    if (whole.empty()) {
      whole = read_whole_matrix(folder, found, shape, buffer);
    }
    take_piece(places[i], whole, values[i]);
  }
}

}  // namespace lora_dist
