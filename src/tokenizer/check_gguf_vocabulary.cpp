// Compares the tokenizer of a folder with that of the GGUF file made from it, on texts that pre-tokenizers cut differently.
#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "src/core/error.h"
#include "src/tokenizer/gguf_vocabulary.h"
#include "src/tokenizer/tokenizer.h"

namespace lora_dist {

namespace fs = std::filesystem;

namespace {

// UTF-8 of Korean, of Chinese, accented and Cyrillic letters, and of emoji that are joined.
constexpr const char* kKorean =
    "\xED\x99\x98\xEC\x9E\x90\xEC\x9D\x98 \xED\x98\x88\xEC\x95\x95\xEC\x9D\x80 120/80\xEC\x9E\x85\xEB\x8B\x88\xEB\x8B\xA4. "
    "1234567890";
constexpr const char* kLetters = "\xE5\x8C\xBB\xE5\xAD\xA6 na\xC3\xAFve caf\xC3\xA9 \xD0\xBC\xD0\xB8\xD1\x80";
constexpr const char* kEmoji = "\xF0\x9F\xA9\xBA \xF0\x9F\x98\xB6\xE2\x80\x8D\xF0\x9F\x8C\xAB\xEF\xB8\x8F";

}  // namespace

void check_gguf_vocabulary(const fs::path& folder, const fs::path& gguf) {
  if (!has_tokenizer(folder)) {
    return;
  }
  const Tokenizer own = open_tokenizer(folder);
  const Tokenizer written = open_tokenizer(gguf);
  std::vector<std::string> texts = {"Hello, world! It's 3.14 (or 22/7), isn't it?",
                                    "  two spaces,\ttabs\t\tand\n\nlines \r\n  of  text   ",
                                    kKorean,
                                    kLetters,
                                    kEmoji,
                                    "def f(x):\n    return x[0] != '''a''' # ----====\n",
                                    "I'VE we'll DON'T ''''``......!!!!??",
                                    ""};
  for (const auto& token : {own.bos, own.eos}) {
    if (token) {
      texts.push_back("one" + token_text(own, *token));  // what follows a special token differs from reader to reader
    }
  }
  for (const std::string& text : texts) {
    if (encode(own, text, true) != encode(written, text, true)) {
      throw Error(ExitCode::model,
                  fmt::format("{}: written as a GGUF file, this tokenizer would cut {} into other tokens; export the adapter "
                              "alone, or merge and use llama.cpp's own converter",
                              own.file.string(), nlohmann::json(text).dump(-1, ' ', true)));
    }
  }
}

}  // namespace lora_dist
