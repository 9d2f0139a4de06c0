// SHA-256 (OpenSSL's libcrypto).
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>

#include "src/core/error.h"

namespace lora_dist {

/// Incremental: update() any number of times, then hex().
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;

  void update(std::span<const std::byte> bytes);
  std::string hex();  // 64 lower-case digits; ends the computation

 private:
  struct State;
  std::unique_ptr<State> state_;
};

std::string sha256_of(std::span<const std::byte> bytes);
/// Throws Error(code) naming the file if it cannot be read.
std::string sha256_of_file(const std::filesystem::path& file, ExitCode code = ExitCode::model);

}  // namespace lora_dist
