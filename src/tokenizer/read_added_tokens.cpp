// Reads added tokens and post-processor of tokenizer.json.
#include "src/tokenizer/read_added_token.h"
#include "src/tokenizer/tokenizer_json.h"

namespace lora_dist {
namespace {

using nlohmann::json;

/// Ids before and after the text in the single-text template: [SpecialToken or Sequence A, ...].
Affixes read_template(const json& processor, const JsonLocation& location) {
  Affixes out;
  const json& pieces = member(processor, "single", location);
  if (!pieces.is_array()) {
    fail(location.at("single"), "must be a list");
  }
  int texts = 0;
  for (const json& piece : pieces) {
    const JsonLocation here = location.at("single");
    if (const json& text = member(piece, "Sequence", here); !text.is_null()) {
      ++texts;
      continue;
    }
    const std::string name = text_member(member(piece, "SpecialToken", here), "id", here.at("SpecialToken"));
    const json& special = member(member(processor, "special_tokens", location), name, location.at("special_tokens"));
    const json& ids = member(special, "ids", location.at("special_tokens"));
    if (!ids.is_array()) {
      fail(location.at("special_tokens"), "has no ids for " + name);
    }
    for (const json& id : ids) {
      (texts == 0 ? out.prefix : out.suffix).push_back(read_token_id(id, location.at("special_tokens")));
    }
  }
  if (texts != 1) {
    fail(location.at("single"), "must hold the text exactly once");
  }
  return out;
}

/// BERT's and RoBERTa's: [token, id] on each side.
std::int32_t read_side(const json& processor, const char* key, const JsonLocation& location) {
  const json& pair = member(processor, key, location);
  if (!pair.is_array() || pair.size() != 2) {
    fail(location.at(key), "must be a list of a token and its id");
  }
  return read_token_id(pair[1], location.at(key));
}

}  // namespace

std::vector<AddedToken> read_added_tokens(const json& list, const JsonLocation& location) {
  if (!list.is_null() && !list.is_array()) {
    fail(location, "must be a list");
  }
  std::vector<AddedToken> out;
  for (std::size_t i = 0; i < list.size(); ++i) {
    const JsonLocation here{location.file, location.path + "[" + std::to_string(i) + "]"};
    AddedToken token = read_added_token(list[i], here);
    token.id = read_token_id(member(list[i], "id", here), here.at("id"));
    if (!token.content.empty()) {
      out.push_back(std::move(token));
    }
  }
  return out;
}

Affixes read_post_processor(const json& component, const JsonLocation& location) {
  Affixes out;
  for (const json& step : steps_of(component, "processors", location)) {
    const std::string type = text_member(step, "type", location);
    Affixes one;
    if (type == "TemplateProcessing") {
      one = read_template(step, location);
    } else if (type == "BertProcessing" || type == "RobertaProcessing") {
      one = {{read_side(step, "cls", location)}, {read_side(step, "sep", location)}};
    } else if (type != "ByteLevel") {  // ByteLevel only changes offsets
      refuse(location, type);
    }
    out.prefix.insert(out.prefix.begin(), one.prefix.begin(), one.prefix.end());  // each one encloses the earlier ones
    out.suffix.insert(out.suffix.end(), one.suffix.begin(), one.suffix.end());
  }
  return out;
}

}  // namespace lora_dist
