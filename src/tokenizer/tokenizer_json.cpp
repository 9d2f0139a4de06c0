// Reads the whole document.
#include "src/tokenizer/tokenizer_json.h"

#include <algorithm>
#include <stdexcept>

namespace lora_dist {
namespace {

using nlohmann::json;

constexpr std::int64_t kIdLimit = 1 << 24;  // as for the vocabulary's

std::int32_t largest_id(const JsonTokenizer& tokenizer) {
  std::int32_t largest = vocab_of(tokenizer).largest_id();
  for (const AddedToken& token : tokenizer.added.tokens) {
    largest = std::max(largest, token.id);
  }
  return largest;
}

/// True if pieces are bytes instead of the vocabulary's alphabet.
bool ends_in_bytes(const PreTokenizeStep& step) {
  const auto* bytes = std::get_if<ByteLevelStep>(&step);
  return bytes != nullptr && !bytes->in_alphabet;
}

bool puts_first_only(const PreTokenizeStep& step) {
  const auto* metaspace = std::get_if<MetaspaceStep>(&step);
  return metaspace != nullptr && metaspace->scheme == PrependScheme::first;
}

}  // namespace

void refuse(const JsonLocation& location, const std::string& type) { fail(location, type + " is not supported yet"); }

std::int32_t read_token_id(const json& value, const JsonLocation& location) {
  return static_cast<std::int32_t>(count_of(value, kIdLimit, location));
}

std::vector<json> steps_of(const json& component, const std::string& list, const JsonLocation& location) {
  if (component.is_null()) {
    return {};
  }
  if (text_member(component, "type", location) != "Sequence") {
    return {component};
  }
  const json& members = member(component, list, location);
  if (!members.is_array()) {
    fail(location.at(list), "must be a list");
  }
  std::vector<json> steps;
  for (const json& one : members) {
    const std::vector<json> inner = steps_of(one, list, location.at(list));
    steps.insert(steps.end(), inner.begin(), inner.end());
  }
  return steps;
}

std::variant<BpeModel, UnigramModel> read_model(const json& model, ModelLists&& lists, const JsonLocation& location) {
  const json& named = member(model, "type", location);
  const bool list = lists.vocab_shape == ModelLists::Shape::list;
  const std::string type = named.is_string() ? named.get<std::string>() : list ? "Unigram" : "BPE";
  if (type == "Unigram") {
    return read_unigram_model(model, std::move(lists), location);
  }
  if (type != "BPE") {
    refuse(location, type.substr(0, 40));
  }
  return read_bpe_model(model, std::move(lists), location);
}

JsonTokenizer read_tokenizer_steps(TokenizerDocument whole, const std::filesystem::path& file) {
  const JsonLocation location{file, ""};
  JsonTokenizer out;
  const json& document = whole.rest;
  const json& model = member(document, "model", location);
  if (model.is_null()) {
    fail(location, "has no model; is this the tokenizer.json of Hugging Face's tokenizers?");
  }
  out.pre_tokenizer = read_pre_tokenizer(member(document, "pre_tokenizer", location), location.at("pre_tokenizer"));
  const bool of_bytes = !out.pre_tokenizer.empty() && ends_in_bytes(out.pre_tokenizer.back());
  out.model = read_model(model, std::move(whole.lists), location.at("model"));
  if (auto* bpe = std::get_if<BpeModel>(&out.model)) {
    bpe->of_bytes = of_bytes;
    find_words(*bpe);
  } else if (of_bytes) {
    std::get<ByteLevelStep>(out.pre_tokenizer.back()).in_alphabet = true;
  }
  out.normalizer = read_normalizer(member(document, "normalizer", location), location.at("normalizer"));
  out.asks_for_front =
      std::any_of(out.pre_tokenizer.begin(), out.pre_tokenizer.end(), puts_first_only) && may_lose_front(out.normalizer);
  out.decoder = read_decoder(member(document, "decoder", location), location.at("decoder"));
  out.has_decoder = !member(document, "decoder", location).is_null();
  Affixes affixes = read_post_processor(member(document, "post_processor", location), location.at("post_processor"));
  out.prefix = std::move(affixes.prefix);
  out.suffix = std::move(affixes.suffix);
  out.largest_id = largest_id(out);
  return out;
}

ModelVocabulary vocabulary_of(const JsonTokenizer& tokenizer) {
  const TokenTable& vocab = vocab_of(tokenizer);
  const auto* unigram = std::get_if<UnigramModel>(&tokenizer.model);
  return {static_cast<std::int32_t>(unigram != nullptr ? unigram->scores.size() : vocab.size()),
          [&vocab](std::string_view content) { return vocab.id_of(content); },
          [&vocab](std::int32_t id) { return std::optional<std::string>(vocab.text_of(id)); }};
}

void set_added_tokens(JsonTokenizer& tokenizer, const AddedVocabulary& added, const std::filesystem::path& file) {
  tokenizer.added.tokens = added.tokens();
  index_added_tokens(tokenizer.added, [&](std::string_view text) { return normalize(tokenizer.normalizer, text, true); });
  tokenizer.largest_id = largest_id(tokenizer);
  for (const auto* ids : {&tokenizer.prefix, &tokenizer.suffix}) {
    for (const std::int32_t id : *ids) {
      if (!token_text(tokenizer, id)) {
        fail({file, "post_processor"}, "puts in the id " + std::to_string(id) + ", which is no token");
      }
    }
  }
}

JsonTokenizer read_tokenizer_document(TokenizerDocument document, const std::filesystem::path& file) {
  const JsonLocation location{file, "added_tokens"};
  const std::vector<AddedToken> tokens = read_added_tokens(member(document.rest, "added_tokens", {file, ""}), location);
  JsonTokenizer out = read_tokenizer_steps(std::move(document), file);
  AddedVocabulary added(vocabulary_of(out));
  try {
    added.add(tokens);
  } catch (const std::runtime_error& e) {
    fail(location, e.what());
  }
  set_added_tokens(out, added, file);
  return out;
}

}  // namespace lora_dist
