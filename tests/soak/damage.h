// Damage to a file's bytes: what disks, copies and people do to files.
#pragma once

#include <array>
#include <cstddef>
#include <random>
#include <span>
#include <string>
#include <vector>

namespace lora_dist::soak {

using Random = std::mt19937_64;

/// Less than `end` (at least 1).
inline std::size_t below(std::size_t end, Random& random) { return static_cast<std::size_t>(random() % end); }

/// Bytes of a file that are checked as one: a chunk of a dataset with its checksum.
struct Piece {
  std::size_t offset = 0;
  std::size_t size = 0;
};

/// What is damaged, and where its wrong bytes may come from.
struct Material {
  std::string sound;
  std::string donor;  // another file of the same kind, or an older one of the same name
  std::vector<Piece> pieces;
};

struct DamageKind {
  const char* name;
  void (*apply)(std::string& content, const Material& material, Random& random);
};

/// Every kind; each takes any content that is not empty, and may by chance leave it as it is.
std::span<const DamageKind> damage_kinds();

}  // namespace lora_dist::soak
