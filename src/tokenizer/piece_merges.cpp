// Makes merges and steps as JSON, for the reader of tokenizer.json.
#include "src/tokenizer/piece_merges.h"

#include <algorithm>
#include <cctype>
#include <numeric>
#include <string_view>
#include <unordered_map>

#include "src/core/utf8.h"
#include "src/tokenizer/class_pipelines.h"

namespace lora_dist {
namespace {

using nlohmann::json;

using PieceIds = std::unordered_map<std::string_view, std::size_t>;

void append_cuts(std::string_view piece, const PieceIds& pieces, MergeTexts& merges) {
  for (std::size_t at = utf8_maximal_subpart(piece); at < piece.size(); at += utf8_maximal_subpart(piece.substr(at))) {
    const std::string_view left = piece.substr(0, at), right = piece.substr(at);
    if (pieces.contains(left) && pieces.contains(right)) {
      merges.add(left, right);
    }
  }
}

json normalizer_of(const SentencePieceFile& file, bool legacy) {
  json steps = json::array();
  if (file.merges_spaces) {
    steps.push_back(replace_step({{"Regex", R"(\A +| +\z)"}}, ""));
    steps.push_back(replace_step({{"Regex", " {2,}"}}, " "));
  }
  if (file.escapes_spaces) {
    steps.push_back(replace_step({{"String", " "}}, kUnderline));
  }
  if (file.dummy_prefix && legacy) {  // Metaspace does not prepend to an underline, sentencepiece does
    steps.push_back(replace_step({{"Regex", "\\A" + std::string(kUnderline)}}, "\xE2\x96\x81\xE2\x96\x81"));
  }
  return {{"type", "Sequence"}, {"normalizers", std::move(steps)}};
}

std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x80 && std::isalnum(byte) == 0 && c != '_') {
      out += '\\';
    }
    out += c;
  }
  return out;
}

/// User-defined pieces, the longest (in characters) first; they are never split.
std::string user_defined_pattern(const SentencePieceFile& file, const std::vector<std::string>& names) {
  std::vector<std::string_view> pieces;
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (file.pieces[i].type == PieceType::user_defined) {
      pieces.emplace_back(names[i]);
    }
  }
  const auto length = [](std::string_view text) {
    return std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; });
  };
  std::stable_sort(pieces.begin(), pieces.end(), [&](auto a, auto b) { return length(a) > length(b); });
  std::string out;
  for (const std::string_view piece : pieces) {
    out += (out.empty() ? "" : "|") + escaped(piece);
  }
  return out;
}

json pre_tokenizer_of(const SentencePieceFile& file, const std::string& user_defined, bool legacy) {
  json steps = json::array();
  if (file.dummy_prefix) {
    steps.push_back(
        {{"type", "Metaspace"}, {"replacement", kUnderline}, {"prepend_scheme", legacy ? "always" : "first"}, {"split", false}});
  }
  if (!user_defined.empty()) {
    steps.push_back({{"type", "Split"}, {"pattern", {{"Regex", user_defined}}}, {"behavior", "Isolated"}, {"invert", false}});
  }
  return {{"type", "Sequence"}, {"pretokenizers", std::move(steps)}};
}

json decoder_of(const SentencePieceFile& file) {
  json steps = json::array({replace_step({{"String", kUnderline}}, " ")});
  if (file.byte_fallback) {
    steps.push_back({{"type", "ByteFallback"}});
  }
  if (file.dummy_prefix || file.byte_fallback) {
    steps.push_back({{"type", "Fuse"}});
  }
  if (file.dummy_prefix) {
    steps.push_back({{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}});
  }
  return {{"type", "Sequence"}, {"decoders", std::move(steps)}};
}

/// Only normal pieces merge, by decreasing score.
MergeTexts merges_by_score(const SentencePieceFile& file, const std::vector<std::string>& names) {
  PieceIds normal;
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (file.pieces[i].type == PieceType::normal) {
      normal[names[i]] = i;
    }
  }
  std::vector<std::size_t> order;
  for (const auto& [piece, id] : normal) {
    order.push_back(id);
  }
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    const float left = file.pieces[a].score, right = file.pieces[b].score;
    return left != right ? left > right : a < b;
  });
  MergeTexts merges;
  for (const std::size_t id : order) {
    append_cuts(names[id], normal, merges);
  }
  return merges;
}

}  // namespace

TokenTable vocab_of_pieces(const SentencePieceFile& file) {
  TokenTable out;
  for (std::size_t i = 0; i < file.pieces.size(); ++i) {
    out.assign(file.pieces[i].text, static_cast<std::int32_t>(i));
  }
  return out;
}

MergeTexts merges_of_pieces(const SentencePieceFile& file) {
  PieceIds pieces;
  for (std::size_t i = 0; i < file.pieces.size(); ++i) {
    pieces[file.pieces[i].text] = i;
  }
  MergeTexts merges;
  for (std::size_t i = 0; i < file.pieces.size(); ++i) {
    if (pieces.at(file.pieces[i].text) == i) {
      append_cuts(file.pieces[i].text, pieces, merges);
    }
  }
  return merges;
}

TokenizerDocument document_of_pieces(const SentencePieceFile& file, const std::vector<std::string>& names, bool legacy) {
  const std::string user_defined = user_defined_pattern(file, names);
  TokenTable vocab;
  for (std::size_t i = 0; i < names.size(); ++i) {
    vocab.assign(names[i], static_cast<std::int32_t>(i));
  }
  json model = {
      {"type", "BPE"}, {"fuse_unk", true}, {"byte_fallback", file.byte_fallback}, {"ignore_merges", !user_defined.empty()}};
  if (vocab.contains(file.unk)) {
    model["unk_token"] = file.unk;
  }
  TokenizerDocument out;
  out.rest = {{"model", std::move(model)},
              {"normalizer", normalizer_of(file, legacy)},
              {"pre_tokenizer", pre_tokenizer_of(file, user_defined, legacy)},
              {"decoder", decoder_of(file)}};
  out.lists.take_vocab(std::move(vocab));
  out.lists.take_merges(merges_by_score(file, names));
  return out;
}

}  // namespace lora_dist
