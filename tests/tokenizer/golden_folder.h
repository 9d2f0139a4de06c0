// Model folders as tests/golden/make_tokenizer_folders.py describes them.
#pragma once

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "tests/support/scratch.h"
#include "tests/support/source_dir.h"

namespace lora_dist {

inline nlohmann::json read_golden(const std::string& name) {
  return nlohmann::json::parse(std::ifstream(source_dir() / "tests/golden" / name));
}

inline std::string from_hex(const std::string& hex) {
  std::string out;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2) {
    out.push_back(static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16)));
  }
  return out;
}

inline std::string merges_text(const nlohmann::json& merges) {
  std::string out = "#version: 0.2\n";
  for (const nlohmann::json& merge : merges) {
    out += merge.is_string() ? merge.get<std::string>() : merge[0].get<std::string>() + " " + merge[1].get<std::string>();
    out += "\n";
  }
  return out;
}

inline void write_golden_folder(const nlohmann::json& folder, const Scratch& scratch) {
  const std::string base = folder["base"];
  const nlohmann::json bytes = read_golden("byte_level.json")["variants"][0]["edits"];
  if (base == "model") {
    std::filesystem::copy_file(demo_model() / "tokenizer.model", scratch / "tokenizer.model");
  } else if (base == "pieces") {
    scratch.write("tokenizer.model", from_hex(folder["pieces"]));
  } else if (base == "pair") {
    scratch.write("vocab.json", bytes["model"]["vocab"].dump());
    scratch.write("merges.txt", merges_text(bytes["model"]["merges"]));
  } else {
    nlohmann::json document = base == "json" ? nlohmann::json::parse(std::ifstream(demo_model() / "tokenizer.json")) : bytes;
    document.update(folder["edits"]);
    scratch.write("tokenizer.json", document.dump());
  }
  for (const auto& [name, text] : folder["files"].items()) {
    scratch.write(name, text.get<std::string>());
  }
}

}  // namespace lora_dist
