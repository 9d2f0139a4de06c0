// Linear probing by the hash of the text.
#include "src/tokenizer/token_table.h"

#include <algorithm>
#include <bit>
#include <functional>

namespace lora_dist {

std::uint32_t TokenTable::hash_of(std::string_view token) {
  const std::uint64_t hash = std::hash<std::string_view>{}(token);
  return static_cast<std::uint32_t>(hash ^ hash >> 32);
}

std::size_t TokenTable::slot_of(std::string_view token, std::uint32_t hash) const {
  const std::size_t mask = slots_.size() - 1;
  std::size_t at = hash & mask;
  while (slots_[at].entry != kNone && (slots_[at].hash != hash || this->token(slots_[at].entry) != token)) {
    at = (at + 1) & mask;
  }
  return at;
}

std::uint32_t TokenTable::find(std::string_view token) const {
  return slots_.empty() ? kNone : slots_[slot_of(token, hash_of(token))].entry;
}

void TokenTable::grow(std::size_t slots) {
  slots_.assign(slots, Slot{});
  for (std::uint32_t i = 0; i < entries_.size(); ++i) {
    const std::uint32_t hash = hash_of(token(i));
    slots_[slot_of(token(i), hash)] = {i, hash};
  }
}

void TokenTable::reserve(std::size_t tokens, std::size_t bytes) {
  bytes_.reserve(bytes);
  entries_.reserve(tokens);
  by_id_.reserve(tokens);
  if (slots_.size() < 2 * tokens) {
    grow(std::bit_ceil(2 * tokens));
  }
}

void TokenTable::set_id(std::int32_t id, std::uint32_t entry) {
  const auto at = static_cast<std::size_t>(id);
  if (at >= by_id_.size()) {
    by_id_.resize(at + 1, kNone);
  }
  by_id_[at] = entry;
}

void TokenTable::append(std::string_view token, std::int32_t id) {
  if (2 * (entries_.size() + 1) > slots_.size()) {
    grow(std::max<std::size_t>(64, slots_.size() * 2));
  }
  const auto entry = static_cast<std::uint32_t>(entries_.size());
  const std::uint32_t hash = hash_of(token);
  slots_[slot_of(token, hash)] = {entry, hash};
  entries_.push_back({static_cast<std::uint32_t>(bytes_.size()), static_cast<std::uint32_t>(token.size()), id});
  bytes_ += token;
  set_id(id, entry);
}

bool TokenTable::insert(std::string_view token, std::int32_t id) {
  if (text_of(id) || find(token) != kNone) {
    return false;
  }
  append(token, id);
  return true;
}

bool TokenTable::assign(std::string_view token, std::int32_t id) {
  const std::uint32_t known = find(token);
  if (known == kNone) {
    return insert(token, id);
  }
  if (const auto other = text_of(id); other && *other != token) {
    return false;
  }
  by_id_[static_cast<std::size_t>(entries_[known].id)] = kNone;
  entries_[known].id = id;
  set_id(id, known);
  return true;
}

void TokenTable::add_other_id(std::string_view token, std::int32_t id) { set_id(id, find(token)); }

std::optional<std::int32_t> TokenTable::id_of(std::string_view token) const {
  const std::uint32_t found = find(token);
  return found == kNone ? std::nullopt : std::optional(entries_[found].id);
}

std::optional<std::string_view> TokenTable::text_of(std::int32_t id) const {
  const auto at = static_cast<std::size_t>(id);
  if (id < 0 || at >= by_id_.size() || by_id_[at] == kNone) {
    return std::nullopt;
  }
  return token(by_id_[at]);
}

}  // namespace lora_dist
