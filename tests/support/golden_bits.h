// Golden numbers given in JSON: floats by their bits, codes as whole numbers.
#pragma once

#include <bit>
#include <cstdint>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace lora_dist::testing_support {

/// tests/golden/<name>, parsed.
inline nlohmann::json golden_json(const std::string& name) {
  std::ifstream file(std::string(LORA_DIST_SOURCE_DIR "/tests/golden/") + name);
  return nlohmann::json::parse(file);
}

inline std::vector<float> floats_of_bits(const nlohmann::json& bits) {
  std::vector<float> values;
  for (const auto& word : bits) {
    values.push_back(std::bit_cast<float>(word.get<std::uint32_t>()));
  }
  return values;
}

}  // namespace lora_dist::testing_support
