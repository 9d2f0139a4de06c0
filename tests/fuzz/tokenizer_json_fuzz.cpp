// An input is a tokenizer.json and, after a zero byte, a text. Rejection must be an Error; an accepted file must encode the text,
// decode the ids, and stream the same text.
#include <cstdlib>
#include <utility>

#include "src/core/error.h"
#include "src/core/utf8.h"
#include "src/io/strict_json.h"
#include "src/tokenizer/tokenizer_json.h"

namespace lora_dist {
namespace {

bool is_left_out(const JsonTokenizer& tokenizer, std::int32_t id) {
  const auto found = tokenizer.added.by_id.find(id);
  return found != tokenizer.added.by_id.end() && is_hidden(tokenizer.added.tokens[found->second]);
}

void use(const JsonTokenizer& tokenizer, const std::string& text) {
  const std::vector<std::int32_t> ids = encode(tokenizer, text, false);
  const std::string whole = decode(tokenizer, ids, true);
  if (is_byte_level(tokenizer)) {
    std::string bytes;
    for (const std::int32_t id : ids) {
      bytes += is_left_out(tokenizer, id) ? std::string() : token_bytes(tokenizer, id);
    }
    if (to_utf8(bytes) != whole) {
      std::abort();
    }
  }
  encode(tokenizer, text, true);
}

}  // namespace
}  // namespace lora_dist

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const std::size_t end = std::min(input.find('\0'), size);
  const std::string text = lora_dist::to_utf8(input.substr(std::min(end + 1, size)));
  try {
    lora_dist::TokenizerDocument document = lora_dist::parse_tokenizer_json(input.substr(0, end), "tokenizer.json");
    lora_dist::use(lora_dist::read_tokenizer_document(std::move(document), "tokenizer.json"), text);
  } catch (const lora_dist::Error&) {
  } catch (const lora_dist::JsonError&) {
  }
  return 0;
}
