// A cache of words' ids. A word of at most 30 bytes and 8 ids maps to one slot; the cache has a fixed size of 4 MiB. Longer words
// are rare and not cached.
#pragma once

#include <array>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>
#include <string_view>
#include <vector>

namespace lora_dist {

class WordCache {
 public:
  /// Appends the word's ids; false if it is not cached.
  bool find(std::string_view word, std::vector<std::int32_t>& out) const;
  void keep(std::string_view word, const std::int32_t* ids, std::size_t count);

 private:
  static constexpr std::size_t kSlots = 1 << 16, kBytes = 30, kIds = 8;
  struct Slot {
    std::uint8_t bytes, count;  // bytes 0: free
    std::array<char, kBytes> word;
    std::array<std::int32_t, kIds> ids;
  };
  static_assert(sizeof(Slot) == 64, "a slot is a cache line");

  static std::size_t slot_of(std::string_view word);

  struct Free {
    void operator()(Slot* slots) const { std::free(slots); }
  };
  static Slot* free_slots();

  std::unique_ptr<Slot[], Free> slots_{free_slots()};  // from calloc: unused pages cost nothing
};

/// A pool of caches for concurrent threads: each call takes one and returns it.
class WordCaches {
 public:
  std::unique_ptr<WordCache> take();
  void put_back(std::unique_ptr<WordCache> cache);

 private:
  std::mutex mutex_;
  std::vector<std::unique_ptr<WordCache>> free_;
};

}  // namespace lora_dist
