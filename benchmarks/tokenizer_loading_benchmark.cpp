// Opens a tokenizer repeatedly, and prints the seconds and processor seconds of each repetition as JSON, in all (`open`) and of
// reading the JSON file into its tables alone (`json`), for benchmarks/tokenizer_loading.py.
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "src/tokenizer/model_lists.h"
#include "src/tokenizer/tokenizer.h"

namespace {

template <class Work>
std::array<double, 2> seconds_of(const Work& work) {
  const auto start = std::chrono::steady_clock::now();
  const std::clock_t processor = std::clock();
  work();
  return {std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(),
          static_cast<double>(std::clock() - processor) / CLOCKS_PER_SEC};
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: tokenizer_loading_benchmark MODEL_FOLDER|FILE.gguf PASSES\n");
    return 2;
  }
  const std::filesystem::path file = std::filesystem::path(argv[1]) / "tokenizer.json";
  nlohmann::json json = nlohmann::json::array(), open = nlohmann::json::array();
  std::int32_t size = 0;
  for (int pass = 0; pass < std::atoi(argv[2]); ++pass) {
    if (std::filesystem::exists(file)) {
      json.push_back(seconds_of([&] { lora_dist::read_tokenizer_json(file); }));
    }
    open.push_back(seconds_of([&] { size = lora_dist::open_tokenizer(argv[1]).vocab_size; }));
  }
  std::printf("%s\n", nlohmann::json{{"tokens", size}, {"json", json}, {"open", open}}.dump().c_str());
}
