// A model folder made for one test, and the shipped one.
#pragma once

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

namespace lora_dist {

inline std::filesystem::path source_dir() { return LORA_DIST_SOURCE_DIR; }
inline std::filesystem::path demo_model() { return source_dir() / "demo/model"; }

/// An empty folder, removed at the end.
struct TokenizerFolder {
  std::filesystem::path path;

  TokenizerFolder() {
    static int made = 0;
    path = std::filesystem::temp_directory_path() /
           ("lora_dist_tokenizer_" + std::to_string(::getpid()) + "_" + std::to_string(made++));
    std::filesystem::create_directories(path);
  }
  TokenizerFolder(const TokenizerFolder&) = delete;
  TokenizerFolder& operator=(const TokenizerFolder&) = delete;
  ~TokenizerFolder() { std::filesystem::remove_all(path); }

  void write(const std::string& name, const std::string& content) const {
    std::ofstream(path / name, std::ios::binary) << content;
  }
};

}  // namespace lora_dist
