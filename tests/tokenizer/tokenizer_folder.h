// A model folder made for one test, and the shipped one.
#pragma once

#include "tests/support/scratch.h"

namespace lora_dist {

inline std::filesystem::path source_dir() { return LORA_DIST_SOURCE_DIR; }
inline std::filesystem::path demo_model() { return source_dir() / "demo/model"; }

/// An empty folder, removed at the end.
struct TokenizerFolder {
  Scratch scratch;
  std::filesystem::path path = scratch.path();

  void write(const std::string& name, const std::string& content) const { put_file(path / name, content); }
};

}  // namespace lora_dist
