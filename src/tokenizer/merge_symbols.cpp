// The order of merges is that of Hugging Face's tokenizers (models/bpe/word.rs): least rank first, then leftmost. Short pieces
// search a list for the pair of least rank; long ones use a queue of candidates over a linked list of symbols.
#include "src/tokenizer/merge_symbols.h"

#include <limits>
#include <queue>

namespace lora_dist {
namespace {

constexpr std::size_t kShort = 48;  // symbols; for longer pieces a queue is faster
constexpr std::int32_t kNoRank = std::numeric_limits<std::int32_t>::max();

BpeMerge merge_of(const PairTable& merges, std::int32_t left, std::int32_t right) {
  const BpeMerge* found = merges.find(left, right);
  return found == nullptr ? BpeMerge{kNoRank, 0} : *found;
}

void merge_short(const PairTable& merges, std::vector<std::int32_t>& ids) {
  BpeMerge pairs[kShort];  // [i]: of ids i and i + 1
  std::size_t n = ids.size();
  for (std::size_t i = 0; i + 1 < n; ++i) {
    pairs[i] = merge_of(merges, ids[i], ids[i + 1]);
  }
  while (n > 1) {
    std::size_t best = 0;
    for (std::size_t i = 1; i + 1 < n; ++i) {
      best = pairs[i].rank < pairs[best].rank ? i : best;
    }
    if (pairs[best].rank == kNoRank) {
      break;
    }
    ids[best] = pairs[best].id;
    --n;
    for (std::size_t i = best + 1; i < n; ++i) {
      ids[i] = ids[i + 1];
      pairs[i - 1] = pairs[i];
    }
    if (best + 1 < n) {
      pairs[best] = merge_of(merges, ids[best], ids[best + 1]);
    }
    if (best > 0) {
      pairs[best - 1] = merge_of(merges, ids[best - 1], ids[best]);
    }
  }
  ids.resize(n);
}

struct Symbol {
  std::int32_t id = 0;
  std::int64_t previous = -1, next = -1;
  bool removed = false;
};

struct Candidate {
  std::int32_t rank = 0;
  std::int64_t at = 0;  // the left symbol
  std::int32_t id = 0;  // the merged id
};

struct Later {
  bool operator()(const Candidate& a, const Candidate& b) const { return a.rank != b.rank ? a.rank > b.rank : a.at > b.at; }
};

using CandidateQueue = std::priority_queue<Candidate, std::vector<Candidate>, Later>;

std::vector<Symbol> linked(const std::vector<std::int32_t>& ids) {
  std::vector<Symbol> symbols(ids.size());
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const auto at = static_cast<std::int64_t>(i);
    symbols[i] = {ids[i], at - 1, i + 1 < ids.size() ? at + 1 : -1, false};
  }
  return symbols;
}

void offer(const PairTable& merges, const std::vector<Symbol>& symbols, std::int64_t left, CandidateQueue& queue) {
  if (left < 0 || symbols[static_cast<std::size_t>(left)].next < 0) {
    return;
  }
  const Symbol& a = symbols[static_cast<std::size_t>(left)];
  if (const BpeMerge* found = merges.find(a.id, symbols[static_cast<std::size_t>(a.next)].id)) {
    queue.push({found->rank, left, found->id});
  }
}

/// True if the queue's entry still matches the current symbols.
bool still_holds(const PairTable& merges, const std::vector<Symbol>& symbols, const Candidate& candidate) {
  const Symbol& left = symbols[static_cast<std::size_t>(candidate.at)];
  if (left.removed || left.next < 0) {
    return false;
  }
  const BpeMerge* found = merges.find(left.id, symbols[static_cast<std::size_t>(left.next)].id);
  return found != nullptr && found->id == candidate.id;
}

void merge_long(const PairTable& merges, std::vector<std::int32_t>& ids) {
  std::vector<Symbol> symbols = linked(ids);
  CandidateQueue queue;
  for (std::size_t i = 0; i + 1 < symbols.size(); ++i) {
    offer(merges, symbols, static_cast<std::int64_t>(i), queue);
  }
  while (!queue.empty()) {
    const Candidate best = queue.top();
    queue.pop();
    if (!still_holds(merges, symbols, best)) {
      continue;
    }
    Symbol& left = symbols[static_cast<std::size_t>(best.at)];
    Symbol& right = symbols[static_cast<std::size_t>(left.next)];
    right.removed = true;
    left.id = best.id;
    left.next = right.next;
    if (left.next >= 0) {
      symbols[static_cast<std::size_t>(left.next)].previous = best.at;
    }
    offer(merges, symbols, left.previous, queue);
    offer(merges, symbols, best.at, queue);
  }
  ids.clear();
  for (std::int64_t at = 0; at >= 0; at = symbols[static_cast<std::size_t>(at)].next) {
    ids.push_back(symbols[static_cast<std::size_t>(at)].id);
  }
}

}  // namespace

void merge_symbols(const PairTable& merges, std::vector<std::int32_t>& ids) {
  if (ids.size() < 2) {
    return;
  }
  if (ids.size() <= kShort) {
    merge_short(merges, ids);
  } else {
    merge_long(merges, ids);
  }
}

}  // namespace lora_dist
