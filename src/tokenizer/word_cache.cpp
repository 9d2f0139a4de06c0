// Direct-mapped: a new word replaces the slot's old one.
#include "src/tokenizer/word_cache.h"

#include <algorithm>
#include <new>

namespace lora_dist {

std::size_t WordCache::slot_of(std::string_view word) {
  std::uint64_t hash = word.size();
  while (!word.empty()) {
    std::uint64_t eight = 0;
    const std::size_t n = std::min<std::size_t>(8, word.size());
    std::memcpy(&eight, word.data(), n);
    hash = (hash ^ eight) * 0x9E3779B97F4A7C15U;
    hash ^= hash >> 29;
    word.remove_prefix(n);
  }
  return (hash ^ hash >> 32) % kSlots;
}

WordCache::Slot* WordCache::free_slots() {
  void* const zeros = std::calloc(kSlots, sizeof(Slot));
  if (zeros == nullptr) {
    throw std::bad_alloc();
  }
  return static_cast<Slot*>(zeros);
}

bool WordCache::find(std::string_view word, std::vector<std::int32_t>& out) const {
  if (word.size() > kBytes || word.empty()) {
    return false;
  }
  const Slot& slot = slots_[slot_of(word)];
  if (slot.bytes != word.size() || std::memcmp(slot.word.data(), word.data(), word.size()) != 0) {
    return false;
  }
  out.insert(out.end(), slot.ids.begin(), slot.ids.begin() + slot.count);
  return true;
}

void WordCache::keep(std::string_view word, const std::int32_t* ids, std::size_t count) {
  if (word.size() > kBytes || word.empty() || count > kIds) {
    return;
  }
  Slot& slot = slots_[slot_of(word)];
  slot.bytes = static_cast<std::uint8_t>(word.size());
  slot.count = static_cast<std::uint8_t>(count);
  std::copy(word.begin(), word.end(), slot.word.begin());
  std::copy(ids, ids + count, slot.ids.begin());
}

std::unique_ptr<WordCache> WordCaches::take() {
  const std::scoped_lock lock(mutex_);
  if (free_.empty()) {
    return std::make_unique<WordCache>();
  }
  std::unique_ptr<WordCache> cache = std::move(free_.back());
  free_.pop_back();
  return cache;
}

void WordCaches::put_back(std::unique_ptr<WordCache> cache) {
  const std::scoped_lock lock(mutex_);
  free_.push_back(std::move(cache));
}

}  // namespace lora_dist
