// Divides the weight files into pieces, hashes them round-robin over the ranks, and hashes the digests.
#include "src/base/base_hash.h"

#include <algorithm>
#include <vector>

#include "src/comm/agree.h"
#include "src/core/stop_request.h"
#include "src/io/file.h"
#include "src/io/gguf_model.h"
#include "src/io/sha256.h"

namespace lora_dist {

namespace {

constexpr std::uint64_t kPiece = std::uint64_t{4} << 20;
constexpr std::size_t kHexDigits = 64;

/// Digests of this rank's pieces of one file, zeros for the other pieces; `piece` counts across files.
void hash_pieces(const std::filesystem::path& path, const Communicator& comm, std::int64_t& piece, std::string& digests) {
  const InputFile file(path, ExitCode::model);
  std::vector<std::byte> bytes;
  for (std::uint64_t at = 0; at < file.size(); at += kPiece, ++piece) {
    if (piece % comm.size() == comm.rank()) {
      stop_if_requested();
      bytes.resize(static_cast<std::size_t>(std::min(kPiece, file.size() - at)));
      file.read_at(at, bytes);
      digests += sha256_of(bytes);
    }
  }
}

}  // namespace

std::string base_model_hash(const std::filesystem::path& folder, const TensorDirectory& directory, Communicator& comm) {
  std::string mine;
  std::string names;
  std::int64_t pieces = 0;
  run_together(comm, [&] {
    const bool is_gguf = find_gguf(folder).has_value();  // whose keys are in the file that is hashed, and whose name is anyone's
    names = is_gguf ? "GGUF" : read_text_file(folder / "config.json", ExitCode::model);
    for (const std::filesystem::path& path : directory.files) {
      const std::int64_t before = pieces;
      hash_pieces(path, comm, pieces, mine);
      names += "\n" + (is_gguf ? "part" : path.filename().string()) + " " + std::to_string(pieces - before);
    }
  });
  const std::vector<std::string> all = all_gather_strings(comm, mine);
  std::vector<std::size_t> next(all.size(), 0);
  std::string text = names + "\n";
  for (std::int64_t piece = 0; piece < pieces; ++piece) {
    const auto rank = static_cast<std::size_t>(piece % comm.size());
    text += all[rank].substr(next[rank], kHexDigits);
    next[rank] += kHexDigits;
  }
  return sha256_of(std::as_bytes(std::span(text)));
}

}  // namespace lora_dist
