// The kinds of damage, each a few lines.
#include "tests/soak/damage.h"

#include <algorithm>
#include <cctype>

namespace lora_dist::soak {
namespace {

constexpr std::size_t kSector = 512;
constexpr std::size_t kPage = 4096;
constexpr std::size_t kMostBytes = 300;  // of a small range

/// A range inside the content, of at most `most` bytes and at least one.
Piece small_range(const std::string& content, std::size_t most, Random& random) {
  const std::size_t offset = below(content.size(), random);
  return {offset, 1 + below(std::min(most, content.size() - offset), random)};
}

void flip_bit(std::string& content, const Material& /*material*/, Random& random) {
  content[below(content.size(), random)] ^= static_cast<char>(1U << below(8, random));
}

void flip_bits(std::string& content, const Material& material, Random& random) {
  for (std::size_t left = 2 + below(15, random); left > 0; --left) {
    flip_bit(content, material, random);
  }
}

void change_byte(std::string& content, const Material& /*material*/, Random& random) {
  content[below(content.size(), random)] = static_cast<char>(random());
}

void spoil_range(std::string& content, const Material& /*material*/, Random& random) {
  const Piece range = small_range(content, kMostBytes, random);
  std::generate_n(content.begin() + static_cast<std::ptrdiff_t>(range.offset), range.size,
                  [&] { return static_cast<char>(random()); });
}

void invert_range(std::string& content, const Material& /*material*/, Random& random) {
  const Piece range = small_range(content, kMostBytes, random);
  for (std::size_t i = range.offset; i < range.offset + range.size; ++i) {
    content[i] = static_cast<char>(~content[i]);
  }
}

void truncate(std::string& content, const Material& /*material*/, Random& random) {
  content.resize(below(content.size(), random));
}

void append(std::string& content, const Material& material, Random& random) {
  const std::size_t more = 1 + below(kPage, random);
  content += below(2, random) == 0 ? std::string(more, '\0') : material.donor.substr(0, more);
}

void insert(std::string& content, const Material& /*material*/, Random& random) {
  const Piece range = small_range(content, kMostBytes, random);
  content.insert(below(content.size() + 1, random), content.substr(range.offset, range.size));
}

void erase(std::string& content, const Material& /*material*/, Random& random) {
  const Piece range = small_range(content, kMostBytes, random);
  content.erase(range.offset, range.size);
}

void swap_ranges(std::string& content, const Material& /*material*/, Random& random) {
  const std::size_t size = 1 + below(std::min(kMostBytes, content.size()), random);
  const std::size_t one = below(content.size() - size + 1, random);
  const std::size_t other = below(content.size() - size + 1, random);
  const std::string kept = content.substr(one, size);
  content.replace(one, size, content.substr(other, size));
  content.replace(other, size, kept);
}

/// A sector that was never written, or that a worn block gives back.
void blank_sector(std::string& content, const Material& /*material*/, Random& random) {
  const std::size_t offset = below(content.size(), random) / kSector * kSector;
  const std::size_t size = std::min(kSector << below(4, random), content.size() - offset);
  content.replace(offset, size, size, below(2, random) == 0 ? '\0' : '\xff');
}

/// A page that was written to another page's place.
void misplace_page(std::string& content, const Material& /*material*/, Random& random) {
  const std::size_t from = below(content.size(), random) / kPage * kPage;
  const std::size_t to = below(content.size(), random) / kPage * kPage;
  const std::size_t size = std::min(kPage, content.size() - std::max(from, to));
  content.replace(to, size, content.substr(from, size));
}

/// The beginning of this file and the end of the other, or a range of it at the same place.
void splice_donor(std::string& content, const Material& material, Random& random) {
  const Piece range = small_range(content, below(2, random) == 0 ? kPage : content.size(), random);
  if (range.offset < material.donor.size()) {
    content.replace(range.offset, range.size, material.donor.substr(range.offset, range.size));
  }
}

void become_donor(std::string& content, const Material& material, Random& /*random*/) { content = material.donor; }

/// Two ranges that each carry a right checksum change places.
void swap_pieces(std::string& content, const Material& material, Random& random) {
  if (material.pieces.size() < 2) {
    return;
  }
  const Piece one = material.pieces[below(material.pieces.size(), random)];
  std::size_t other = below(material.pieces.size(), random);
  for (std::size_t tries = 0; tries < material.pieces.size() && material.pieces[other].size != one.size; ++tries) {
    other = (other + 1) % material.pieces.size();
  }
  const Piece two = material.pieces[other];
  if (two.size == one.size && two.offset != one.offset) {
    content.replace(one.offset, one.size, material.sound.substr(two.offset, two.size));
    content.replace(two.offset, two.size, material.sound.substr(one.offset, one.size));
  }
}

/// In text, another number or name; in other files another byte.
void change_digit(std::string& content, const Material& material, Random& random) {
  const std::size_t from = below(content.size(), random);
  const auto digit = std::find_if(content.begin() + static_cast<std::ptrdiff_t>(from), content.end(),
                                  [](char c) { return std::isdigit(static_cast<unsigned char>(c)) != 0; });
  if (digit == content.end()) {
    change_byte(content, material, random);
  } else {
    *digit = static_cast<char>('0' + below(10, random));
  }
}

constexpr std::array<DamageKind, 16> kKinds = {{{"one bit", flip_bit},
                                                {"several bits", flip_bits},
                                                {"one byte", change_byte},
                                                {"a range of noise", spoil_range},
                                                {"a range inverted", invert_range},
                                                {"cut off", truncate},
                                                {"bytes at the end", append},
                                                {"bytes inserted", insert},
                                                {"bytes left out", erase},
                                                {"two ranges exchanged", swap_ranges},
                                                {"blank sectors", blank_sector},
                                                {"a page in another's place", misplace_page},
                                                {"parts of another file", splice_donor},
                                                {"another file", become_donor},
                                                {"two chunks exchanged", swap_pieces},
                                                {"another digit", change_digit}}};

}  // namespace

std::span<const DamageKind> damage_kinds() { return kKinds; }

}  // namespace lora_dist::soak
