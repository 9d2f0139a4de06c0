// write_random_model FOLDER LENGTH: the random model of hidden 512 in FOLDER/model, and rows of LENGTH ids in FOLDER/rows.jsonl.
#include <fmt/format.h>

#include <charconv>
#include <cstring>
#include <fstream>

#include "benchmarks/random_model.h"

int main(int argc, char** argv) {
  int length = 0;
  if (argc == 3) {
    std::from_chars(argv[2], argv[2] + std::strlen(argv[2]), length);
  }
  if (length < 2) {
    fmt::print(stderr, "write_random_model FOLDER LENGTH\n");
    return 2;
  }
  const std::filesystem::path folder = argv[1];
  const lora_dist::ModelSpec spec = lora_dist::benchmarks::hidden_512();
  lora_dist::benchmarks::write_random_model(folder / "model", spec);
  std::ofstream rows(folder / "rows.jsonl");
  for (int row = 0; row < 64; ++row) {
    nlohmann::json ids = nlohmann::json::array();
    for (int t = 0; t < length; ++t) {
      ids.push_back((row * 7919 + t * 104729) % spec.vocab);
    }
    rows << nlohmann::json{{"input_ids", ids}, {"labels", ids}}.dump() << "\n";
  }
  return rows.good() ? 0 : 1;
}
