// A document in tokenizer.json's form, with the long parts of its model (vocab and merges, nearly all of the file) apart from the
// rest: they go straight from the reader into tables.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "src/io/json_events.h"
#include "src/tokenizer/json_fields.h"
#include "src/tokenizer/token_table.h"

namespace lora_dist {

/// Pairs of tokens in order; the two texts of a pair stand one behind the other.
class MergeTexts {
 public:
  void add(std::string_view left, std::string_view right);
  std::size_t size() const { return cuts_.size(); }
  std::string_view left(std::size_t i) const { return between(begin(i), cuts_[i].middle); }
  std::string_view right(std::size_t i) const { return between(cuts_[i].middle, cuts_[i].end); }
  std::string_view both(std::size_t i) const { return between(begin(i), cuts_[i].end); }

 private:
  struct Cut {
    std::uint32_t middle = 0, end = 0;
  };
  std::size_t begin(std::size_t i) const { return i == 0 ? 0 : cuts_[i - 1].end; }
  std::string_view between(std::size_t from, std::size_t to) const { return std::string_view(bytes_).substr(from, to - from); }

  std::string bytes_;
  std::vector<Cut> cuts_;
};

struct ModelLists {
  enum class Shape : std::uint8_t { absent, object, list, other };
  struct Piece {
    std::string text;
    double score = 0.0;
  };
  Shape vocab_shape = Shape::absent;
  TokenTable vocab;           // of an object of tokens and ids
  std::vector<Piece> pieces;  // of a list of pieces and scores (Unigram), by id
  Shape merges_shape = Shape::absent;
  MergeTexts merges;
  std::size_t skipped_merges = 0;  // lines "#version" before them

  /// The same as from a file.
  void take_vocab(TokenTable tokens);
  void take_merges(MergeTexts texts);
};

struct TokenizerDocument {
  nlohmann::json rest;  // without model.vocab and model.merges
  ModelLists lists;
};

/// Throws Error(model) naming the file and the malformed part.
TokenizerDocument read_tokenizer_json(const std::filesystem::path& file);
/// The same of a text; throws JsonError as well.
TokenizerDocument parse_tokenizer_json(std::string_view text, const std::filesystem::path& file);
/// The same of a whole document; `file` is for messages.
TokenizerDocument take_apart(nlohmann::json document, const std::filesystem::path& file);

/// What fills vocab and pieces, or merges. Throws Error(model) beginning with `location` for what is neither, and JsonError for a
/// token given twice.
JsonSink vocab_sink(ModelLists& lists, const JsonLocation& location);
JsonSink merges_sink(ModelLists& lists, const JsonLocation& location);
/// "left right" at `location`; throws Error(model) for other texts.
void add_merge(MergeTexts& merges, std::string_view text, const JsonLocation& location);

}  // namespace lora_dist
