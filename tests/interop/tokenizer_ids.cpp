// Reads a JSON string per line from standard input, and prints {"ids": with special tokens, "text": decoded without them} per
// line, for tests/interop/check_tokenizers.py.
#include <cstdio>
#include <exception>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>

#include "src/tokenizer/tokenizer.h"

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: tokenizer_ids MODEL_FOLDER < LINES.jsonl\n");
    return 2;
  }
  try {
    const lora_dist::Tokenizer tokenizer = lora_dist::open_tokenizer(argv[1]);
    for (std::string line; std::getline(std::cin, line);) {
      const auto ids = encode(tokenizer, nlohmann::json::parse(line).get<std::string>(), true);
      std::cout << nlohmann::json{{"ids", ids}, {"text", decode(tokenizer, ids, true)}}.dump() << '\n';
    }
  } catch (const std::exception& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return 1;
  }
}
