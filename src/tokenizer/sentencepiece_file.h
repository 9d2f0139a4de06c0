// What a sentencepiece model (tokenizer.model) says, read from its protobuf: the library keeps most of it to itself.
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
  bool is_bpe = false;        // else unigram, words or characters
  bool byte_fallback = false;
  std::string unk = "<unk>", bos = "<s>", eos = "</s>";
  bool has_unk = true, has_bos = true, has_eos = true;
  bool has_charsmap = false;  // texts are normalized by a table
  bool dummy_prefix = true;
  bool merges_spaces = true;  // runs of spaces become one, and those at the ends go
  bool escapes_spaces = true;
};

/// Throws std::runtime_error when the bytes are no protobuf message; fields that are not needed are passed over.
SentencePieceFile read_sentencepiece_file(std::string_view bytes);

}  // namespace lora_dist
