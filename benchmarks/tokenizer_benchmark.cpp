// Encodes a corpus repeatedly on one thread, and prints bytes, ids and processor seconds of each repetition as JSON, for
// benchmarks/tokenizer_speed.py.
#include <cstdio>
#include <cstdlib>
#include <ctime>

#include "src/tokenizer/tokenizer.h"
#include "tests/support/corpus_texts.h"

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fprintf(stderr, "usage: tokenizer_benchmark MODEL_FOLDER CORPUS.jsonl|.txt PASSES\n");
    return 2;
  }
  const lora_dist::Tokenizer tokenizer = lora_dist::open_tokenizer(argv[1]);
  const std::vector<std::string> texts = lora_dist::corpus_texts(argv[2]);
  std::size_t bytes = 0;
  for (const std::string& text : texts) {
    bytes += text.size();
  }
  nlohmann::json seconds = nlohmann::json::array();
  std::size_t ids = 0;
  for (int pass = 0; pass < std::atoi(argv[3]); ++pass) {
    ids = 0;
    const std::clock_t start = std::clock();
    for (const std::string& text : texts) {
      ids += encode(tokenizer, text, true).size();
    }
    seconds.push_back(static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC);
  }
  std::printf("%s\n", nlohmann::json{{"bytes", bytes}, {"ids", ids}, {"seconds", seconds}}.dump().c_str());
}
