// Reads normalizer, pre-tokenizer and decoder of tokenizer.json.
#include <algorithm>

#include "src/core/utf8.h"
#include "src/tokenizer/tokenizer_json.h"

namespace lora_dist {
namespace {

using nlohmann::json;

PrependScheme read_scheme(const json& step, const JsonLocation& location) {
  const bool add_space = bool_member(step, "add_prefix_space", true, location);
  if (member(step, "prepend_scheme", location).is_null()) {  // files older than prepend_scheme
    return add_space ? PrependScheme::always : PrependScheme::never;
  }
  const std::string name = text_member(step, "prepend_scheme", location);
  if (name != "always" && name != "first" && name != "never") {
    fail(location.at("prepend_scheme"), "must be always, first or never");
  }
  if (!add_space && name != "never") {
    fail(location, "says add_prefix_space = false, and prepend_scheme = " + name);
  }
  return name == "always" ? PrependScheme::always : name == "first" ? PrependScheme::first : PrependScheme::never;
}

SplitStep read_split(const json& step, const JsonLocation& location) {
  const std::string name = text_member(step, "behavior", location);
  const std::pair<const char*, SplitBehavior> names[] = {{"Removed", SplitBehavior::removed},
                                                         {"Isolated", SplitBehavior::isolated},
                                                         {"MergedWithPrevious", SplitBehavior::merged_with_previous},
                                                         {"MergedWithNext", SplitBehavior::merged_with_next},
                                                         {"Contiguous", SplitBehavior::contiguous}};
  const auto* found = std::find_if(std::begin(names), std::end(names), [&](const auto& entry) { return name == entry.first; });
  if (found == std::end(names)) {
    fail(location.at("behavior"), "must be Removed, Isolated, MergedWithPrevious, MergedWithNext or Contiguous");
  }
  return {read_pattern(step, location), found->second, bool_member(step, "invert", false, location)};
}

SplitStep read_digits(const json& step, const JsonLocation& location) {
  const bool one_by_one = bool_member(step, "individual_digits", false, location);
  return {compile_regex(R"(\p{N})"), one_by_one ? SplitBehavior::isolated : SplitBehavior::contiguous};
}

SplitStep read_punctuation(const json& step, const JsonLocation& location) {
  json as_split = step;
  if (member(step, "behavior", location).is_null()) {
    as_split["behavior"] = "Isolated";
  }
  as_split["pattern"] = {{"Regex", R"([\p{P}$+<=>\^`|~])"}};  // ASCII's punctuation includes nine symbols
  return read_split(as_split, location);
}

/// last: no step follows, so that pieces may stay bytes.
ByteLevelStep read_byte_level(const json& step, bool last, const JsonLocation& location) {
  ByteLevelStep out{bool_member(step, "add_prefix_space", true, location), {}, !last};
  if (bool_member(step, "use_regex", true, location)) {
    out.split.push_back(gpt2_split());
  }
  return out;
}

SplitStep read_delimiter(const json& step, const JsonLocation& location) {
  const std::string delimiter = text_member(step, "delimiter", location);
  if (delimiter.empty()) {
    fail(location.at("delimiter"), "must not be empty");
  }
  return {delimiter, SplitBehavior::removed};
}

/// Splits into words and groups of other characters; drops white space. Rust's \w includes the two joiners, Oniguruma's does not.
SplitStep whitespace_split() {
  return {compile_regex(R"([\w\x{200C}\x{200D}]+|[^\w\s\x{200C}\x{200D}]+)"), SplitBehavior::removed, true};
}

/// The characters that Google's NMT preprocessing treats as white space, and those that it drops.
void append_nmt(std::vector<NormalizeStep>& out) {
  out.emplace_back(ReplaceStep{compile_regex(R"([\x{1}-\x{8}\x{B}\x{E}-\x{1F}\x{7F}\x{8F}\x{9F}])"), ""});
  out.emplace_back(ReplaceStep{
      compile_regex(R"([\x{9}\x{A}\x{C}\x{D}\x{1680}\x{200B}-\x{200F}\x{2028}\x{2029}\x{2581}\x{FEFF}\x{FFFD}])"), " "});
}

CharsmapStep read_precompiled(const json& step, const JsonLocation& location) {
  const std::string text = text_member(step, "precompiled_charsmap", location);
  try {
    return {read_charsmap(from_base64(text))};
  } catch (const CharsmapError& e) {
    fail(location.at("precompiled_charsmap"), std::string(e.what()) + "; take the file from the model's publisher again");
  }
}

std::size_t count_member(const json& step, const char* key, const JsonLocation& location) {
  return static_cast<std::size_t>(count_of(member(step, key, location), 1 << 20, location.at(key)));
}

StripStep read_strip(const json& step, const JsonLocation& location) {
  StripStep out{text_member(step, "content", location), count_member(step, "start", location),
                count_member(step, "stop", location)};
  if (out.content.empty()) {
    fail(location.at("content"), "must not be empty");
  }
  return out;
}

}  // namespace

std::variant<std::string, Regex> read_pattern(const json& step, const JsonLocation& location) {
  const json& pattern = member(step, "pattern", location);
  const JsonLocation here = location.at("pattern");
  if (!member(pattern, "Regex", here).is_null()) {
    try {
      return compile_regex(text_member(pattern, "Regex", here));
    } catch (const RegexError& e) {
      fail(here.at("Regex"), e.what());
    }
  }
  std::string text = text_member(pattern, "String", here);
  if (text.empty()) {
    fail(here.at("String"), "must not be empty");
  }
  return text;
}

ReplaceStep read_replace(const json& step, const JsonLocation& location) {
  ReplaceStep out{read_pattern(step, location), text_member(step, "content", location)};
  out.of_front =
      std::holds_alternative<Regex>(out.from) && text_member(step["pattern"], "Regex", location.at("pattern")).starts_with("\\A");
  return out;
}

MetaspaceStep read_metaspace(const json& step, const JsonLocation& location) {
  MetaspaceStep out{text_member(step, "replacement", location), read_scheme(step, location),
                    bool_member(step, "split", true, location)};
  if (out.replacement.empty() || utf8_character(out.replacement) != out.replacement.size()) {
    fail(location.at("replacement"), "must be one character");
  }
  return out;
}

std::vector<NormalizeStep> read_normalizer(const json& component, const JsonLocation& location) {
  std::vector<NormalizeStep> out;
  for (const json& step : steps_of(component, "normalizers", location)) {
    const std::string type = text_member(step, "type", location);
    if (type == "Prepend") {
      out.emplace_back(PrependStep{text_member(step, "prepend", location)});
    } else if (type == "Replace") {
      out.emplace_back(read_replace(step, location));
    } else if (type == "NFC" || type == "NFD" || type == "NFKC" || type == "NFKD") {
      out.emplace_back(NormalFormStep{type == "NFC"    ? NormalForm::nfc
                                      : type == "NFD"  ? NormalForm::nfd
                                      : type == "NFKC" ? NormalForm::nfkc
                                                       : NormalForm::nfkd});
    } else if (type == "Nmt") {
      append_nmt(out);
    } else if (type == "StripAccents") {
      out.emplace_back(ReplaceStep{compile_regex(R"(\p{M})"), ""});
    } else if (type == "Precompiled") {
      out.emplace_back(read_precompiled(step, location));
    } else if (type == "ByteLevel") {
      out.emplace_back(ByteAlphabetStep{});
    } else if (type == "Lowercase") {
      out.emplace_back(LowercaseStep{});
    } else if (type == "Strip") {
      out.emplace_back(
          StripSpaceStep{bool_member(step, "strip_left", true, location), bool_member(step, "strip_right", true, location)});
    } else {
      refuse(location, type);
    }
  }
  return out;
}

std::vector<PreTokenizeStep> read_pre_tokenizer(const json& component, const JsonLocation& location) {
  std::vector<PreTokenizeStep> out;
  const std::vector<json> steps = steps_of(component, "pretokenizers", location);
  bool byte_level = false;
  for (std::size_t i = 0; i < steps.size(); ++i) {
    const std::string type = text_member(steps[i], "type", location);
    if (type == "Split") {
      out.emplace_back(read_split(steps[i], location));
    } else if (type == "ByteLevel") {
      if (byte_level) {
        refuse(location, "ByteLevel twice");
      }
      byte_level = true;
      out.emplace_back(read_byte_level(steps[i], i + 1 == steps.size(), location));
    } else if (type == "Metaspace") {
      out.emplace_back(read_metaspace(steps[i], location));
    } else if (type == "Digits") {
      out.emplace_back(read_digits(steps[i], location));
    } else if (type == "Punctuation") {
      out.emplace_back(read_punctuation(steps[i], location));
    } else if (type == "Whitespace") {
      out.emplace_back(whitespace_split());
    } else if (type == "WhitespaceSplit") {
      out.emplace_back(SplitStep{compile_regex(R"(\s)"), SplitBehavior::removed});
    } else if (type == "CharDelimiterSplit") {
      out.emplace_back(read_delimiter(steps[i], location));
    } else {
      refuse(location, type);
    }
  }
  return out;
}

std::vector<DecodeStep> read_decoder(const json& component, const JsonLocation& location) {
  std::vector<DecodeStep> out;
  for (const json& step : steps_of(component, "decoders", location)) {
    const std::string type = text_member(step, "type", location);
    if (type == "Replace") {
      out.emplace_back(read_replace(step, location));
    } else if (type == "ByteFallback") {
      out.emplace_back(ByteFallbackStep{});
    } else if (type == "Fuse") {
      out.emplace_back(FuseStep{});
    } else if (type == "Strip") {
      out.emplace_back(read_strip(step, location));
    } else if (type == "Metaspace") {
      out.emplace_back(read_metaspace(step, location));
    } else if (type == "ByteLevel") {
      out.emplace_back(FromByteLevelStep{});
    } else if (type == "BPEDecoder") {
      out.emplace_back(SuffixStep{text_member(step, "suffix", location)});
    } else {
      refuse(location, type);
    }
  }
  return out;
}

}  // namespace lora_dist
