// Reads a sentencepiece model (tokenizer.model) from its protobuf, since the library exposes little of it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace lora_dist {

enum class PieceType : std::uint8_t { normal = 1, unknown = 2, control = 3, user_defined = 4, unused = 5, byte = 6 };

struct SentencePieceFile {
  struct Piece {
    std::string text;
    float score = 0;
    PieceType type = PieceType::normal;
  };
  std::vector<Piece> pieces;  // by id
  bool is_bpe = false;        // otherwise unigram, words or characters
  bool byte_fallback = false;
  std::string unk = "<unk>", bos = "<s>", eos = "</s>";
  bool has_unk = true, has_bos = true, has_eos = true;
  bool has_charsmap = false;  // has a normalization table
  bool dummy_prefix = true;
  bool merges_spaces = true;  // merges consecutive spaces and trims
  bool escapes_spaces = true;
};

/// Throws std::runtime_error if the bytes are not a protobuf message; skips unused fields.
SentencePieceFile read_sentencepiece_file(std::string_view bytes);

}  // namespace lora_dist
