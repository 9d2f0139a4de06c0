// SHA-256 through OpenSSL's EVP interface.
#include "src/io/sha256.h"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <stdexcept>
#include <vector>

#include "src/core/activity.h"
#include "src/io/file.h"

namespace lora_dist {

struct Sha256::State {
  EVP_MD_CTX* context = EVP_MD_CTX_new();

  State() {
    if (context == nullptr || EVP_DigestInit_ex(context, EVP_sha256(), nullptr) != 1) {
      throw std::runtime_error("libcrypto offers no SHA-256");
    }
  }
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() { EVP_MD_CTX_free(context); }
};

Sha256::Sha256() : state_(std::make_unique<State>()) {}
Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;

void Sha256::update(std::span<const std::byte> bytes) {
  heartbeat();
  if (EVP_DigestUpdate(state_->context, bytes.data(), bytes.size()) != 1) {
    throw std::runtime_error("libcrypto failed to hash");
  }
}

std::string Sha256::hex() {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int length = 0;
  if (EVP_DigestFinal_ex(state_->context, digest.data(), &length) != 1) {
    throw std::runtime_error("libcrypto failed to hash");
  }
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  for (unsigned int i = 0; i < length; ++i) {
    text += kDigits[digest[i] >> 4];
    text += kDigits[digest[i] & 15];
  }
  return text;
}

std::string sha256_of(std::span<const std::byte> bytes) {
  Sha256 hash;
  hash.update(bytes);
  return hash.hex();
}

std::string sha256_of_file(const std::filesystem::path& file, ExitCode code) {
  const InputFile input(file, code);
  std::vector<std::byte> buffer(static_cast<std::size_t>(std::min<std::uint64_t>(input.size(), 1 << 20)));
  Sha256 hash;
  for (std::uint64_t at = 0; at < input.size(); at += buffer.size()) {
    const std::span<std::byte> piece(buffer.data(),
                                     static_cast<std::size_t>(std::min<std::uint64_t>(buffer.size(), input.size() - at)));
    input.read_at(at, piece);
    hash.update(piece);
  }
  return hash.hex();
}

}  // namespace lora_dist
