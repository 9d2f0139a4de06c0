// An input is a tokenizer.model. Rejection must be a runtime_error; an accepted file gives a document, and that a tokenizer or an
// Error.
#include <algorithm>
#include <stdexcept>

#include "src/core/error.h"
#include "src/core/utf8.h"
#include "src/tokenizer/piece_merges.h"
#include "src/tokenizer/sentencepiece_file.h"
#include "src/tokenizer/tokenizer_json.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  lora_dist::SentencePieceFile file;
  try {
    file = lora_dist::read_sentencepiece_file({reinterpret_cast<const char*>(data), size});
  } catch (const std::runtime_error&) {
    return 0;
  }
  std::vector<std::string> names;
  for (const auto& piece : file.pieces) {
    names.push_back(lora_dist::to_utf8(piece.text));
  }
  try {
    const lora_dist::JsonTokenizer tokenizer =
        lora_dist::read_tokenizer_document(lora_dist::document_of_pieces(file, names, true), "tokenizer.model");
    encode(tokenizer, "the two  there", false);
  } catch (const lora_dist::Error&) {
  }
  return 0;
}
