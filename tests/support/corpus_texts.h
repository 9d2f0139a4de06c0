// The texts of a corpus file, as tests/golden/make_tokenizer_digests.py takes them.
#pragma once

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace lora_dist {

inline void append_strings(const nlohmann::ordered_json& value, std::vector<std::string>& out) {
  if (value.is_string()) {
    out.push_back(value.get<std::string>());
  } else if (value.is_structured()) {
    for (const auto& inner : value) {
      append_strings(inner, out);
    }
  }
}

/// Of JSON lines each string value, in the order of the file; of a text the whole and then each paragraph.
inline std::vector<std::string> corpus_texts(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  std::vector<std::string> out;
  if (file.extension() == ".txt") {
    const std::string text((std::istreambuf_iterator<char>(in)), {});
    out.push_back(text);
    std::size_t begin = 0;
    for (std::size_t end = text.find("\n\n"); end != std::string::npos; end = text.find("\n\n", begin)) {
      out.push_back(text.substr(begin, end - begin));
      begin = end + 2;
    }
    out.push_back(text.substr(begin));
    return out;
  }
  for (std::string line; std::getline(in, line);) {
    append_strings(nlohmann::ordered_json::parse(line), out);
  }
  return out;
}

}  // namespace lora_dist
