// TokenizersBackend of transformers 5.24.0: with a tokenizer.json, both flags are ignored and its post_processor decides.
#include "src/tokenizer/special_affixes.h"

#include <algorithm>

#include "src/tokenizer/json_fields.h"

namespace lora_dist {
namespace {

/// The settings of one end of a text.
struct End {
  const char* key;        // the flag
  const char* token_key;  // the token
  const char* name;       // for messages
  const char* side;
  std::vector<std::int32_t>* ids;
  std::string* reason;
  std::optional<std::int32_t> token;
  bool otherwise;                   // the default without the flag
  std::optional<bool> otherwise_4;  // the default in version 4, which uses the flag
};

void from_flag(const End& end, std::optional<bool> flag, std::vector<std::string>& notes) {
  end.ids->clear();
  if (!flag.value_or(end.otherwise)) {
    *end.reason = flag ? std::string(end.key) + " = false in tokenizer_config.json"
                       : std::string("no ") + end.key + " = true in tokenizer_config.json";
    return;
  }
  *end.reason = flag ? std::string(end.key) + " of tokenizer_config.json" : "the tokenizer class, by default";
  if (end.token) {
    end.ids->push_back(*end.token);
    return;
  }
  *end.reason = std::string("the folder has no ") + end.token_key;
  notes.push_back(std::string(end.key) + " is true, but the folder has no " + end.token_key + ": no " + end.name + " stands " +
                  end.side + " a text");
}

void from_class(const End& end, const TokenizerClass& tokenizer_class) {
  end.ids->clear();
  *end.reason = std::string(tokenizer_class.name) + " of transformers 5, whatever tokenizer.json and tokenizer_config.json say";
  if (end.otherwise && end.token) {
    end.ids->push_back(*end.token);
  }
}

/// Adds a note if a flag contradicts the file or class, or if version 4 differs.
void note_flag(const End& end, std::optional<bool> flag, bool by_flag, std::vector<std::string>& notes) {
  const bool there = !end.ids->empty();
  const bool in_4 = end.otherwise_4 && flag.value_or(*end.otherwise_4) && end.token.has_value();
  const bool differs_in_4 = end.otherwise_4 && in_4 != there;
  if (flag && *flag != there && !by_flag) {
    notes.push_back(std::string(end.key) + " = " + (*flag ? "true" : "false") +
                    " in tokenizer_config.json has no effect in transformers 5, nor here: " + (there ? "" : "no ") + end.name +
                    " stands " + end.side + " a text (" + *end.reason + ")" + (differs_in_4 ? "; transformers 4 obeys it" : ""));
  } else if (differs_in_4) {
    notes.push_back(std::string("transformers 4 puts ") + (in_4 ? "" : "no ") + end.name + " " + end.side +
                    " a text, transformers 5 " + (there ? "does" : "does not") + "; this program follows version 5 (" +
                    *end.reason + ")");
  }
}

}  // namespace

void set_affixes(Tokenizer& tokenizer, const FolderFiles& files, const TokenizerClass& tokenizer_class, bool has_template) {
  const TokenizerClass* of_4 = tokenizer_class_of_4(files);
  const std::optional<bool> bos_in_4 = of_4 != nullptr ? of_4->bos_in_4 : std::nullopt;
  const End bos{
      "add_bos_token",          "bos_token", "BOS", "before", &tokenizer.prefix, &tokenizer.prefix_reason, tokenizer.bos,
      tokenizer_class.adds_bos, bos_in_4};
  const End eos{"add_eos_token",
                "eos_token",
                "EOS",
                "after",
                &tokenizer.suffix,
                &tokenizer.suffix_reason,
                tokenizer.eos,
                false,
                bos_in_4 ? std::optional(false) : std::nullopt};
  const auto* from_json = std::get_if<JsonTokenizer>(&tokenizer.kind);
  const bool by_flag = files.source != VocabularySource::tokenizer_json;
  for (const End& end : {bos, eos}) {
    const std::optional<bool> flag = config_flag(files, end.key);
    if (by_flag) {
      from_flag(end, flag, tokenizer.notes);
    } else if (tokenizer_class.own_affixes) {
      from_class(end, tokenizer_class);
    } else {
      *end.ids = end.ids == &tokenizer.prefix ? from_json->prefix : from_json->suffix;
      *end.reason = files.gguf     ? std::string("tokenizer.ggml.") + end.key + " of the GGUF file"
                    : has_template ? "post_processor of tokenizer.json"
                                   : "tokenizer.json has no post_processor";
    }
    note_flag(end, flag, by_flag, tokenizer.notes);
  }
}

}  // namespace lora_dist
