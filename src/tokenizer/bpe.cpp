// Splits a piece into symbols, after models/bpe/model.rs of tokenizers.
#include "src/tokenizer/bpe.h"

#include "src/core/utf8.h"
#include "src/tokenizer/byte_alphabet.h"
#include "src/tokenizer/byte_tokens.h"
#include "src/tokenizer/merge_symbols.h"

namespace lora_dist {
namespace {

/// The character in the vocabulary's form: with the prefix unless first, with the suffix if last.
std::string_view decorated(const BpeModel& model, std::string_view character, bool first, bool last, std::string& room) {
  const std::string_view prefix = first ? std::string_view{} : model.continuation_prefix;
  const std::string_view suffix = last ? model.end_suffix : std::string_view{};
  if (prefix.empty() && suffix.empty()) {
    return character;
  }
  room.assign(prefix).append(character).append(suffix);
  return room;
}

/// One id per character, or its bytes, or unk. A pending unk is emitted only before the next known character, so that fuse_unk
/// works across byte-fallback characters, as in the original.
std::vector<std::int32_t> characters(const BpeModel& model, std::string_view piece) {
  std::vector<std::int32_t> out;
  out.reserve(piece.size());
  std::string room;
  bool pending_unk = false;
  for (bool first = true; !piece.empty(); first = false) {
    const std::size_t bytes = utf8_maximal_subpart(piece);
    const std::string_view character = decorated(model, piece.substr(0, bytes), first, bytes == piece.size(), room);
    piece.remove_prefix(bytes);
    if (const auto found = model.vocab.id_of(character)) {
      if (pending_unk) {
        out.push_back(*model.unk);
        pending_unk = false;
      }
      out.push_back(*found);
    } else if (model.byte_fallback && append_byte_tokens(model.vocab, character, out)) {
      continue;
    } else if (model.unk) {
      if (pending_unk && !model.fuse_unk) {
        out.push_back(*model.unk);
      }
      pending_unk = true;
    }
  }
  if (pending_unk) {
    out.push_back(*model.unk);
  }
  return out;
}

/// Encodes a word that is not in the cache.
std::vector<std::int32_t> merged(const BpeModel& model, std::string_view word) {
  if (model.ignore_merges) {
    if (const auto found = model.vocab.id_of(word)) {
      return {*found};
    }
  }
  std::vector<std::int32_t> ids = characters(model, word);
  merge_symbols(model.merges, ids);
  return ids;
}

void encode_word(const BpeModel& model, WordCache& cache, std::string_view word, std::vector<std::int32_t>& out) {
  if (word.empty() || cache.find(word, out)) {
    return;
  }
  const std::vector<std::int32_t> ids = model.of_bytes ? merged(model, to_byte_alphabet(word)) : merged(model, word);
  cache.keep(word, ids.data(), ids.size());
  out.insert(out.end(), ids.begin(), ids.end());
}

/// True if every character produces a symbol. A character without one lets its neighbours merge.
bool keeps_every_character(const BpeModel& model) {
  if (!model.byte_fallback) {
    return model.unk.has_value();
  }
  std::vector<std::int32_t> bytes;
  std::string all;
  for (int byte = 0; byte < 256; ++byte) {
    all.push_back(static_cast<char>(byte));
  }
  return append_byte_tokens(model.vocab, all, bytes);
}

/// The next cut after `from`: before a word_start that follows another character, which is no bridge.
std::size_t end_of_word(const BpeModel& model, std::string_view piece, std::size_t from) {
  const std::string_view start = model.word_start;
  do {
    while (piece.substr(from).starts_with(start)) {
      from += start.size();
    }
    from = std::min(piece.find(start, from), piece.size());
  } while (from < piece.size() && model.bridges.test(static_cast<unsigned char>(piece[from - 1])));
  return from;
}

}  // namespace

void find_words(BpeModel& model) {
  if (model.of_bytes || model.ignore_merges || !model.continuation_prefix.empty() || !model.end_suffix.empty() ||
      !model.vocab.contains(kUnderline) || !keeps_every_character(model)) {
    return;
  }
  model.word_start = kUnderline;
  for (std::size_t i = 0; i < model.vocab.size(); ++i) {
    const std::string_view token = model.vocab.token(i);
    for (std::size_t at = end_of_word(model, token, 0); at < token.size(); at = end_of_word(model, token, at)) {
      model.bridges.set(static_cast<unsigned char>(token[at - 1]));
    }
  }
}

void encode_piece(const BpeModel& model, WordCache& cache, std::string_view piece, std::vector<std::int32_t>& out) {
  if (model.word_start.empty()) {
    encode_word(model, cache, piece, out);
    return;
  }
  for (std::size_t at = 0; at < piece.size();) {
    const std::size_t end = end_of_word(model, piece, at);
    encode_word(model, cache, piece.substr(at, end - at), out);
    at = end;
  }
}

}  // namespace lora_dist
