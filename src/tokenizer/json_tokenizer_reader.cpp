// tokenizer.json to JsonTokenizer. What the Llama family does not use is refused by name rather than guessed.
#include <algorithm>

#include "src/io/strict_json.h"
#include "src/tokenizer/json_fields.h"
#include "src/tokenizer/json_tokenizer.h"
#include "src/tokenizer/utf8.h"

namespace lora_dist {
namespace {

using nlohmann::json;

constexpr std::int64_t kIdLimit = 1 << 24;  // far above any vocabulary; a lying id must not become an allocation

[[noreturn]] void refuse(const JsonPlace& place, const std::string& type) { fail(place, type + " is not supported yet"); }

std::int32_t read_id(const json& value, const JsonPlace& place) {
  return static_cast<std::int32_t>(count_of(value, kIdLimit, place));
}

/// The steps of a component: none for null, the members of a Sequence, else itself. `list`: the key of a Sequence's members.
std::vector<json> steps_of(const json& component, const std::string& list, const JsonPlace& place) {
  if (component.is_null()) {
    return {};
  }
  if (text_member(component, "type", place) != "Sequence") {
    return {component};
  }
  const json& members = member(component, list, place);
  if (!members.is_array()) {
    fail(place.at(list), "must be a list");
  }
  std::vector<json> steps;
  for (const json& one : members) {
    const std::vector<json> inner = steps_of(one, list, place.at(list));
    steps.insert(steps.end(), inner.begin(), inner.end());
  }
  return steps;
}

ReplaceStep read_replace(const json& step, const JsonPlace& place) {
  const json& pattern = member(step, "pattern", place);
  if (!member(pattern, "Regex", place.at("pattern")).is_null()) {
    refuse(place, "Replace with a regular expression");
  }
  ReplaceStep out{text_member(pattern, "String", place.at("pattern")), text_member(step, "content", place)};
  if (out.from.empty()) {
    fail(place.at("pattern.String"), "must not be empty");
  }
  return out;
}

std::vector<NormalizeStep> read_normalizer(const json& component, const JsonPlace& place) {
  std::vector<NormalizeStep> out;
  for (const json& step : steps_of(component, "normalizers", place)) {
    const std::string type = text_member(step, "type", place);
    if (type == "Prepend") {
      out.emplace_back(PrependStep{text_member(step, "prepend", place)});
    } else if (type == "Replace") {
      out.emplace_back(read_replace(step, place));
    } else {
      refuse(place, type);
    }
  }
  return out;
}

PrependScheme read_scheme(const json& step, const JsonPlace& place) {
  const bool add_space = bool_member(step, "add_prefix_space", true, place);
  if (member(step, "prepend_scheme", place).is_null()) {  // files older than prepend_scheme
    return add_space ? PrependScheme::always : PrependScheme::never;
  }
  const std::string name = text_member(step, "prepend_scheme", place);
  if (name != "always" && name != "first" && name != "never") {
    fail(place.at("prepend_scheme"), "must be always, first or never");
  }
  if (!add_space && name != "never") {
    fail(place, "says add_prefix_space = false, and prepend_scheme = " + name);
  }
  return name == "always" ? PrependScheme::always : name == "first" ? PrependScheme::first : PrependScheme::never;
}

MetaspaceStep read_metaspace(const json& step, const JsonPlace& place) {
  MetaspaceStep out{text_member(step, "replacement", place), read_scheme(step, place), bool_member(step, "split", true, place)};
  if (out.replacement.empty() || utf8_character(out.replacement) != out.replacement.size()) {
    fail(place.at("replacement"), "must be one character");
  }
  return out;
}

std::vector<MetaspaceStep> read_pre_tokenizer(const json& component, const JsonPlace& place) {
  const std::vector<json> steps = steps_of(component, "pretokenizers", place);
  const auto type_of = [&](const json& step) { return text_member(step, "type", place); };
  // The one that tells what kind of tokenizer it is, whatever stands before it.
  if (std::any_of(steps.begin(), steps.end(), [&](const json& step) { return type_of(step) == "ByteLevel"; })) {
    refuse(place, "ByteLevel");
  }
  std::vector<MetaspaceStep> out;
  for (const json& step : steps) {
    if (type_of(step) != "Metaspace") {
      refuse(place, type_of(step));
    }
    out.push_back(read_metaspace(step, place));
  }
  return out;
}

std::vector<DecodeStep> read_decoder(const json& component, const JsonPlace& place) {
  std::vector<DecodeStep> out;
  for (const json& step : steps_of(component, "decoders", place)) {
    const std::string type = text_member(step, "type", place);
    if (type == "Replace") {
      out.emplace_back(read_replace(step, place));
    } else if (type == "ByteFallback") {
      out.emplace_back(ByteFallbackStep{});
    } else if (type == "Fuse") {
      out.emplace_back(FuseStep{});
    } else if (type == "Strip") {
      out.emplace_back(StripStep{text_member(step, "content", place),
                                 static_cast<std::size_t>(count_of(member(step, "start", place), 1 << 20, place.at("start"))),
                                 static_cast<std::size_t>(count_of(member(step, "stop", place), 1 << 20, place.at("stop")))});
      if (std::get<StripStep>(out.back()).content.empty()) {
        fail(place.at("content"), "must not be empty");
      }
    } else if (type == "Metaspace") {
      out.emplace_back(read_metaspace(step, place));
    } else {
      refuse(place, type);
    }
  }
  return out;
}

void read_vocabulary(const json& model, const JsonPlace& place, BpeModel& out) {
  const json& vocab = member(model, "vocab", place);
  if (!vocab.is_object() || vocab.empty()) {
    fail(place.at("vocab"), vocab.is_array() ? "is a list, as in Unigram models, which are not supported yet"
                                             : "must be an object of tokens and their ids");
  }
  for (const auto& [token, value] : vocab.items()) {
    const std::int32_t id = read_id(value, place.at("vocab"));
    if (!out.tokens.emplace(id, token).second) {
      fail(place.at("vocab"), "gives the id " + std::to_string(id) + " to two tokens");
    }
    out.ids.emplace(token, id);
  }
}

std::pair<std::string, std::string> read_merge(const json& merge, const JsonPlace& place) {
  if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
    return {merge[0].get<std::string>(), merge[1].get<std::string>()};
  }
  if (merge.is_string()) {
    const std::string text = merge.get<std::string>();
    const std::size_t space = text.find(' ');
    if (space != std::string::npos && text.find(' ', space + 1) == std::string::npos) {
      return {text.substr(0, space), text.substr(space + 1)};
    }
  }
  fail(place, "is neither \"left right\" nor [\"left\", \"right\"]");
}

void read_merges(const json& model, const JsonPlace& place, BpeModel& out) {
  const json& merges = member(model, "merges", place);
  if (!merges.is_array()) {
    fail(place.at("merges"), "must be a list");
  }
  std::int32_t rank = 0;
  for (std::size_t i = 0; i < merges.size(); ++i) {
    if (merges[i].is_string() && merges[i].get_ref<const std::string&>().starts_with("#version")) {
      continue;
    }
    const JsonPlace here = place.at("merges[" + std::to_string(i) + "]");
    const auto [left, right] = read_merge(merges[i], here);
    const auto a = out.ids.find(left), b = out.ids.find(right), both = out.ids.find(left + right);
    if (a == out.ids.end() || b == out.ids.end() || both == out.ids.end()) {
      fail(here, "uses a token that is not in the vocabulary");
    }
    out.merges.insert_or_assign(merge_key(a->second, b->second), BpeMerge{rank++, both->second});
  }
}

BpeModel read_model(const json& model, const JsonPlace& place) {
  const json& type = member(model, "type", place);
  if (type.is_string() && type.get<std::string>() != "BPE") {
    refuse(place, type.get<std::string>().substr(0, 40));
  }
  for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    const json& value = member(model, key, place);
    if (!value.is_null() && value != "") {
      refuse(place, key);
    }
  }
  if (const json& dropout = member(model, "dropout", place); !dropout.is_null() && dropout != 0.0) {
    refuse(place, "dropout");
  }
  BpeModel out;
  read_vocabulary(model, place, out);
  read_merges(model, place, out);
  out.fuse_unk = bool_member(model, "fuse_unk", false, place);
  out.byte_fallback = bool_member(model, "byte_fallback", false, place);
  out.ignore_merges = bool_member(model, "ignore_merges", false, place);
  if (!member(model, "unk_token", place).is_null()) {
    const auto found = out.ids.find(text_member(model, "unk_token", place));
    if (found == out.ids.end()) {
      fail(place.at("unk_token"), "is not in the vocabulary");
    }
    out.unk = found->second;
  }
  return out;
}

std::vector<AddedToken> read_added_tokens(const json& list, const BpeModel& model, const JsonPlace& place) {
  if (!list.is_null() && !list.is_array()) {
    fail(place, "must be a list");
  }
  std::vector<AddedToken> out;
  for (std::size_t i = 0; i < list.size(); ++i) {
    const JsonPlace here{place.file, place.path + "[" + std::to_string(i) + "]"};
    AddedToken token;
    token.content = text_member(list[i], "content", here);
    const auto in_model = model.ids.find(token.content);
    const std::int32_t id = read_id(member(list[i], "id", here), here.at("id"));
    token.id = in_model == model.ids.end() ? id : in_model->second;  // the vocabulary's own id wins, as in tokenizers
    token.lstrip = bool_member(list[i], "lstrip", false, here);
    token.rstrip = bool_member(list[i], "rstrip", false, here);
    token.special = bool_member(list[i], "special", false, here);
    token.normalized = bool_member(list[i], "normalized", !token.special, here);
    if (bool_member(list[i], "single_word", false, here)) {
      refuse(here, "single_word");
    }
    if (!token.content.empty()) {
      out.push_back(std::move(token));
    }
  }
  return out;
}

/// Ids before and after the text in the template of one text: [SpecialToken or Sequence A, ...].
void read_template(const json& processor, const JsonPlace& place, JsonTokenizer& out) {
  const json& pieces = member(processor, "single", place);
  if (!pieces.is_array()) {
    fail(place.at("single"), "must be a list");
  }
  int texts = 0;
  for (const json& piece : pieces) {
    const JsonPlace here = place.at("single");
    if (const json& text = member(piece, "Sequence", here); !text.is_null()) {
      ++texts;
      continue;
    }
    const std::string name = text_member(member(piece, "SpecialToken", here), "id", here.at("SpecialToken"));
    const json& special = member(member(processor, "special_tokens", place), name, place.at("special_tokens"));
    const json& ids = member(special, "ids", place.at("special_tokens"));
    if (!ids.is_array()) {
      fail(place.at("special_tokens"), "has no ids for " + name);
    }
    for (const json& id : ids) {
      (texts == 0 ? out.prefix : out.suffix).push_back(read_id(id, place.at("special_tokens")));
    }
  }
  if (texts != 1) {
    fail(place.at("single"), "must hold the text exactly once");
  }
}

void read_post_processor(const json& component, const JsonPlace& place, JsonTokenizer& out) {
  for (const json& step : steps_of(component, "processors", place)) {
    const std::string type = text_member(step, "type", place);
    if (type == "TemplateProcessing") {
      read_template(step, place, out);
    } else {
      refuse(place, type);
    }
  }
}

std::int32_t largest_id(const JsonTokenizer& tokenizer) {
  std::int32_t largest = 0;
  for (const auto& [id, token] : tokenizer.model.tokens) {
    largest = std::max(largest, id);
  }
  for (const AddedToken& token : tokenizer.added.tokens) {
    largest = std::max(largest, token.id);
  }
  return largest;
}

}  // namespace

JsonTokenizer read_tokenizer_json(const std::filesystem::path& file) {
  const json document = read_json_file(file, ExitCode::model);
  const JsonPlace place{file, ""};
  JsonTokenizer out;
  const json& model = member(document, "model", place);
  if (model.is_null()) {
    fail(place, "has no model; is this the tokenizer.json of Hugging Face's tokenizers?");
  }
  out.pre_tokenizer = read_pre_tokenizer(member(document, "pre_tokenizer", place), place.at("pre_tokenizer"));
  out.model = read_model(model, place.at("model"));
  out.normalizer = read_normalizer(member(document, "normalizer", place), place.at("normalizer"));
  out.decoder = read_decoder(member(document, "decoder", place), place.at("decoder"));
  out.has_decoder = !member(document, "decoder", place).is_null();
  read_post_processor(member(document, "post_processor", place), place.at("post_processor"), out);
  out.added.tokens = read_added_tokens(member(document, "added_tokens", place), out.model, place.at("added_tokens"));
  index_added_tokens(out.added, [&](std::string_view text) { return normalize(out.normalizer, text, true); });
  out.largest_id = largest_id(out);
  for (const auto* ids : {&out.prefix, &out.suffix}) {
    for (const std::int32_t id : *ids) {
      if (!token_text(out, id)) {
        fail(place.at("post_processor"), "puts in the id " + std::to_string(id) + ", which is no token");
      }
    }
  }
  return out;
}

}  // namespace lora_dist
