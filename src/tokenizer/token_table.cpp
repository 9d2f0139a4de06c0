// Linear probing by the hash of the text.
#include "src/tokenizer/token_table.h"

#include <bit>
#include <functional>
#include <utility>

namespace lora_dist {

std::uint32_t TokenTable::hash_of(std::string_view token) {
  const std::uint64_t hash = std::hash<std::string_view>{}(token);
  return static_cast<std::uint32_t>(hash ^ hash >> 32);
}

std::size_t TokenTable::slot_of(std::string_view token, std::uint32_t hash) const {
  const std::size_t mask = slots_.size() - 1;
  std::size_t at = hash & mask;
  while (slots_[at].id >= 0 && (slots_[at].hash != hash || view(slots_[at].text) != token)) {
    at = (at + 1) & mask;
  }
  return at;
}

void TokenTable::grow(std::size_t slots) {
  const std::vector<Slot> old = std::exchange(slots_, std::vector<Slot>(slots));
  for (const Slot& slot : old) {
    if (slot.id >= 0) {
      slots_[slot_of(view(slot.text), slot.hash)] = slot;
    }
  }
}

void TokenTable::reserve(std::size_t tokens, std::size_t bytes) {
  bytes_.reserve(bytes);
  tokens_.reserve(tokens);
  by_id_.reserve(tokens);
  if (slots_.size() < 2 * tokens) {
    grow(std::bit_ceil(2 * tokens));
  }
}

TokenTable::Inserted TokenTable::insert(std::string_view token, std::int32_t id, std::uint32_t hash) {
  if (2 * (tokens_.size() + 1) > slots_.size()) {
    grow(slots_.size() * 2);
  }
  Slot& slot = slots_[slot_of(token, hash)];
  if (slot.id >= 0) {
    return Inserted::token_known;
  }
  const auto at = static_cast<std::size_t>(id);
  if (at < by_id_.size() && by_id_[at].begin != kNone) {
    return Inserted::id_known;
  }
  slot = {{static_cast<std::uint32_t>(bytes_.size()), static_cast<std::uint32_t>(token.size())}, hash, id};
  bytes_ += token;
  tokens_.push_back(slot.text);
  if (at >= by_id_.size()) {
    by_id_.resize(at + 1, {kNone, 0});
  }
  by_id_[at] = slot.text;
  return Inserted::yes;
}

TokenTable::Inserted TokenTable::assign(std::string_view token, std::int32_t id) {
  const Inserted inserted = insert(token, id);
  if (inserted != Inserted::token_known) {
    return inserted;
  }
  if (const auto other = text_of(id); other && *other != token) {
    return Inserted::id_known;
  }
  Slot& slot = slots_[slot_of(token, hash_of(token))];
  by_id_[static_cast<std::size_t>(std::exchange(slot.id, id))] = {kNone, 0};
  add_other_id(token, id);
  return Inserted::yes;
}

void TokenTable::add_other_id(std::string_view token, std::int32_t id) {
  const auto at = static_cast<std::size_t>(id);
  if (at >= by_id_.size()) {
    by_id_.resize(at + 1, {kNone, 0});
  }
  by_id_[at] = slots_[slot_of(token, hash_of(token))].text;
}

std::optional<std::int32_t> TokenTable::id_of(std::string_view token, std::uint32_t hash) const {
  const std::int32_t id = slots_[slot_of(token, hash)].id;
  return id < 0 ? std::nullopt : std::optional(id);
}

std::optional<std::string_view> TokenTable::text_of(std::int32_t id) const {
  const auto at = static_cast<std::size_t>(id);
  if (id < 0 || at >= by_id_.size() || by_id_[at].begin == kNone) {
    return std::nullopt;
  }
  return view(by_id_[at]);
}

}  // namespace lora_dist
