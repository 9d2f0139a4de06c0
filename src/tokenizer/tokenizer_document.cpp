// Builds the document from three sources, and from classes with their own pipelines.
#include "src/tokenizer/tokenizer_document.h"

#include <algorithm>
#include <stdexcept>
#include <unordered_set>

#include "src/core/error.h"
#include "src/io/file.h"
#include "src/io/gguf_model.h"
#include "src/io/strict_json.h"
#include "src/tokenizer/piece_merges.h"
#include "src/tokenizer/sentencepiece_tokenizer.h"
#include "src/tokenizer/tokenizer_json.h"
#include "src/tokenizer/vocabulary_files.h"

namespace lora_dist {
namespace {

using nlohmann::json;

std::vector<ListedToken> listed_tokens(const json& document, const JsonLocation& location) {
  std::vector<ListedToken> out;
  for (AddedToken& token : read_added_tokens(member(document, "added_tokens", location), location.at("added_tokens"))) {
    out.push_back({std::move(token), "added_tokens of tokenizer.json"});
  }
  return out;
}

std::optional<std::string> padding_token(const json& document, const JsonLocation& location) {
  const json& padding = member(document, "padding", location);
  if (padding.is_null() || member(padding, "pad_token", location.at("padding")).is_null()) {
    return std::nullopt;
  }
  return text_member(padding, "pad_token", location.at("padding"));
}

/// The texts of the pieces. As in TokenizersBackend, a piece takes the text that the folder lists under its id, unless another
/// piece has it.
std::vector<std::string> names_of_pieces(const SentencePieceFile& file, const FolderTokens& tokens) {
  std::vector<std::string> names;
  for (const auto& piece : file.pieces) {
    names.push_back(piece.text);
  }
  std::unordered_set<std::size_t> listed;
  for (const ListedToken& one : tokens.listed) {
    listed.insert(static_cast<std::size_t>(one.token.id));
  }
  std::unordered_set<std::string> kept;
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (!listed.contains(i)) {
      kept.insert(names[i]);
    }
  }
  for (const ListedToken& one : tokens.listed) {
    const auto id = static_cast<std::size_t>(one.token.id);
    if (id < names.size() && !kept.contains(one.token.content)) {
      names[id] = one.token.content;
    }
  }
  return names;
}

/// A component's steps without parts that do not affect ids, for comparison.
json plain_steps(const json& component, const char* list, const JsonLocation& location) {
  json out = json::array();
  for (json step : steps_of(component, list, location)) {
    const std::string type = text_member(step, "type", location);
    step.erase("trim_offsets");
    step.erase("str_rep");
    if (type == "Metaspace") {
      step.erase("add_prefix_space");
    } else if (type == "ByteLevel" && !step.contains("use_regex")) {
      step["use_regex"] = true;
    } else if (type == "Split" && !step.contains("invert")) {
      step["invert"] = false;
    }
    out.push_back(std::move(step));
  }
  return out;
}

bool same_steps(const json& built, const json& file, const JsonLocation& location) {
  const auto same = [&](const char* key, const char* list) {
    return plain_steps(member(built, key, location), list, location.at(key)) ==
           plain_steps(member(file, key, location), list, location.at(key));
  };
  const JsonLocation model = location.at("model");
  const auto flag = [&](const json& document, const char* key) {
    return bool_member(member(document, "model", location), key, false, model);
  };
  return same("normalizer", "normalizers") && same("pre_tokenizer", "pretokenizers") &&
         flag(built, "byte_fallback") == flag(file, "byte_fallback") &&
         flag(built, "ignore_merges") == flag(file, "ignore_merges");
}

/// Notes differences between versions 4 and 5 for a tokenizer.model.
void note_version_4(const FolderFiles& files, const TokenizerClass& tokenizer_class, std::vector<std::string>& notes) {
  const TokenizerClass* of_4 = tokenizer_class_of_4(files);
  if (of_4 != nullptr && of_4->build != nullptr && of_4->name != tokenizer_class.name) {
    notes.push_back("transformers 4 makes a " + std::string(of_4->name) + " of tokenizer.model, transformers 5 a " +
                    std::string(tokenizer_class.name) + ", which treats spaces otherwise; ids are those of version 5");
  } else if (of_4 != nullptr && of_4->bos_in_4) {
    notes.push_back("transformers 4 and 5 do not make the same " + std::string(of_4->name) +
                    " of tokenizer.model (spaces in front of a text and behind special tokens); ids are those of version 5");
  }
}

/// Refuses other models than the class's own, which are BPE.
void check_model_type(const json& model, const ModelLists& lists, const TokenizerClass& tokenizer_class,
                      const JsonLocation& location) {
  const json& type = member(model, "type", location);
  if ((type.is_string() && type != "BPE") || lists.vocab_shape == ModelLists::Shape::list) {
    fail(location, "is " + (type.is_string() ? type.get<std::string>().substr(0, 40) : "Unigram") + ", and " +
                       std::string(tokenizer_class.name) +
                       " of transformers 5 makes BPE of it; name PreTrainedTokenizerFast as tokenizer_class in "
                       "tokenizer_config.json if the file is to count as it stands");
  }
}

TokenizerDocument built_around(TokenizerDocument& whole, const FolderFiles& files, const TokenizerClass& tokenizer_class,
                               ClassArguments arguments, std::vector<std::string>& notes) {
  const JsonLocation location{files.vocabulary_file(), ""};
  const json& file = whole.rest;
  if (member(file, "model", location).is_null()) {
    return whole;  // rejected when read
  }
  if (files.source == VocabularySource::tokenizer_json) {
    check_model_type(file["model"], whole.lists, tokenizer_class, location.at("model"));
  }
  if (arguments.unk && !whole.lists.vocab.contains(*arguments.unk)) {
    arguments.unk.reset();
  }
  json out = tokenizer_class.build(arguments);
  if (files.source == VocabularySource::tokenizer_json && !same_steps(out, file, location)) {
    notes.push_back(
        std::string(tokenizer_class.name) +
        " of transformers 5 normalizes and cuts text by steps of its own, not by those of tokenizer.json, as version 4 "
        "does; ids are those of version 5");
  }
  out["post_processor"] = member(file, "post_processor", location);
  return {std::move(out), std::move(whole.lists)};
}

TokenizerDocument read_two_files(const FolderFiles& files, const TokenizerClass& tokenizer_class) {
  if (!tokenizer_class.reads_vocab_and_merges) {
    const std::string named = files.config.contains("tokenizer_class") && files.config["tokenizer_class"].is_string()
                                  ? files.config["tokenizer_class"].get<std::string>()
                                  : std::string(tokenizer_class.name);
    throw Error(ExitCode::model,
                files.config_file().string() + ": how " + named.substr(0, 100) +
                    " cuts text is not known from vocab.json and merges.txt; put the model's tokenizer.json beside "
                    "them");
  }
  return {{{"model", json::object()}}, read_vocabulary_files(files.folder)};
}

SentencePieceFile read_pieces(const std::filesystem::path& file) {
  const std::string bytes = read_text_file(file, ExitCode::model);
  check_tokenizer_model(bytes, file);
  try {
    return read_sentencepiece_file(bytes);
  } catch (const std::runtime_error& e) {
    throw Error(ExitCode::model, file.string() + " is not a sentencepiece model (" + e.what() + ")");
  }
}

}  // namespace

VocabularyFile read_vocabulary_file(const FolderFiles& files, const TokenizerClass& tokenizer_class) {
  VocabularyFile out;
  const std::filesystem::path file = files.vocabulary_file();
  switch (files.source) {
    case VocabularySource::tokenizer_model:
      out.pieces = read_pieces(file);
      break;
    case VocabularySource::vocab_and_merges:
      out.document = read_two_files(files, tokenizer_class);
      break;
    case VocabularySource::tokenizer_json:
      out.document = files.gguf ? take_apart(gguf_tokenizer(read_gguf(*files.gguf)), file) : read_tokenizer_json(file);
      out.added = listed_tokens(out.document.rest, {file, ""});
      out.pad = padding_token(out.document.rest, {file, ""});
  }
  return out;
}

bool needs_sentencepiece(const VocabularyFile& vocabulary, const TokenizerClass& tokenizer_class) {
  return vocabulary.pieces && tokenizer_class.build == nullptr && (!vocabulary.pieces->is_bpe || vocabulary.pieces->has_charsmap);
}

void add_tokens_of_pieces(const SentencePieceFile& pieces, const FolderFiles& files, const TokenizerClass& tokenizer_class,
                          FolderTokens& tokens, std::vector<std::string>& notes) {
  note_version_4(files, tokenizer_class, notes);
  const bool as_it_stands = tokenizer_class.build == nullptr;
  if (!tokens.extra_given) {
    tokens.extra.clear();
    for (const auto& piece : pieces.pieces) {
      if (piece.type == PieceType::control || (piece.type == PieceType::user_defined && !as_it_stands)) {
        FolderToken token{{.content = piece.text, .special = piece.type == PieceType::control}, false, true};
        tokens.extra.push_back(std::move(token));
      }
    }
  }
  if (!as_it_stands) {
    return;
  }
  const auto set = [&](const char* key, bool there, const std::string& text, const char* otherwise) {
    if (there) {
      set_default_token(tokens, files, key, text.empty() ? otherwise : text);
    }
  };
  set("bos_token", pieces.has_bos, pieces.bos, "<s>");
  set("eos_token", pieces.has_eos, pieces.eos, "</s>");
  set("unk_token", pieces.has_unk, pieces.unk, "<unk>");
  if (pieces.dummy_prefix) {
    for (ListedToken& one : tokens.listed) {
      one.token.normalized = false;
    }
  }
}

TokenizerDocument make_tokenizer_document(VocabularyFile& vocabulary, const FolderFiles& files,
                                          const TokenizerClass& tokenizer_class, const FolderTokens& tokens,
                                          std::vector<std::string>& notes) {
  ClassArguments arguments = class_arguments(files, tokenizer_class);
  arguments.unk = named_content(tokens, "unk_token");
  if (vocabulary.pieces && tokenizer_class.build == nullptr) {
    return document_of_pieces(*vocabulary.pieces, names_of_pieces(*vocabulary.pieces, tokens), arguments.legacy);
  }
  if (vocabulary.pieces) {
    vocabulary.document.rest = {{"model", json::object()}};
    vocabulary.document.lists.take_vocab(vocab_of_pieces(*vocabulary.pieces));
    vocabulary.document.lists.take_merges(merges_of_pieces(*vocabulary.pieces));
  }
  if (tokenizer_class.build == nullptr) {
    return std::move(vocabulary.document);
  }
  return built_around(vocabulary.document, files, tokenizer_class, std::move(arguments), notes);
}

}  // namespace lora_dist
